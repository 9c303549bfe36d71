"""Opening a language model, whichever format it is in."""

from pathlib import Path

from speechxfer.language_models.arpa import read_arpa
from speechxfer.language_models.binary import is_binary, read_binary
from speechxfer.language_models.model import NgramModel


def read_language_model(path: Path | str) -> NgramModel:
    """Open an n-gram model: an ARPA file (also .gz), or a compact file that `write_binary` wrote, which is memory-mapped.

    Raises:
        InputError: the file cannot be read or is damaged.
    """
    path = Path(path)
    return NgramModel(read_binary(path) if is_binary(path) else read_arpa(path))
