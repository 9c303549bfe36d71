"""Shared by the corpus scripts: segments of audio files, their exact lengths, published counts, writing of manifests.

Lengths come from the files' headers; no audio is decoded or checked (``speechxfer check`` does that). Pseudo-random choices are
made by SHA-256 of the ids (`speechxfer.data.digest`): they depend on the data alone, not on the machine, the order of
files or the version of Python.
"""

import argparse
import codecs
import gzip
import os
import shlex
import sys
import zlib
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from speechxfer.data import (
    UNKNOWN_LENGTH,
    AudioHeader,
    UnreadableAudioError,
    Utterance,
    digest,
    read_audio_header,
    total_duration_s,
    write_manifest,
)
from speechxfer.errors import InputError, first_names
from speechxfer.runtime import escape_unencodable_output

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev", "development": "dev",
    "test": "test", "testing": "test", "eval": "test",
}  # fmt: skip
ROUNDING_S = 0.05  # a rounded duration may exceed the end of its file by this much; it is cut there


@dataclass(frozen=True)
class Segment:
    """One utterance as a corpus lists it, before its audio is read.

    `start` and `frames` count samples at the file's own rate; `offset_s` and `duration_s` are seconds. Without a start the
    segment begins with the file, without a length it ends with it.
    """

    id: str
    path: Path
    text: str
    where: str  # for error messages: table:line or a file
    split: str = ""
    speaker: str = ""
    lang: str = ""
    start: int | None = None
    frames: int | None = None
    offset_s: float | None = None
    duration_s: float | None = None


@dataclass(frozen=True)
class Placed:
    """An utterance and the split that its corpus puts it in ("" where the corpus has no splits)."""

    utterance: Utterance
    split: str


# ---------------------------------------------------------------------------------------------------------- reading
def print_line(message: str) -> None:
    """Print one line to stdout."""
    print(message, flush=True)


def skip(utterance_id: str, reason: str) -> None:
    """Print that an utterance is excluded, and why."""
    print_line(f"excluded: {utterance_id}: {reason}")


def read_lines(path: Path) -> list[str]:
    """Lines of a UTF-8 text file (or UTF-16, if its byte-order mark says so), without line ends and byte-order mark.

    A file called ``.gz`` is unpacked first.

    Raises:
        InputError: the file is missing, a spreadsheet, or not UTF-8 (the message names the line).
    """
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({why}); expected a text file: check the path") from error
    if data.startswith(b"PK\x03\x04"):
        raise InputError(
            f"{path}: a spreadsheet or another archive; expected a text file: save the table as CSV (UTF-8)"
        )
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; expected UTF-8 text: save the file as UTF-8"
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n") if text else []


def one_space(text: str) -> str:
    """The text with every run of whitespace made one space, none at the ends."""
    return " ".join(text.split())


