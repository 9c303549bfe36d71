"""Opening a language model, whichever format it is in."""

from pathlib import Path

from speechxfer.language_models.arpa import read_arpa
from speechxfer.language_models.binary import is_binary, read_binary
from speechxfer.language_models.model import NgramModel
from speechxfer.language_models.tables import Unit


def read_language_model(path: Path | str, unit: Unit | None = None) -> NgramModel:
    """Open an n-gram model: an ARPA file (also .gz), or a compact file that `write_binary` wrote, which is memory-mapped.

    Args:
        path: the file.
        unit: what an ARPA file's words are; None: as `read_arpa` finds. A compact file has it.

    Raises:
        InputError: the file cannot be read or is damaged.
    """
    path = Path(path)
    return NgramModel(read_binary(path) if is_binary(path) else read_arpa(path, unit))
