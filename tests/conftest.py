"""What several tests share: where the real corpora lie (when they do), and one CPU thread so that results repeat."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.small_models import Tones, write_tones
from tests.warm_programs import WarmPrograms

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the real corpora; tests that want it are skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real corpora are not beside this checkout")
    return SHARED_DATA


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Tones:
    return write_tones(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="session")
def _warm_programs() -> Iterator[WarmPrograms]:
    programs = WarmPrograms()
    yield programs
    programs.close()


@pytest.fixture
def warm_programs(_warm_programs: WarmPrograms) -> Path:
    """Folder with executables ``python`` and ``speechxfer`` that start in a fraction of a second."""
    return _warm_programs.folder