def wave_files(folder: Path) -> dict[str, Path]:
    """The WAV files of a folder (suffix in any case, no hidden files) by name without suffix, in order of name.

    Raises:
        InputError: no such folder, or two files differ in the case of their suffix only.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected the recordings there: give the whole corpus's folder")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() != ".wav" or path.name.startswith("."):
            continue
        if path.stem in files:
            raise InputError(f"{path}: {files[path.stem].name} is there too; ids must be unique: delete one")
        files[path.stem] = path
    return files


def paired_ids(audio: Container[str], texts: Container[str], ids: Iterable[str]) -> list[str]:
    """Those ids that have audio and text, sorted; the others are printed."""
    paired = []
    for name in sorted(set(ids)):
        if name not in texts:
            skip(name, "it has audio but no text")
        elif name not in audio:
            skip(name, "it has text but no audio")
        else:
            paired.append(name)
    return paired


def check_unique(segments: Iterable[Segment]) -> None:
    """Raise InputError where two segments have the same id."""
    seen: dict[str, str] = {}
    for segment in segments:
        if segment.id in seen:
            raise InputError(
                f"{segment.where}: id {segment.id!r} was already used at {seen[segment.id]}; ids must be unique: "
                "rename one or delete it"
            )
        seen[segment.id] = segment.where


def measure(
    segments: Sequence[Segment], *, partial: bool = False, max_unreadable: int = 0, untranscribed: bool = False
) -> list[Placed]:
    """Read the audio headers and turn segments into utterances whose seconds give back exact sample numbers.

    Excluded and printed are segments without a sample, without text, and those whose audio is missing or unreadable, as far as
    that is accepted.

    Args:
        segments: as the corpus lists them.
        partial: accept any number of segments whose audio is missing or unreadable.
        max_unreadable: number of such segments that is accepted without `partial`.
        untranscribed: accept segments without text.

    Raises:
        InputError: an id is used twice, more audio is missing or unreadable than accepted, or a segment reaches beyond its file.
    """
    check_unique(segments)
    headers = _read_headers(segments, None if partial else max_unreadable)
    placed = []
    for segment in segments:
        header = headers[segment.path]
        if isinstance(header, str):
            skip(segment.id, header)
        elif not (segment.text or untranscribed):
            skip(segment.id, "its text is empty")
        else:
            start, frames = _position(segment, header)
            if frames == 0:
                skip(segment.id, "it has no audio samples")
                continue
            placed.append(Placed(_utterance(segment, header, start, frames), segment.split))
    return placed


def _utterance(segment: Segment, header: AudioHeader, start: int, frames: int) -> Utterance:
    return Utterance(
        id=segment.id,
        audio_filepath=segment.path,
        duration=frames / header.rate_hz,
        text=segment.text,
        offset=start / header.rate_hz,
        speaker=segment.speaker,
        lang=segment.lang,
    )


def _read_headers(segments: Sequence[Segment], max_unreadable: int | None) -> dict[Path, AudioHeader | str]:
    """Header of every audio file, or the reason why it cannot be used; InputError for more unusable segments than accepted."""
    first_use: dict[Path, Segment] = {}
    for segment in segments:
        first_use.setdefault(segment.path, segment)
    headers: dict[Path, AudioHeader | str] = {}
    console = Console(stderr=True)
    for path in track(
        first_use, "reading audio headers", console=console, transient=True, disable=not console.is_terminal
    ):
        headers[path] = _read_header(path)
    truncated = [str(path) for path, header in headers.items() if isinstance(header, AudioHeader) and header.truncated]
    if truncated:
        print_line(f"note: truncated recordings, used as far as they go: {len(truncated)} ({first_names(truncated)})")
    unusable = [segment for segment in segments if isinstance(headers[segment.path], str)]
    if max_unreadable is not None and len(unusable) > max_unreadable:
        first = unusable[0]
        more = f" ({len(unusable) - 1} more like it)" if len(unusable) > 1 else ""
        raise InputError(
            f"{first.where}: utterance {first.id!r}: {headers[first.path]}{more}; expected readable audio for every utterance: "
            "correct the path, convert what is not readable (ffmpeg -i FILE FILE.wav), or pass --partial to exclude such "
            "utterances"
        )
    return headers


def _read_header(path: Path) -> AudioHeader | str:
    try:
        header = read_audio_header(path)
    except UnreadableAudioError as error:
        return f"its audio {path}: {error.reason}"
    if header.samples > UNKNOWN_LENGTH:
        return f"its audio {path} does not say how long it is"
    return header


def _position(segment: Segment, header: AudioHeader) -> tuple[int, int]:
    """First sample and number of samples of a segment, checked against the length of its file."""
    rate_hz = header.rate_hz
    start = segment.start if segment.start is not None else round((segment.offset_s or 0.0) * rate_hz)
    left = header.samples - start
    if segment.frames is not None:
        frames, spare = segment.frames, 0
    elif segment.duration_s is not None:
        frames, spare = round(segment.duration_s * rate_hz), round(ROUNDING_S * rate_hz)
    else:
        frames, spare = left, 0
    if start < 0 or left < 0 or frames < 0 or frames > left + spare:
        raise InputError(
            f"{segment.where}: utterance {segment.id!r} covers samples {start} to {start + frames}, but {segment.path} "
            f"has {header.samples} at {rate_hz} Hz; expected a segment inside the file: start and frames count samples, "
            "offset and duration seconds"
        )
    return start, min(frames, left)


# ------------------------------------------------------------------------------------------------------------ splits
def split_by_text(utterances: Iterable[Utterance], corpus: str, count: int) -> dict[str, list[Utterance]]:
    """Split into train, dev and test: about `count` utterances each in dev and test, by hash; equal texts share a split."""
    texts: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        texts.setdefault(utterance.text, []).append(utterance)
    splits: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    for text in sorted(texts, key=lambda text: digest(f"{corpus} split", text)):
        split = next((name for name in ("dev", "test") if len(splits[name]) < count), "train")
        splits[split] += texts[text]
    return {name: sorted(members, key=lambda utterance: utterance.id) for name, members in splits.items()}


# ------------------------------------------------------------------------------------------------ counts
def enforce_count(what: str, found: int, expected: int, *, partial: bool) -> None:
    """Compare the size of a corpus with the published one.

    Raises:
        InputError: `found` differs from `expected` and `partial` is not set (when it is set the difference is printed).
    """
    if found == expected:
        return
    message = f"{what}: found {found:,}, expected {expected:,}"
    if not partial:
        raise InputError(
            f"{message}; the copy is incomplete or of another version: fetch the corpus again, or pass --partial to go "
            "on with what is there"
        )
    print_line(f"note: {message}; going on (--partial)")


# ---------------------------------------------------------------------------------------------------------- writing
def write_splits(out_dir: Path, splits: Mapping[str, Sequence[Utterance]]) -> dict[str, Path]:
    """Write one manifest per split (a name with a slash goes into a subfolder) and return the files by split.

    A manifest of an earlier call for a split that is not written now, such as dev.jsonl, is renamed to dev.jsonl.old, so that
    no training combines it with the new ones.

    Raises:
        InputError: a split would be empty.
    """
    for name, utterances in splits.items():
        if not utterances:
            raise InputError(
                f"split {name!r} for {out_dir} would have no utterance; expected some: see above which were excluded"
            )
    for name in sorted(set(SPLIT_NAMES) - set(splits)):
        older = out_dir / f"{name}.jsonl"
        if older.is_file():
            print_line(f"note: {older} is of an earlier call; renamed to {older.name}.old")
            older.rename(older.with_name(f"{older.name}.old"))
    paths = {}
    for name, utterances in splits.items():
        paths[name] = out_dir / f"{name}.jsonl"
        write_manifest(paths[name], utterances)
        print_line(f"{paths[name]}: {len(utterances):,} utterances, {_hours(utterances)}, {_speakers(utterances)}")
    main_splits = [paths[name] for name in ("train", "valid", "dev", "test") if name in paths]
    print_line(
        f"written to {out_dir}; next: {shlex.join(['speechxfer', 'check', *map(str, main_splits or paths.values())])}"
    )
    return paths


def _hours(utterances: Sequence[Utterance]) -> str:
    seconds = total_duration_s(utterances)
    return f"{seconds / 3600:.2f} h" if seconds >= 36 else f"{seconds:.1f} s"


def _speakers(utterances: Sequence[Utterance]) -> str:
    names = {utterance.speaker for utterance in utterances}
    if "" in names:
        return "speakers not named"
    return f"{len(names)} speaker{'' if len(names) == 1 else 's'}"


# ------------------------------------------------------------------------------------------------------ command line
def path_argument(text: str) -> Path:
    """The path that an argument names; an empty one, which would mean the current folder, is refused."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; name a file or folder")
    return Path(text)


