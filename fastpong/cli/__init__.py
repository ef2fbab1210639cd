"""The command line: a module a command, and the only room that prints."""
