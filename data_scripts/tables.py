"""Corpora that were repacked around a table of their recordings, which `speechxfer.data` reads."""

from pathlib import Path

from data_scripts.corpus import Placed, measure, print_line
from speechxfer.data import TABLE_NAME, read_segments


def read_repacked(corpus_dir: Path, *, lang: str, partial: bool) -> list[Placed] | None:
    """A corpus that was repacked around a ``transcripts.tsv``; None where the folder has none (the original layout)."""
    if not (corpus_dir / TABLE_NAME).is_file():
        return None
    print_line(f"{corpus_dir}: a repacked copy, read from its {TABLE_NAME}")
    return measure(read_segments(corpus_dir, lang=lang), partial=partial)
