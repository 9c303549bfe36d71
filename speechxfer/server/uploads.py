"""Files that the page sends: written under a safe name, whole or not at all, and never over another file.

A document that is sent again with other content, such as one that was corrected in ELAN, takes the place of the older one, which
is moved to the folder ``replaced`` of the project.
"""

import filecmp
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from speechxfer.errors import InputError
from speechxfer.runtime import temporary_folder
from speechxfer.server.project import ANNOTATED, safe_name

MOST_SOUND_BYTES = 8 << 30
MOST_DOCUMENT_BYTES = 256 << 20
LEAST_FREE_BYTES = 1 << 30
REPLACED = "replaced"


async def receive_file(stream: AsyncIterator[bytes], folder: Path, name: str, *, numbered: bool = False) -> Path:
    """Write an uploaded file into a folder; returns its path.

    Args:
        stream: its content.
        folder: where; made if missing.
        name: that the browser gave it.
        numbered: put a number before the name, so that it is new.

    Raises:
        InputError: a kind of file that is not used, a file that is empty or too large, a recording whose name is taken by another
            one, or a disk that is nearly full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    safe = safe_name(name)
    path = folder / (f"{sum(1 for _ in folder.iterdir()) + 1:04d}-{safe}" if numbered else safe)
    limit = MOST_DOCUMENT_BYTES if path.suffix.lower() in ANNOTATED else MOST_SOUND_BYTES
    with temporary_folder(beside=path) as partial:
        written = await _write(stream, partial / safe, limit)
        if not written:
            raise InputError(f"{safe}: is empty; export or copy it again")
        if path.exists():
            if filecmp.cmp(path, partial / safe, shallow=False):
                return path
            if path.suffix.lower() not in ANNOTATED:
                raise InputError(
                    f"{safe}: another recording of this name is in the project; rename this one, and add it again"
                )
            older = folder.parent / REPLACED
            older.mkdir(exist_ok=True)
            path.rename(older / f"{sum(1 for _ in older.iterdir()) + 1:04d}-{safe}")
        (partial / safe).rename(path)
    return path


async def _write(stream: AsyncIterator[bytes], path: Path, limit: int) -> int:
    """Write what arrives; returns the number of bytes."""
    written = 0
    with path.open("wb") as file:
        async for part in stream:
            written += len(part)
            if written > limit:
                raise InputError(f"{path.name}: is larger than {limit >> 20:,} MiB; cut it into parts")
            if written % (64 << 20) < len(part) and shutil.disk_usage(path.parent).free < LEAST_FREE_BYTES:
                raise InputError(f"{path.name}: less than 1 GiB of the disk is free; make room, and add the file again")
            file.write(part)
    return written
