"""The verb `add-tiers`: the tiers of one file of annotations, such as predictions, added to another one."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from speechxfer.annotations import POINT, READABLE, add_tiers, read_annotations
from speechxfer.errors import InputError, count_of
from speechxfer.runtime import check_not_existing, write_atomically


def copy_tiers_of_folders(
    target: Path, source: Path, *, names: Sequence[str] = (), prefix: str = "", out: Path | None = None
) -> str:
    """Add tiers to all TextGrid and ELAN documents of a folder for which another folder has a file of the same name, whatever its
    suffix; arguments and result as for `copy_tiers`. With `out`, the documents are written there, with those that get none.

    Raises:
        InputError: as `copy_tiers`; no document has a file of the same name, two files in `source` have the same, or two folders
            in `target` have one of that name; or a document exists in `out`.
    """
    documents = _files(target, (".eaf", ".textgrid"))
    sources: dict[str, Path] = {}
    for path in _files(source, tuple(suffix.lower() for suffix in READABLE)):
        if path.stem in sources:
            raise InputError(f"{path}: {sources[path.stem]} has the same name; move one of them elsewhere")
        sources[path.stem] = path
    if not any(path.stem in sources for path in documents):
        raise InputError(f"{source}: has no file for a document in {target}; files of one recording need the same name")
    named: dict[str, Path] = {}
    for path in documents:
        other = named.setdefault(path.stem, path)
        if path.stem in sources and other.parent != path.parent:
            raise InputError(
                f"{path}: {other} has the same name, and {sources[path.stem]} can be of one of them only; add tiers to each "
                "folder of documents by itself"
            )
    places = {path: out / path.relative_to(target) if out else path for path in documents}
    check_not_existing(written for path, written in places.items() if written != path)
    lines = []
    for path, written in places.items():
        if path.stem in sources:
            lines.append(copy_tiers(path, sources[path.stem], names=names, prefix=prefix, out=written))
        elif out:
            write_atomically(written, path.read_bytes())
    return "\n".join(lines)


def _files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())


def copy_tiers(
    target: Path, source: Path, *, names: Sequence[str] = (), prefix: str = "", out: Path | None = None
) -> str:
    """Add tiers of a file of annotations to a TextGrid or ELAN document, whose own tiers stay as they are; or of the files of a
    folder to the documents of another (`copy_tiers_of_folders`).

    Args:
        target: the TextGrid or ELAN document.
        source: any file that `read_annotations` reads, of the same recording.
        names: of the tiers to add; none: all that have a text.
        prefix: put before their names, so that they differ from those of the target.
        out: where to write the result; None: in place of the target.

    Returns:
        What was added.

    Raises:
        InputError: a file cannot be read, the source has several recordings or not these tiers, `out` has another suffix than
            `target`, or a name is taken in the target.
    """
    if target.is_dir():
        return copy_tiers_of_folders(target, source, names=names, prefix=prefix, out=out)
    if out is not None and out.suffix.lower() != target.suffix.lower():
        raise InputError(
            f"{out}: the file written is of the same kind as {target}; give --out the suffix {target.suffix}"
        )
    annotations = read_annotations(source)
    if len(annotations) > 1:
        raise InputError(
            f"{source}: has {len(annotations)} recordings; expected that of {target}; give a file of one recording"
        )
    known = {tier.name: tier for tier in annotations[0].tiers}
    unknown = [name for name in names if name not in known]
    if unknown:
        shown = ", ".join(map(repr, known)) or "none"
        raise InputError(f"{source}: has no tier {unknown[0]!r}; its tiers: {shown}; correct --tier")
    with_text = [name for name, tier in known.items() if any(interval.text.strip() for interval in tier.intervals)]
    chosen = [known[name] for name in (names or with_text)]
    if not chosen:
        raise InputError(f"{source}: no tier has a text; there is nothing to add")
    added = [replace(tier, name=f"{prefix}{tier.name}", type=POINT if tier.type == POINT else "") for tier in chosen]
    add_tiers(target, added, out)
    tiers = ", ".join(f"{tier.name!r} ({count_of(len(tier.intervals), 'interval')})" for tier in added)
    return f"{out or target}: added {tiers}"
