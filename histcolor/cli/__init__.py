"""The command line: options, and what the commands do."""
