"""Manifests for Malagasy, read: 2,743 sentences, 4.1 hours, three speakers, 16 kHz mono.

Story: recorded in 2020 by two students of AMMI Ghana with the Lig-Aikuma app, in the course on speech recognition
that also gave the Yoruba corpus.
Address: https://github.com/dimbyr/Malagasy_Speech_Data
Licence: MIT.
Layout: ``mlg_data/mlg_audios/<id>.wav`` and ``mlg_data/transcriptions.txt`` with lines ``<id>.wav, TRANSCRIPTION`` in
capitals. ``raw_recordings/``, the same recordings before the damaged ones were removed, is not read. Two of the 2,745
recordings have no text.

Written: train.jsonl, dev.jsonl and test.jsonl (dev and test 100 utterances each, by hash; equal texts share a split).
The speaker is what stands between the session's time and the mode in an id (``200624-124245_mlg_7f0_elicit_0``:
mlg_7f0).

    python -m data_scripts.prepare_malagasy Malagasy_Speech_Data data/malagasy
"""

from pathlib import Path

from data_scripts.corpus import (
    Segment,
    command_line,
    enforce_count,
    measure,
    one_space,
    paired_ids,
    read_lines,
    split_by_text,
    wave_files,
    write_splits,
)
from data_scripts.prepare_yoruba import SPEAKER
from speechxfer.errors import InputError

RECORDINGS = 2743  # with text
HELD_OUT = 100  # utterances of dev, and again of test


def prepare(corpus_dir: Path, out_dir: Path, *, partial: bool = False) -> dict[str, Path]:
    """Write train, dev and test, and return the manifests by name.

    Raises:
        InputError: the layout or the counts are not the published ones.
    """
    folder = Path(corpus_dir) / "mlg_data"
    texts = _read_texts(folder / "transcriptions.txt")
    audio = wave_files(folder / "mlg_audios")
    segments = []
    for name in paired_ids(audio, texts, [*audio, *texts]):
        speaker = SPEAKER.fullmatch(name)
        segments.append(
            Segment(
                id=name,
                path=audio[name],
                text=texts[name],
                where=str(audio[name]),
                speaker=speaker["speaker"] if speaker else "",
                lang="mg",
            )
        )
    utterances = [item.utterance for item in measure(segments, partial=partial)]
    enforce_count("malagasy: utterances", len(utterances), RECORDINGS, partial=partial)
    return write_splits(Path(out_dir), split_by_text(utterances, "malagasy", HELD_OUT))


def _read_texts(path: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        name, comma, text = line.partition(", ")
        if not comma or not name.endswith(".wav"):
            raise InputError(f"{path}:{number}: expected a line <id>.wav, <text>, found {line!r}: correct or delete it")
        name = name.removesuffix(".wav")
        if name in texts:
            raise InputError(f"{path}:{number}: id {name!r} was used before; ids must be unique: delete one")
        texts[name] = one_space(text).lower()
    return texts


if __name__ == "__main__":
    command_line(prepare, __doc__)
