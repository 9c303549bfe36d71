"""Phone errors of models by language, in ``phone_results.json``: measured by ``recipes/multilingual/by_language.py``, rendered in
RESULTS.md.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from speechxfer.errors import InputError
from speechxfer.runtime import file_lock, read_text, write_atomically

GROUPS = {  # of speakers, and what they are, in the order of the page
    "unseen language, development": "no real speech of the language is in training; settings were selected on it",
    "unseen language, test": "no real speech of the language is in training, and it selected nothing",
    "unseen speaker": "of a language whose other speakers are in training",
    "trained speaker": "other sentences of speakers who are in training",
}
ALL = "all"  # language of the row that has all languages of a group


@dataclass(frozen=True)
class Rate:
    """A rate in percent with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1f} [{self.low:.1f}, {self.high:.1f}]"


@dataclass(frozen=True)
class LanguageErrors:
    """Errors in one language, or in `ALL`, of one group of speakers.

    Attributes:
        group: a key of `GROUPS`.
        language: BCP 47 code without a region.
        name: of the language, in English.
        sets: the manifests, such as gcompris/dev.
        phones: of the references.
        per, pfer: phone error rate, and panphon's feature edit distance per phone of the references, summed over utterances.
        mean_per, mean_pfer: means over the utterances of each utterance's rates.
        resampling: what the intervals resample, "speakers" or "utterances".
    """

    group: str
    language: str
    name: str
    sets: list[str]
    speakers: int
    utterances: int
    phones: int
    per: Rate
    pfer: Rate
    mean_per: Rate
    mean_pfer: Rate
    resampling: str


@dataclass(frozen=True)
class Measurement:
    """One model's errors by language with one decoder, and how they were measured.

    Attributes:
        weights: SHA-256 of the model's weights.
        decoder: as reports name it, such as "greedy" or "beam 8, word 1-gram", and the phones if they were restricted.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: str
    weights: str
    command: str
    commit: str
    date: str
    hardware: str
    rows: list[LanguageErrors]
    decoder: str = "greedy"


_MEASUREMENTS = TypeAdapter(list[Measurement])


def add_measurement(path: Path, measurement: Measurement) -> None:
    """Add a model's errors to the file, in the place of an earlier measurement of its name and decoder.

    Raises:
        InputError: the file is there and malformed.
    """
    with file_lock(path):
        others = read_measurements(path) if path.exists() else []
        same = [(one.model, one.decoder) == (measurement.model, measurement.decoder) for one in others]
        kept = [one for one, is_same in zip(others, same, strict=True) if not is_same]
        place = same.index(True) if True in same else len(others)
        kept.insert(place, replace(measurement, rows=[_rounded(row) for row in measurement.rows]))
        tree = [asdict(one) for one in kept]
        write_atomically(path, json.dumps(tree, ensure_ascii=False, indent=1) + "\n")


def read_measurements(path: Path) -> list[Measurement]:
    """The measurements of a file.

    Raises:
        InputError: it is missing or malformed.
    """
    text = read_text(path, fix="run stage `evaluate` again")
    try:
        return _MEASUREMENTS.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = " ".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {place}: {first['msg']}; delete it and run stage `evaluate` again") from error


def _rounded(row: LanguageErrors) -> LanguageErrors:
    short = [
        Rate(round(rate.value, 2), round(rate.low, 2), round(rate.high, 2))
        for rate in (row.per, row.pfer, row.mean_per, row.mean_pfer)
    ]
    return replace(row, per=short[0], pfer=short[1], mean_per=short[2], mean_pfer=short[3])
