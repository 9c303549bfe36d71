"""Score reports as data: error counts of every utterance, rates with intervals, confusions; written to and read from JSON.

Rendering as text is in `rendering`; only the headline, ``str(report)``, is here.
"""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from speechxfer.errors import InputError, count_of, first_names
from speechxfer.runtime import parse_json, read_text
from speechxfer.scoring.bootstrap import RESAMPLES
from speechxfer.scoring.confidence import ConfidenceScore
from speechxfer.scoring.counts import (
    Confusions,
    Counts,
    Interval,
    ScoredUtterance,
    SpeakerScore,
    Unit,
    format_counts,
    format_rate,
)
from speechxfer.text import AUTO_PHONES, Normalizer, describe_symbol

FORMAT = "speechxfer-score-1"
FIX = "give the report.json that `speechxfer evaluate` writes"


@dataclass(frozen=True)
class WerReport:
    """The scores of one system on a set of utterances; ``str`` is the headline, `render_report` all of it as text.

    Attributes:
        utterances: one row each, in order of ids.
        normalizer: applied to both sides.
        wer_interval: 95 % interval of `wer`, as fractions; likewise the two others.
        resampling: what the intervals resample, "speakers" or "utterances".
        resampling_reason: why.
        seed: of the resampling.
        word_confusions: word substitutions, deletions and insertions.
        character_confusions: likewise for characters.
        unknown_symbols: symbols of the references that the vocabulary lacks, with counts; None without a vocabulary.
        phones: to which the output of the model was restricted, or `AUTO_PHONES` alone: its phones were weighted by how often
            they occurred; None: neither.
        decoder: greedy, or what the beam search used, such as "beam 16, word 4-gram".
        confidence: how well the confidences of the hypotheses' words predict which are right; None: they are not known.
    """

    utterances: tuple[ScoredUtterance, ...]
    normalizer: Normalizer
    wer_interval: Interval
    cer_interval: Interval
    base_letter_cer_interval: Interval
    resampling: Unit
    resampling_reason: str
    seed: int
    word_confusions: Confusions
    character_confusions: Confusions
    unknown_symbols: tuple[tuple[str, int], ...] | None = None
    phones: tuple[str, ...] | None = None
    decoder: str = "greedy"
    confidence: ConfidenceScore | None = None

    @property
    def is_weighted(self) -> bool:
        """Whether the phones were weighted by how often the recordings have them."""
        return self.phones == (AUTO_PHONES,)

    @cached_property
    def word_counts(self) -> Counts:
        """Errors in words, of the whole corpus."""
        return sum((row.words for row in self.utterances), Counts())

    @cached_property
    def character_counts(self) -> Counts:
        """Errors in characters (single spaces included), of the whole corpus."""
        return sum((row.characters for row in self.utterances), Counts())

    @cached_property
    def base_letter_counts(self) -> Counts:
        """Errors in characters without their marks, of the whole corpus."""
        return sum((row.base_letters for row in self.utterances), Counts())

    @property
    def wer(self) -> float:
        """Word error rate, a fraction."""
        return self.word_counts.rate

    @property
    def cer(self) -> float:
        """Character error rate, a fraction."""
        return self.character_counts.rate

    @property
    def base_letter_cer(self) -> float:
        """Character error rate with the marks removed from both sides, a fraction."""
        return self.base_letter_counts.rate

    @property
    def words(self) -> int:
        """Words of the references."""
        return self.word_counts.total

    @property
    def hits(self) -> int:
        """Words recognised."""
        return self.word_counts.hits

    @property
    def substitutions(self) -> int:
        """Substituted words."""
        return self.word_counts.substitutions

    @property
    def deletions(self) -> int:
        """Deleted words."""
        return self.word_counts.deletions

    @property
    def insertions(self) -> int:
        """Inserted words."""
        return self.word_counts.insertions

    @cached_property
    def speakers(self) -> tuple[SpeakerScore, ...]:
        """One row per speaker, in order of names; the speaker "" stands for utterances without one."""
        groups: dict[str, list[ScoredUtterance]] = {}
        for row in self.utterances:
            groups.setdefault(row.speaker, []).append(row)
        return tuple(
            SpeakerScore(
                speaker,
                len(rows),
                sum((row.words for row in rows), Counts()),
                sum((row.characters for row in rows), Counts()),
            )
            for speaker, rows in sorted(groups.items())
        )

    def __str__(self) -> str:
        words, characters, utterances = (
            self.word_counts,
            self.character_counts,
            count_of(len(self.utterances), "utterance"),
        )
        lines = [
            f"WER {format_rate(self.wer, self.wer_interval)} ({format_counts(words)} words, {utterances})",
            f"CER {format_rate(self.cer, self.cer_interval)} ({format_counts(characters)} characters)",
        ]
        if self.base_letter_counts != characters:
            lines[1] += f"; without marks {format_rate(self.base_letter_cer, self.base_letter_cer_interval)}"
        lines.append(f"[95 % interval]: bootstrap over {self.resampling}, because {self.resampling_reason}")
        if self.decoder != "greedy":
            lines.append(f"decoder: {self.decoder}")
        if self.phones:
            restriction = f"restricted to {len(self.phones)} phones: {' '.join(self.phones)}"
            lines.append(f"output {'weighted by the phones of these recordings' if self.is_weighted else restriction}")
        if self.confidence:
            lines.append(str(self.confidence))
        if self.unknown_symbols:
            shown = first_names([f"{describe_symbol(symbol)} x{count:,}" for symbol, count in self.unknown_symbols], 10)
            is_restricted = self.phones and not self.is_weighted
            lacking = "are not among these phones" if is_restricted else "the model's vocabulary lacks"
            lines.append(f"symbols of the references that {lacking}: {shown}")
        return "\n".join(lines)

    def to_json(self) -> str:
        """The report as JSON, without time, path or hardware: same texts, normaliser and seed, same bytes.

        Rates are fractions. Values derived from the rows (rates, totals, speakers) are written too, for other programs.
        """
        data = {
            "format": FORMAT,
            "wer": self.wer,
            "wer_interval": self.wer_interval,
            "cer": self.cer,
            "cer_interval": self.cer_interval,
            "base_letter_cer": self.base_letter_cer,
            "base_letter_cer_interval": self.base_letter_cer_interval,
            "words": asdict(self.word_counts),
            "characters": asdict(self.character_counts),
            "base_letters": asdict(self.base_letter_counts),
            "resampling": self.resampling,
            "resampling_reason": self.resampling_reason,
            "resamples": RESAMPLES,
            "seed": self.seed,
            "normalizer": self.normalizer.to_dict(),
            "unknown_symbols": self.unknown_symbols,
            "word_confusions": asdict(self.word_confusions),
            "character_confusions": asdict(self.character_confusions),
            "speakers": [asdict(row) for row in self.speakers],
            "utterances": [asdict(row) for row in self.utterances],
        }
        if self.phones:
            data["phones"] = self.phones
        if self.decoder != "greedy":
            data["decoder"] = self.decoder
        if self.confidence:
            data["confidence"] = asdict(self.confidence)
        return _json(data)

    @classmethod
    def from_json(cls, text: str, where: str = "score report") -> "WerReport":
        """The report that `to_json` wrote, with the values it had then; `where` opens the message of an error.

        Raises:
            InputError: the text is no such report.
        """
        data = parse_json(text, where, fix=FIX)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise InputError(f"{where}: 'format' is not {FORMAT!r}; {FIX}")
        try:
            normalizer = Normalizer.from_dict(data.get("normalizer"))
            return TypeAdapter(cls).validate_python(data | {"normalizer": normalizer})
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise InputError(
                f"{where}: field {field!r} is missing or of another kind ({first['msg']}); {FIX}"
            ) from error
        except InputError as error:
            raise InputError(f"{where}: {error}") from error


def read_report(path: Path | str) -> WerReport:
    """The report in a JSON file that holds what `WerReport.to_json` wrote.

    Raises:
        InputError: the file cannot be read or holds no such report; the message names it.
    """
    return WerReport.from_json(read_text(path, fix=FIX), str(path))


def _json(data: dict[str, Any]) -> str:
    """JSON with one line per field, and per row of a list of rows."""
    fields = []
    for key, value in data.items():
        if isinstance(value, list) and value:
            body = "[\n" + ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in value) + "\n ]"
        else:
            body = json.dumps(value, ensure_ascii=False)
        fields.append(f" {json.dumps(key)}: {body}")
    return "{\n" + ",\n".join(fields) + "\n}\n"
