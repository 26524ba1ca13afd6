"""The command line: one file for each command, with its arguments and what runs it; longer work has a file beside it."""
