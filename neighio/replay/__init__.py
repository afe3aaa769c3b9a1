"""What a neighbour table would have been: captures, played through the engine in virtual time.

``neighio replay`` is its face, and what may be relied on; what is in here may change.
"""
