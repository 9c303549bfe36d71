"""Manifests for Google Speech Commands, version 0.02: 35 English words, one a recording of a second, 2,618 speakers.

Story: recorded in browsers by volunteers for small vocabularies on small devices; 105,829 recordings, about 29 h.
Address: https://www.tensorflow.org/datasets/catalog/speech_commands (speech_commands_v0.02.tar.gz)
Licence: Creative Commons Attribution 4.0 International.
Layout: ``<word>/<speaker>_nohash_<take>.wav``, ``validation_list.txt`` and ``testing_list.txt`` with such paths (all others
are train), ``_background_noise_/*.wav``.
Cite: Pete Warden, 'Speech Commands: a dataset for limited-vocabulary speech recognition', arXiv:1804.03209.

Written:
    35/{train,dev,test}.jsonl   every recording; the text is the word.
    12/{train,dev,test}.jsonl   the ten commands (yes, no, up, down, left, right, on, off, stop, go); as many recordings of
                 `unknown` (any of the other 25 words) as of one command on average; and as many seconds of `silence`, cut
                 from the background noises: the first eight tenths of each file for train, the next for dev, the last for
                 test. The paper's test set of this task is an archive of its own with other draws of unknown and silence, so
                 figures on it differ somewhat.
Pass --partial for a part of the corpus.

    python -m data_scripts.prepare_speech_commands speech_commands_v0.02 data/commands
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import soundfile

from data_scripts.corpus import (
    Segment,
    command_line,
    enforce_count,
    measure,
    print_line,
    read_lines,
    skip,
    wave_files,
    write_splits,
)
from speechxfer.data import Utterance, digest
from speechxfer.errors import InputError

COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
RECORDINGS = {"train": 84_843, "dev": 9_981, "test": 11_005}
WORDS = 35
LISTS = {"dev": "validation_list.txt", "test": "testing_list.txt"}
NOISES = "_background_noise_"
NOISE_PARTS = {"train": (0.0, 0.8), "dev": (0.8, 0.9), "test": (0.9, 1.0)}
SILENCE_S = 1.0


def prepare(corpus_dir: Path, out_dir: Path, *, partial: bool = False) -> dict[str, Path]:
    """Write the tasks of 35 and of 12 words, and return the manifests by name.

    Args:
        corpus_dir: the unpacked archive.
        out_dir: folder for the manifests.
        partial: accept other counts than the published ones.

    Raises:
        InputError: the layout or the counts are not the published ones, or a list names a recording that is not there.
    """
    corpus_dir, out_dir = Path(corpus_dir), Path(out_dir)
    words = _recordings(corpus_dir)
    enforce_count("speech commands: words", len({word for word, _ in words}), WORDS, partial=partial)
    where = _listed(corpus_dir, words, partial=partial)
    segments = [
        Segment(f"{word}/{path.stem}", path, word, str(path), speaker=path.stem.split("_")[0], lang="en")
        for (word, _), path in words.items()
    ]
    splits: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    for placed in measure(segments, partial=partial):
        splits[where.get(placed.utterance.id, "train")].append(placed.utterance)
    for name, expected in RECORDINGS.items():
        enforce_count(f"speech commands: recordings of {name}", len(splits[name]), expected, partial=partial)
    noises = wave_files(corpus_dir / NOISES)
    twelve = {name: _twelve(name, utterances, noises) for name, utterances in splits.items()}
    return write_splits(
        out_dir,
        {f"35/{name}": part for name, part in splits.items()} | {f"12/{name}": part for name, part in twelve.items()},
    )


def _recordings(corpus_dir: Path) -> dict[tuple[str, str], Path]:
    """The recordings by word and name; those without a speaker in their names are excluded and printed."""
    if not corpus_dir.is_dir():
        raise InputError(f"{corpus_dir}: no such folder; give the unpacked archive")
    found = {}
    for folder in sorted(
        path for path in corpus_dir.iterdir() if path.is_dir() and not path.name.startswith(("_", "."))
    ):
        for name, path in wave_files(folder).items():
            if "_nohash_" in name:
                found[(folder.name, name)] = path
            else:
                skip(f"{folder.name}/{name}", "its name is not <speaker>_nohash_<take>")
    if not found:
        raise InputError(f"{corpus_dir}: holds no <word>/<speaker>_nohash_<take>.wav; give the unpacked archive")
    return found


def _listed(corpus_dir: Path, words: Mapping[tuple[str, str], Path], *, partial: bool) -> dict[str, str]:
    """Split by id of what the two lists name."""
    where: dict[str, str] = {}
    known = {f"{word}/{name}" for word, name in words}
    for split, file in LISTS.items():
        path = corpus_dir / file
        if not path.is_file():
            raise InputError(f"{path}: missing; it says which recordings are {split}: unpack the archive again")
        for number, line in enumerate(read_lines(path), start=1):
            name = line.strip().removesuffix(".wav")
            if not name:
                continue
            if name not in known and not partial:
                raise InputError(
                    f"{path}:{number}: {line.strip()} is not there; unpack the archive again, or pass --partial to go on"
                )
            if name not in known:
                skip(name, f"{file} names it and it is not there")
            elif where.setdefault(name, split) != split:
                raise InputError(f"{path}:{number}: {line.strip()} is in both lists; expected it in one: unpack again")
    return where


def _twelve(split: str, utterances: Sequence[Utterance], noises: Mapping[str, Path]) -> list[Utterance]:
    """The ten commands of a split, `unknown` and `silence`, as many of each as of one command on average."""
    commands = [utterance for utterance in utterances if utterance.text in COMMANDS]
    count = round(len(commands) / len(COMMANDS))
    others = sorted(
        (utterance for utterance in utterances if utterance.text not in COMMANDS),
        key=lambda utterance: digest("unknown", utterance.id),
    )
    unknown = [replace(utterance, text="unknown") for utterance in others[:count]]
    return [*commands, *unknown, *_silence(split, count, noises)]


def _silence(split: str, count: int, noises: Mapping[str, Path]) -> list[Utterance]:
    """So many seconds of background noise from this split's part of the files, at places that a hash decides."""
    begin, end = NOISE_PARTS[split]
    room = {}  # first sample and number of possible starts
    for name, path in noises.items():
        info = soundfile.info(str(path))
        first, last = round(begin * info.frames), round(end * info.frames)
        starts = last - first - round(SILENCE_S * info.samplerate) + 1
        if starts > 0:
            room[name] = (first, starts, info.samplerate)
        else:
            print_line(f"note: {path}: its part for {split} is shorter than {SILENCE_S:g} s and gives no silence")
    if not room:
        raise InputError(f"{NOISES}: no file long enough to cut silence of {split} from; unpack the archive again")
    names = sorted(room)
    cut = []
    for number in range(count):
        name = names[number % len(names)]
        first, starts, rate_hz = room[name]
        start = first + int(digest("silence", split, str(number))[:12], 16) % starts
        cut.append(
            Utterance(
                id=f"silence/{split}{number:05d}",
                audio_filepath=noises[name],
                duration=SILENCE_S,
                text="silence",
                offset=start / rate_hz,
                speaker=name,
                lang="en",
            )
        )
    return cut


if __name__ == "__main__":
    command_line(prepare, __doc__)
