"""Manifests for one language of Mozilla Common Voice: read sentences, many volunteers, MP3 at 32 or 48 kHz.

Story: volunteers read sentences into a web page and vote on each other's recordings; over a hundred languages.
Address: https://commonvoice.mozilla.org/datasets
Licence: CC0 1.0. Do not try to find out who a speaker is.
Layout: ``<language>/{train,dev,test}.tsv`` (also validated, invalidated, other, which are not read) and
``<language>/clips/*.mp3``; the columns used are ``client_id``, ``path``, ``sentence`` and, where there is one, ``locale``.
The folder above ``<language>`` will do as well where it holds one language, or with --lang.
Cite: Ardila et al., 'Common Voice: a massively-multilingual speech corpus', LREC 2020.

Written: train.jsonl, dev.jsonl and test.jsonl, the official splits (one recording of each sentence; no speaker in two of
them). A speaker is the first 16 digits of ``client_id``. Sentences are as read, with their case and punctuation: the
normaliser of training and scoring sees to them. Releases differ in size, so no counts are enforced; what is listed
without audio is an error unless --partial.

    python -m data_scripts.prepare_common_voice cv-corpus-17.0/rw data/rw
"""

from pathlib import Path

from data_scripts.corpus import Segment, command_line, measure, one_space, read_lines, write_splits
from speechxfer.data import Utterance
from speechxfer.errors import InputError

SPLITS = ("train", "dev", "test")
NEEDED = ("client_id", "path", "sentence")
SPEAKER_DIGITS = 16
ANY = "any"


def prepare(corpus_dir: Path, out_dir: Path, *, lang: str = ANY, partial: bool = False) -> dict[str, Path]:
    """Write the official splits and return the manifests by name.

    Args:
        corpus_dir: the language's folder, or the one above it.
        out_dir: folder for the manifests.
        lang: which language of the folder above; "any" where there is only one.
        partial: exclude what is listed without audio.

    Raises:
        InputError: the layout is not Common Voice's, a speaker is in two splits, or audio is missing.
    """
    folder = _language_folder(Path(corpus_dir), lang)
    splits: dict[str, list[Utterance]] = {}
    for split in SPLITS:
        segments = _segments(folder, split)
        splits[split] = sorted((placed.utterance for placed in measure(segments, partial=partial)), key=lambda u: u.id)
    _refuse_shared_speakers(folder, splits)
    return write_splits(Path(out_dir), splits)


def _language_folder(corpus_dir: Path, lang: str) -> Path:
    if (corpus_dir / "train.tsv").is_file():
        return corpus_dir
    found = sorted(path.parent for path in corpus_dir.glob("*/train.tsv"))
    chosen = [path for path in found if lang in (ANY, path.name)]
    if len(chosen) == 1:
        return chosen[0]
    raise InputError(
        f"{corpus_dir}: expected train.tsv there, or in one folder below; found languages: "
        f"{', '.join(path.name for path in found) or 'none'}; give one language's folder, or name it with --lang"
    )


def _segments(folder: Path, split: str) -> list[Segment]:
    path = folder / f"{split}.tsv"
    header, *lines = read_lines(path) or [""]
    columns = {name: number for number, name in enumerate(header.split("\t"))}
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise InputError(
            f"{path}:1: column {missing[0]!r} is missing; expected Common Voice's header line: fetch it again"
        )
    segments = []
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) < len(columns):
            raise InputError(
                f"{path}:{number}: {len(cells)} columns where the header has {len(columns)}; correct the line"
            )
        name = Path(cells[columns["path"]]).name
        locale = cells[columns["locale"]].strip() if "locale" in columns else ""
        segments.append(
            Segment(
                id=Path(name).stem,
                path=folder / "clips" / (name if Path(name).suffix else f"{name}.mp3"),
                text=one_space(cells[columns["sentence"]]),
                where=f"{path}:{number}",
                speaker=cells[columns["client_id"]][:SPEAKER_DIGITS],
                lang=locale or folder.name,
            )
        )
    return segments


def _refuse_shared_speakers(folder: Path, splits: dict[str, list[Utterance]]) -> None:
    seen: dict[str, str] = {}
    for split, utterances in splits.items():
        for utterance in utterances:
            if seen.setdefault(utterance.speaker, split) != split:
                raise InputError(
                    f"{folder}: speaker {utterance.speaker} is in {seen[utterance.speaker]} and in {split}; the official splits "
                    "share none, and early releases that did make scores too good: fetch a newer release"
                )


if __name__ == "__main__":
    command_line(prepare, __doc__, lang=ANY)
