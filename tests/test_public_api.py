"""The public names: few, none hidden by a module of its name, each with an example in its docstring that runs.

Examples run in a folder with ``data/train.jsonl``, ``data/dev.jsonl`` and ``data/test.jsonl`` (letters a, b and c as tones,
16 kHz) and a recording ``new.wav``; what they write stays there.
"""

import doctest
import pkgutil
import shutil
from pathlib import Path

import pytest

import speechxfer as sx
from tests.tone_corpus import write_tone_corpus

MOST_NAMES = 21


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    for seed, split in enumerate(("train", "dev", "test")):
        utterances = write_tone_corpus(folder / "data" / f"{split}.jsonl", 8, letters="abc", seed=seed, words=(1, 3))
    shutil.copy(utterances[0].audio_filepath, folder / "new.wav")
    return folder


def example_of(name: str) -> doctest.DocTest:
    return doctest.DocTestParser().get_doctest(getattr(sx, name).__doc__ or "", {}, name, None, None)


def test_there_are_few_names() -> None:
    assert len(sx.__all__) <= MOST_NAMES
    assert set(sx.__all__) <= set(dir(sx))


def test_no_module_has_the_name_of_a_public_name() -> None:
    modules = {module.name.rpartition(".")[2] for module in pkgutil.walk_packages(sx.__path__, "speechxfer.")}
    assert modules & set(sx.__all__) == set()


def test_every_name_has_an_example() -> None:
    assert not [name for name in sx.__all__ if not example_of(name).examples]


@pytest.mark.parametrize("name", sx.__all__)
def test_example_runs(name: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(example_of(name), out=report.append)
    assert runner.failures == 0, "".join(report)
