"""Manifests for single voices of the Rhasspy project: Kerstin (German, 1,374 sentences) and Nathalie (Dutch, 1,130).

Story: volunteers recorded sentences from the OSCAR corpus in 2021 for voices of the Rhasspy assistant.
Addresses: https://github.com/rhasspy/dataset-voice-kerstin, https://github.com/rhasspy/dataset-voice-nathalie
Licence: CC0 1.0.
Layout: ``verified/<id>.flac`` (48 kHz mono; silence trimmed) and ``metadata.csv`` with lines ``<id>|<text>``.
``audio/``, the same recordings as WebM, is not read. The ids name the voice: ``de_rhasspy-0004`` is Kerstin,
``nl_rhasspy_1`` Nathalie. Kathleen, of the same project, has another layout: ``prepare_kathleen.py``.

Written: train.jsonl, dev.jsonl and test.jsonl (dev and test 60 utterances each, by hash; equal texts share a split).

    python -m data_scripts.prepare_rhasspy dataset-voice-kerstin data/kerstin
"""

from pathlib import Path

from data_scripts.corpus import (
    Segment,
    command_line,
    enforce_count,
    measure,
    one_space,
    read_lines,
    split_by_text,
    write_splits,
)
from speechxfer.errors import InputError

VOICES = {"de": ("kerstin", 1374), "nl": ("nathalie", 1130)}  # language of the ids: name, recordings
HELD_OUT = 60  # utterances of dev, and again of test


def prepare(corpus_dir: Path, out_dir: Path, *, partial: bool = False) -> dict[str, Path]:
    """Write train, dev and test, and return the manifests by name.

    Raises:
        InputError: the layout, the voice or the counts are not the published ones, or audio is missing (without
            `partial`).
    """
    table = Path(corpus_dir) / "metadata.csv"
    lines = read_lines(table)
    lang = lines[0][:2] if lines else ""
    if lang not in VOICES:
        raise InputError(
            f"{table}:1: expected ids de_rhasspy-... or nl_rhasspy_...: give Kerstin's or Nathalie's folder"
        )
    speaker, recordings = VOICES[lang]
    segments = []
    for number, line in enumerate(lines, start=1):
        name, bar, text = line.partition("|")
        if not bar or not name.startswith(f"{lang}_rhasspy"):
            raise InputError(f"{table}:{number}: expected a line {lang}_rhasspy...|<text>, found {line!r}: correct it")
        path = Path(corpus_dir) / "verified" / f"{name}.flac"
        segments.append(Segment(name, path, one_space(text), f"{table}:{number}", speaker=speaker, lang=lang))
    utterances = [item.utterance for item in measure(segments, partial=partial)]
    enforce_count(f"{speaker}: utterances", len(utterances), recordings, partial=partial)
    return write_splits(Path(out_dir), split_by_text(utterances, speaker, HELD_OUT))


if __name__ == "__main__":
    command_line(prepare, __doc__)
