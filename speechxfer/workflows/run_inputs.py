"""Training and development data of a run: manifests' paths or utterances, read once."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from speechxfer.config import Config
from speechxfer.data import Utterance, read_concatenated, read_manifests
from speechxfer.errors import InputError

Manifests: TypeAlias = Path | str | Sequence[Path | str] | Sequence[Utterance]
"""The path of a manifest, paths of several, or utterances."""


@dataclass(frozen=True)
class RunData:
    """Utterances that a run trains on, one list for each manifest, and those that select among evaluations."""

    train_parts: tuple[tuple[Utterance, ...], ...]
    dev: tuple[Utterance, ...]

    @property
    def train(self) -> list[Utterance]:
        """The training utterances of all manifests, each once."""
        return [utterance for part in self.train_parts for utterance in part]

    def repeated(self, repeats: Sequence[int]) -> list[Utterance]:
        """The utterances of one epoch: each manifest's, as often as `repeats` (``data.repeats``) says.

        Raises:
            InputError: not one number for each manifest.
        """
        if repeats and len(repeats) != len(self.train_parts):
            raise InputError(
                f"data.repeats has {len(repeats)} numbers for {len(self.train_parts)} training manifests; give one for each, "
                "in their order"
            )
        times = repeats or [1] * len(self.train_parts)
        return [u for part, count in zip(self.train_parts, times, strict=True) for _ in range(count) for u in part]

    def source_data(self, config: Config) -> list[Utterance]:
        """The source's own training data, as ``finetune.source_manifests`` names them."""
        return read_concatenated([Path(path) for path in config.finetune.source_manifests])


def read_run_data(train: Manifests, dev: Manifests) -> RunData:
    """Read the manifests of a run.

    Raises:
        InputError: a bad manifest, no utterance, or an id that occurs twice in `train` or in `dev`.
    """
    train_parts, dev_parts = _parts(train, "train"), _parts(dev, "dev")
    return RunData(train_parts, tuple(utterance for part in dev_parts for utterance in part))


def _parts(given: Manifests, name: str) -> tuple[tuple[Utterance, ...], ...]:
    if isinstance(given, Path | str):
        given = [given]
    utterances = [one for one in given if isinstance(one, Utterance)]
    if not utterances:
        paths = [Path(one) for one in given if isinstance(one, Path | str)]
        if not paths:
            raise InputError(f"{name}: no utterance is given; give utterances or the path of a manifest")
        return tuple(tuple(part) for part in read_manifests(paths))
    if len(utterances) < len(given):
        raise InputError(
            f"{name}: utterances and other values are mixed; give utterances only, or paths of manifests only"
        )
    repeated = [id_ for id_, count in Counter(u.id for u in utterances).items() if count > 1]
    if repeated:
        raise InputError(
            f"{name}: id {repeated[0]!r} occurs twice among the utterances; ids must be unique: rename one"
        )
    return (tuple(utterances),)
