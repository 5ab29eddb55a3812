"""Commands of the command line, group by group."""
