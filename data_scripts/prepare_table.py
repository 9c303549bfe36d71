"""Manifests from any table of recordings and their texts: the script for your own recordings.

The table is a manifest (``.jsonl``) as ``speechxfer import`` writes it, a TSV or CSV file with a header line (UTF-8, with or
without byte-order mark), or a folder with a ``transcripts.tsv``. In a ``.csv`` the separator (comma, semicolon or tab) is
detected and quoting works as usual; in any other table the separator is a tab and quotes are ordinary characters. Columns, by
any of their names, in any order:

    path      path, audio_filepath, file, filename, file_name, audio, wav    required; relative to the table's folder
    text      text, sentence, transcript, transcription                      required; kept as it is written
    start     start, begin, offset, xmin; end, stop, xmax                    begin and end of the segment: seconds (12.5 or
    end         (end_ms, "End Time - ss.msec" and the like too)              12,5) or minutes:seconds (1:02.5)
    duration  duration                                                       seconds, in place of end
    start     start                                                          without end: first sample, at the file's rate
    frames    frames                                                         number of samples
    id        id, utterance_id, utt_id                                       else the file's name
    speaker   speaker, speaker_id, client_id
    split     split                                                          train, dev (val, valid, validation), test
    lang      lang, language, locale

One manifest per split is written: train.jsonl, dev.jsonl, test.jsonl (another split name becomes a file of that name).
Without a split column the table is split 80/10/10 by hash: whole speakers where there are ten or more; else whole
sentences, so that no sentence is in two splits; but where the same few words are recorded five or more times each, single
recordings. Rows whose audio is missing or unreadable are excluded and printed; if that is more than one row in ten the table
is refused, unless ``--partial`` accepts it. With ``--untranscribed`` no text is needed, and all recordings go into
untranscribed.jsonl, for ``speechxfer self-train`` and ``speechxfer embed``. The recordings are not checked here;
``speechxfer check`` does that next.

    python -m data_scripts.prepare_table recordings.tsv data/mine --lang yo
    python -m data_scripts.prepare_table data/all.jsonl data/mine
    python -m data_scripts.prepare_table more_recordings.tsv data/more --untranscribed
"""

import argparse
import math
import shlex
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from data_scripts.corpus import Placed, exit_on_bad_input, measure, path_argument, print_line, write_splits
from speechxfer.data import (
    MAX_UNREADABLE,
    Utterance,
    read_manifest,
    read_segments,
    split_by_hash,
    take_seconds,
    write_manifest,
)
from speechxfer.errors import InputError


# -------------------------------------------------------------------------------------------------------- splitting
def group_by_split(placed: Iterable[Placed]) -> dict[str, list[Utterance]]:
    """Utterances by split, train, dev and test first, each in the order of the corpus."""
    found: defaultdict[str, list[Utterance]] = defaultdict(list)
    for item in placed:
        found[item.split].append(item.utterance)
    order = [name for name in ("train", "dev", "test") if name in found]
    return {name: found[name] for name in order + sorted(set(found) - set(order))}


# ---------------------------------------------------------------------------------------------------- the manifests
def prepare(
    table: Path,
    out_dir: Path,
    *,
    lang: str = "",
    audio_dir: Path | None = None,
    limit_hours: float | None = None,
    partial: bool = False,
    untranscribed: bool = False,
) -> dict[str, Path]:
    """Write the manifests of a table and return them by split.

    Args:
        table: manifest, TSV or CSV file, or a folder with ``transcripts.tsv``.
        lang: language code for rows that name none.
        audio_dir: folder that the paths are relative to; the table's own by default.
        limit_hours: at most this much of train, speakers in proportion; dev and test stay whole.
        partial: accept any number of rows with missing or unreadable audio; they are excluded.
        untranscribed: write one manifest of that name, without texts.

    Raises:
        InputError: the table or its audio is not as described; the message names table and line.
    """
    table, out_dir = Path(table), Path(out_dir)
    if limit_hours is not None and not limit_hours > 0:
        raise InputError(
            f"the limit of train is {limit_hours} h; expected a number of hours above zero: correct --limit-hours"
        )
    if untranscribed and limit_hours is not None:
        raise InputError("--limit-hours cuts train, and --untranscribed writes none: give one of them only")
    if table.suffix == ".jsonl":
        if untranscribed or audio_dir is not None:
            raise InputError(f"{table}: --untranscribed and --audio-dir are for tables; omit them with a manifest")
        utterances = [replace(item, lang=item.lang or lang) for item in read_manifest(table)]
        return _write(out_dir, _split(utterances), limit_hours)
    segments = read_segments(table, lang=lang, audio_dir=audio_dir, untranscribed=untranscribed)
    max_unreadable = math.floor(MAX_UNREADABLE * len(segments))
    placed = measure(segments, partial=partial, max_unreadable=max_unreadable, untranscribed=untranscribed)
    if not placed:
        raise InputError(f"{table}: every row was excluded; see the reasons above")
    if len(placed) < len(segments):
        print_line(
            f"note: {table}: {len(segments) - len(placed)} of {len(segments)} rows excluded; see the reasons above"
        )
    if untranscribed:
        path = out_dir / "untranscribed.jsonl"
        write_manifest(path, [item.utterance for item in placed])
        embed = [
            "speechxfer",
            "embed",
            "multilingual-small",
            str(path),
            "--out",
            str(out_dir / "map"),
            "--resample",
            "--mono",
        ]
        print_line(f"{path}: {len(placed):,} recordings; next: {shlex.join(embed)}")
        return {"untranscribed": path}
    named = {item.split for item in placed}
    if "train" in named and "dev" not in named:
        print_line(
            f"note: {table}: no row is dev, on which the best checkpoint is selected; mark a tenth of the rows dev"
        )
    splits = group_by_split(placed) if any(named) else _split([item.utterance for item in placed])
    return _write(out_dir, splits, limit_hours)


def _split(utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    splits, groups = split_by_hash(utterances)
    print_line(
        f"note: no column names the splits: split 80/10/10 {groups}, the same way every time; to choose yourself, use a table "
        "with a split column"
    )
    return splits


def _write(out_dir: Path, splits: dict[str, list[Utterance]], limit_hours: float | None) -> dict[str, Path]:
    if limit_hours is not None and "train" in splits:
        splits["train"] = take_seconds(splits["train"], limit_hours * 3600, "limit")
        print_line(f"note: train is cut to {limit_hours} h")
    return write_splits(out_dir, splits)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "table", type=path_argument, help="manifest (.jsonl), TSV or CSV table, or a folder with transcripts.tsv"
    )
    parser.add_argument("out_dir", type=path_argument, help="folder for the manifests")
    parser.add_argument("--lang", default="", help="language code for rows that name none, e.g. yo")
    parser.add_argument(
        "--audio-dir", type=path_argument, help="folder that paths are relative to (default: the table's)"
    )
    parser.add_argument("--limit-hours", type=float, help="keep at most this much of train")
    parser.add_argument("--partial", action="store_true", help="accept any number of rows whose audio is missing")
    parser.add_argument(
        "--untranscribed", action="store_true", help="no text column is needed; for self-train and embed"
    )
    options = vars(parser.parse_args())
    exit_on_bad_input(lambda: prepare(**options))


if __name__ == "__main__":
    main()
