"""The command line: a file a command, with its options, its help and what it does."""
