"""Manifests for the Malayalam Speech Corpus: 1,735 short sentences by 82 speakers, 2.3 hours, recorded in web browsers.

Story: Swathanthra Malayalam Computing collected it from 2019 to 2020 on https://msc.smc.org.in; contributors read
proverbs, stories and conversation and voted on each other's recordings.
Address: https://github.com/smc/msc (``story/`` and ``thirdparty/``, which have other sources, are not read)
Licence: CC BY-SA 4.0.
Layout: ``speech.tsv`` (columns id, sentence, user, fileName, sample, time, vote), ``sentences.tsv`` (id, sentence,
category) and ``audio/*.webm`` (Opus, 48 kHz). libsndfile does not read WebM: the recordings are decoded with PyAV
(extra ``media``) and written beside the manifests as ``audio/<id>.flac``, 16 kHz mono. Those that are there
already are not decoded again.

Used are recordings with more votes for than against (``vote`` above 0) whose sentence is known. Written: train.jsonl,
dev.jsonl and test.jsonl; dev and test have 12 speakers each, chosen by hash among those with fewer than 100
recordings. Many speakers read the same sentences, so texts are shared between the splits.

    python -m data_scripts.prepare_malayalam msc data/malayalam
"""

import importlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import soundfile
from rich.console import Console
from rich.progress import track

from data_scripts.corpus import (
    Segment,
    command_line,
    enforce_count,
    measure,
    one_space,
    print_line,
    read_lines,
    skip,
    write_splits,
)
from speechxfer.data import Utterance, digest
from speechxfer.errors import InputError

RECORDINGS = 1735
SPEAKERS = 82
HELD_OUT_SPEAKERS = 12  # of dev, and again of test
MOST_HELD_OUT = 100  # recordings of a speaker of dev or test
SAMPLE_RATE_HZ = 16000


def prepare(corpus_dir: Path, out_dir: Path, *, partial: bool = False) -> dict[str, Path]:
    """Decode the recordings, write train, dev and test, and return the manifests by name.

    Raises:
        InputError: the layout or the counts are not the published ones, a recording is missing or cannot be decoded
            (without `partial`), or PyAV is not installed.
    """
    corpus_dir, out_dir = Path(corpus_dir), Path(out_dir)
    segments = _segments(corpus_dir, out_dir / "audio", partial=partial)
    utterances = [item.utterance for item in measure(segments, partial=partial)]
    enforce_count("malayalam: utterances", len(utterances), RECORDINGS, partial=partial)
    enforce_count("malayalam: speakers", len({u.speaker for u in utterances}), SPEAKERS, partial=partial)
    return write_splits(out_dir, _split(utterances))


def _segments(corpus_dir: Path, audio_dir: Path, *, partial: bool) -> list[Segment]:
    """The recordings that were voted for, decoded."""
    sentences = {row["id"]: one_space(row["sentence"]) for _, row in _rows(corpus_dir / "sentences.tsv")}
    excluded: Counter[str] = Counter()
    chosen = []
    for where, row in _rows(corpus_dir / "speech.tsv"):
        if not _approved(row["vote"]):
            excluded["no more votes for than against"] += 1
        elif row["sentence"] not in sentences:
            excluded["unknown sentence"] += 1
        elif not (corpus_dir / row["fileName"]).is_file():
            skip(row["id"], f"its audio {row['fileName']} does not exist")
            excluded["no audio"] += 1
        else:
            chosen.append((where, row))
    print_line("excluded: " + ", ".join(f"{count:,} ({reason})" for reason, count in excluded.most_common()))
    audio_dir.mkdir(parents=True, exist_ok=True)
    av = _av()
    segments = []
    for where, row in track(chosen, "decoding", console=Console(stderr=True), transient=True):
        path = audio_dir / f"{Path(row['fileName']).stem}.flac"
        try:
            if not path.is_file():
                _write(path, _decoded(av, corpus_dir / row["fileName"]))
        except (av.FFmpegError, ValueError) as error:
            if not partial:
                raise InputError(
                    f"{where}: {row['fileName']} cannot be decoded ({error}); fetch it again or pass --partial"
                ) from error
            skip(row["id"], f"{row['fileName']} cannot be decoded ({error})")
            continue
        segments.append(Segment(row["id"], path, sentences[row["sentence"]], where, speaker=row["user"], lang="ml"))
    return segments


def _rows(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Rows of a tab-separated table as `file:line` and column to field."""
    lines = read_lines(path)
    columns = lines[0].split("\t") if lines else []
    missing = {"id", "sentence"} - set(columns)
    if missing:
        raise InputError(f"{path}:1: no column {sorted(missing)[0]!r}; expected the corpus's own table: fetch it again")
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        fields = line.split("\t")
        if len(fields) != len(columns):
            raise InputError(f"{path}:{number}: {len(fields)} fields; expected {len(columns)}: correct the line")
        rows.append((f"{path}:{number}", dict(zip(columns, fields, strict=True))))
    return rows


def _approved(vote: str) -> bool:
    """Whether the sum of votes is above 0; recordings that nobody voted on have the word ``default``."""
    return vote.isdigit() and int(vote) > 0


def _decoded(av: ModuleType, path: Path) -> np.ndarray:
    """The samples of a recording at 16 kHz, mono, int16 ``[samples]``."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    frames += resampler.resample(None)
    samples: np.ndarray = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    return samples


def _write(path: Path, samples: np.ndarray) -> None:
    """Write a FLAC file whole or not at all."""
    part = path.with_suffix(".part")
    soundfile.write(part, samples, SAMPLE_RATE_HZ, format="FLAC")
    part.replace(path)


def _av() -> ModuleType:
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise InputError(
            "PyAV is not installed; WebM recordings need it; install the extra media: pip install 'speechxfer[media]'"
        ) from error


def _split(utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    counts = Counter(utterance.speaker for utterance in utterances)
    few = sorted(
        (speaker for speaker, count in counts.items() if count < MOST_HELD_OUT),
        key=lambda speaker: digest("malayalam split", speaker),
    )
    dev, test = set(few[:HELD_OUT_SPEAKERS]), set(few[HELD_OUT_SPEAKERS : 2 * HELD_OUT_SPEAKERS])
    splits: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    for utterance in sorted(utterances, key=lambda utterance: utterance.id):
        split = "dev" if utterance.speaker in dev else "test" if utterance.speaker in test else "train"
        splits[split].append(utterance)
    return splits


if __name__ == "__main__":
    command_line(prepare, __doc__)
