"""The one exception for input that a person can mend.

Every message answers three questions: what happened, what was expected, how to fix it. The command line prints it on
stderr and exits with 2; from Python it is an ordinary ``ValueError``. Faults of our own code are not wrapped in it.
"""


class InputError(ValueError):
    """Bad data, settings or files: the message says what, where and how to fix it."""
