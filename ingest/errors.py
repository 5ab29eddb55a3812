"""The one exception for what the user can mend. Only the command line and the servers catch it."""


class DeskmateError(Exception):
    """Something the user can mend: the message says what is wrong, where, and what to do.

    The command line prints the message on one line of standard error and exits with 1.
    """
