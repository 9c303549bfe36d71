"""What a run reads: manifests or utterances, the normaliser and vocabulary of ``[text]``, and how audio may be converted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from speechxfer.checkpoints import read_card
from speechxfer.config import Config
from speechxfer.data import Utterance, read_manifests
from speechxfer.errors import InputError
from speechxfer.features import AudioOptions, FeatureSpec
from speechxfer.text import Kind, Normalizer, Vocabulary, read_letter_tables

TRAIN_IDS = "train_ids.txt"  # in a run's folder: the ids of the utterances that it was trained on
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
        return [u for part, count in zip(self.train_parts, times, strict=True) for u in part * count]


def read_run_data(train: Manifests, dev: Manifests) -> RunData:
    """Read the manifests of a run.

    Raises:
        InputError: a bad manifest, no utterance, or an id that occurs twice in `train` or in `dev`.
    """
    return RunData(_parts(train, "train"), tuple(utterance for part in _parts(dev, "dev") for utterance in part))


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


def build_normalizer(config: Config) -> Normalizer:
    """The normaliser of transcripts that ``[text]`` describes."""
    text = config.text
    return Normalizer(form=text.form, lowercase=text.lowercase, punctuation=text.punctuation)


def vocabulary_kind(config: Config) -> Kind:
    """The kind of symbols; a classifier's symbols are labels, each the whole text of an utterance."""
    return "labels" if config.text.task == "classify" else config.text.vocabulary


def build_vocabulary(config: Config, utterances: Sequence[Utterance]) -> Vocabulary:
    """The vocabulary of these utterances' texts, of the kind that ``[text]`` describes."""
    texts, kind, settings = (u.text for u in utterances), vocabulary_kind(config), config.text
    vocabulary = Vocabulary.from_texts(texts, kind, normalizer=build_normalizer(config), bpe_size=settings.bpe_size)
    return replace(vocabulary, letters=read_letter_tables(Path(settings.letters))) if settings.letters else vocabulary


def trained_audio_options(model: str, spec: FeatureSpec, resample: bool | None, mono: bool | None) -> AudioOptions:
    """How audio is read for the named model.

    Args:
        resample, mono: permissions as in `read_audio`; None: those of the run that trained the model, as its card states
            them, else not permitted.
    """
    config = read_card(model).details.get("config")
    data = config.get("data") if isinstance(config, dict) else None
    stated = data if isinstance(data, dict) else {}
    return AudioOptions(
        spec,
        stated.get("resample") is True if resample is None else resample,
        stated.get("mono") is True if mono is None else mono,
    )
