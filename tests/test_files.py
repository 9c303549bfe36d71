"""Files and folders that are written whole or not at all."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from speechxfer.errors import InputError
from speechxfer.runtime import atomic_file, atomic_folder, files, recover_folder, write_atomically

KILLED_INSIDE = """
import os, signal, sys
from pathlib import Path
from speechxfer.runtime import atomic_file, atomic_folder
with {writer}(sys.argv[1]) as partial:
    (partial / "a" if partial.is_dir() else partial).write_text("new")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def _forget_cleaned_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_cleaned", set())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB; only root can mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_and_its_folder_are_made(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b" / "text", "grün")
    write_atomically(tmp_path / "a" / "b" / "bytes", b"\x00\xff")
    assert (tmp_path / "a" / "b" / "text").read_bytes() == b"gr\xc3\xbcn"
    assert (tmp_path / "a" / "b" / "bytes").read_bytes() == b"\x00\xff"
    assert names(tmp_path / "a" / "b") == ["bytes", "text"]


def test_an_exception_leaves_the_older_file_and_nothing_else(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", "old")
    with pytest.raises(RuntimeError, match="midway"), atomic_file(tmp_path / "file") as partial:
        partial.write_text("half")
        raise RuntimeError("midway")
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with atomic_folder(tmp_path / "model") as partial:
            (partial / content).write_text(content)
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == ["new"]


def test_an_exception_leaves_the_older_folder_and_nothing_else(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "model") as partial:
        (partial / "old").touch()
    with pytest.raises(RuntimeError, match="midway"), atomic_folder(tmp_path / "model") as partial:
        (partial / "new").touch()
        raise RuntimeError("midway")
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == ["old"]


@pytest.mark.parametrize("writer", ["atomic_file", "atomic_folder"])
def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path, writer: str) -> None:
    target = tmp_path / "target"
    code = KILLED_INSIDE.format(writer=writer)
    killed = subprocess.run([sys.executable, "-c", code, str(target)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 1 and names(tmp_path)[0].endswith(".partial")
    write_atomically(tmp_path / "another", "")
    assert names(tmp_path) == ["another"]


def test_temporary_names_of_a_living_writer_stay(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "slow") as partial:
        partial.write_text("whole")
        files._cleaned.clear()
        write_atomically(tmp_path / "quick", "")
    assert (tmp_path / "slow").read_text() == "whole"


def test_files_of_similar_names_are_not_taken_for_leftovers(tmp_path: Path) -> None:
    (tmp_path / "notes.partial").write_text("mine")
    write_atomically(tmp_path / "file", "")
    assert (tmp_path / "notes.partial").read_text() == "mine"


def test_a_kill_between_the_two_renames_is_undone(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "model") as partial:
        (partial / "old").touch()
    (tmp_path / "model").rename(tmp_path / "model.older")  # where a kill leaves it
    recover_folder(tmp_path / "model")
    assert names(tmp_path / "model") == ["old"]
    assert names(tmp_path) == ["model"]


def test_a_kill_after_the_second_rename_leaves_the_new_folder(tmp_path: Path) -> None:
    for name in ("model", "model.older"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    recover_folder(tmp_path / "model")
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == ["model"]


def test_a_folder_recovered_between_the_renames_is_still_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that puts the older folder back while a writer replaces it does not stop the writer."""
    with atomic_folder(tmp_path / "model") as partial:
        (partial / "old").touch()
    rename, renames = Path.rename, []

    def rename_and_recover(self: Path, target: Path) -> Path:
        renames.append(self.name)
        if len(renames) == 2:  # the older one is out of the way, the new one not yet in place
            rename(tmp_path / "model.older", tmp_path / "model")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_and_recover)
    with atomic_folder(tmp_path / "model") as partial:
        (partial / "new").touch()
    assert len(renames) > 2
    assert names(tmp_path / "model") == ["new"]
    assert names(tmp_path) == ["model"]


def test_a_full_disk_is_one_error_and_the_older_file_survives(small_disk: Path) -> None:
    path = small_disk / "report.json"
    write_atomically(path, "old")
    with pytest.raises(InputError, match=r"report\.json: no space left on the disk"):
        write_atomically(path, b"\0" * 1_000_000)
    assert path.read_text() == "old"
    assert names(small_disk) == ["report.json"]


def test_a_full_disk_is_recognised_behind_the_errors_of_libraries(small_disk: Path) -> None:
    from safetensors.torch import save_file

    for save in (torch.save, save_file):
        with pytest.raises(InputError, match="state: no space left"), atomic_file(small_disk / "state") as partial:
            save({"a": torch.zeros(1_000_000)}, partial)
        with pytest.raises(InputError, match="model: no space left"), atomic_folder(small_disk / "model") as partial:
            save({"a": torch.zeros(1_000_000)}, partial / "weights")
    assert names(small_disk) == []


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file" / "below", tmp_path, tmp_path / ("x" * 300), Path("/dev/null")):
        with pytest.raises(InputError, match="choose"):
            write_atomically(path, "")
    with pytest.raises(InputError, match="file: is a file"), atomic_folder(tmp_path / "file"):
        pass
    assert Path("/dev/null").is_char_device()
    assert (tmp_path / "file").read_text() == "mine"


def test_errors_about_other_files_are_not_changed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="other"), atomic_file(tmp_path / "file"):
        (tmp_path / "other").read_bytes()
