"""The one exception for input that the user can fix.

Its message answers three questions: what is wrong, where (file, id or line), and how to fix it. The command line prints it as
one line on stderr and exits with 2; in Python it is an ordinary ``ValueError``. Bugs of the package are never wrapped in it.
"""

from collections.abc import Sequence


class InputError(ValueError):
    """Bad data, settings or files: the message says what is wrong, where, and how to fix it.

    >>> import speechxfer as sx
    >>> try:
    ...     sx.read_manifest("missing.jsonl")
    ... except sx.InputError as error:
    ...     print("cannot go on:", error)
    cannot go on: missing.jsonl: ...
    """


def first_names(names: Sequence[str], most: int = 5) -> str:
    """The first few names and how many more there are: 'a, b, c, d, e and 415 more'."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def count_of(count: int, noun: str) -> str:
    """'1 warning', '2,000 warnings'."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
