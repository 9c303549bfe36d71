"""Shared by the corpus scripts: pairing of recordings and texts, published counts, writing of manifests.

Segments and their exact lengths are read by `speechxfer.data`. Pseudo-random choices are
made by SHA-256 of the ids (`speechxfer.data.digest`): they depend on the data alone, not on the machine, the order of
files or the version of Python.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path

from speechxfer.data import SPLIT_NAMES as SPLIT_NAMES
from speechxfer.data import Placed as Placed
from speechxfer.data import Segment as Segment
from speechxfer.data import Utterance, digest, measure_segments, total_duration_s, write_manifest
from speechxfer.data import one_space as one_space
from speechxfer.data import print_line as print_line
from speechxfer.data import read_lines as read_lines
from speechxfer.data import skip as skip
from speechxfer.errors import InputError
from speechxfer.runtime import escape_unencodable_output

measure = measure_segments


# ---------------------------------------------------------------------------------------------------------- reading
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
