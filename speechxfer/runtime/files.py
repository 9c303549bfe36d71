"""Files that appear whole or not at all."""

from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write a UTF-8 text file that appears whole or not at all; its folder is made if missing."""
    data = text.encode("utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)