def command_line(prepare: Callable[..., object], description: str | None, *, lang: str = "") -> None:
    """Command line of a corpus script: ``CORPUS_DIR OUT_DIR [--partial] [--lang xx]``; bad input exits with 2.

    Args:
        prepare: called with `corpus_dir`, `out_dir`, `partial` and, where the script has the option, `lang`.
        description: text of ``--help``; the script's docstring.
        lang: default of ``--lang``; "" for a script without the option.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("corpus_dir", type=path_argument, help="folder of the corpus, as published")
    parser.add_argument("out_dir", type=path_argument, help="folder for the manifests")
    parser.add_argument("--partial", action="store_true", help="accept other counts than the published ones")
    if lang:
        parser.add_argument("--lang", default=lang, help="language code for the manifests (default: %(default)s)")
    options = vars(parser.parse_args())
    exit_on_bad_input(lambda: prepare(**options))


def exit_on_bad_input(work: Callable[[], object]) -> None:
    """Run `work`; bad input or a failed write ends with one message on stderr and exit status 2, Ctrl-C with 130."""
    escape_unencodable_output()
    try:
        work()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader of stdout is gone, as after `| head`
        sys.exit(2)
    except OSError as error:
        print(f"error: {error}; check the path, its permissions and the room on the disk", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("error: interrupted; no manifest is half-written: run it again", file=sys.stderr)
        sys.exit(130)
