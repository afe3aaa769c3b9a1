"""What a neighbour table would have been: captures, played through the engine in virtual time."""
