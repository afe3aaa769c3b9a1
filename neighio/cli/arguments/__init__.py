"""What each command takes, and its help: a module a command, or a few that belong together.

They import nothing but ``argparse``; a command's own module is imported when the command runs.
"""
