"""Scores: word and character error rates with intervals, paired tests, and what went wrong where.

What it is: `score` joins references and hypotheses by id, normalises both alike, aligns them with jiwer and returns a
`WerReport`; `pool` averages several seeds' reports; `compare` tests two systems on the same utterances. The one scorer
of training, evaluation and recipes. What it is not: a decoder, or a judge of time stamps. It never imports torch.

Conventions:
    * Rates are fractions of the reference's length, over the whole corpus (never a mean of utterances' rates); they can
      pass 1. With one word per utterance the WER is the error rate of classification.
    * Words are what spaces separate. Characters are code points of the normalised text, the single spaces between words
      included (as in ``jiwer.cer``), combining marks too: a normaliser of form NFD, which takes marks off their
      letters, gives another CER than one of form NFC.
    * Base letters: both sides decomposed (NFD), non-spacing marks (Mn) removed, composed again. Their error rate beside
      the CER tells errors of tone and accent from errors of sound. Of scripts that write vowels as Mn marks it leaves
      the vowels out.
    * An empty reference counts its insertions. jiwer itself raises on one before version 4, and since then returns a
      count in place of a rate; so such utterances are counted here and never reach it.
    * Intervals are 95 % percentile intervals of a bootstrap (2,000 resamples, seeded). It draws speakers where at least
      10 have words, else utterances: utterances of one speaker are not independent, but with few clusters a bootstrap
      over clusters is unreliable. Where all units have the same rate (no errors at all, say), resampling shows no
      spread; the interval then is what units of another kind, not drawn by chance, could still make of it.

Sources: bootstrap and probability of improvement: Bisani and Ney, ICASSP 2004. Few clusters: Cameron, Gelbach and
Miller, Review of Economics and Statistics 90(3), 2008. Swapping test: Noreen, Computer-Intensive Methods for Testing
Hypotheses, 1989. Bound for what was never seen: Clopper and Pearson, Biometrika 26, 1934. Alignment: Levenshtein's, by
jiwer.
"""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from speechxfer.errors import InputError
from speechxfer.scoring.bootstrap import RESAMPLES
from speechxfer.scoring.counts import Confusions, Counts, Interval, ScoredUtterance, SpeakerScore, Unit
from speechxfer.scoring.rendering import (
    aligned_errors,
    confusion_table,
    number_of,
    rate_text,
    speaker_table,
    tally_text,
)
from speechxfer.text import Normalizer, describe_symbol

FORMAT = "speechxfer-score-1"


@dataclass(frozen=True)
class WerReport:
    """The scores of one system on a set of utterances: ``str`` gives the headline, `text` all, `to_json` the data.

    Attributes:
        utterances: one row each, in order of ids.
        normalizer: what both sides went through.
        wer_interval: 95 % interval of `wer`, as fractions; likewise the two others.
        resampling: what the intervals resample, "speakers" or "utterances".
        resampling_reason: why.
        seed: of the resampling.
        word_confusions: words taken for others, left out or put in.
        character_confusions: likewise for characters.
        unknown_symbols: symbols of the references that the vocabulary lacks, with counts; None without a vocabulary.
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
        """Words taken for others."""
        return self.word_counts.substitutions

    @property
    def deletions(self) -> int:
        """Words left out."""
        return self.word_counts.deletions

    @property
    def insertions(self) -> int:
        """Words put in."""
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
        words, characters, utterances = self.word_counts, self.character_counts, number_of(self.utterances, "utterance")
        lines = [
            f"WER {rate_text(self.wer, self.wer_interval)} ({tally_text(words)} words, {utterances})",
            f"CER {rate_text(self.cer, self.cer_interval)} ({tally_text(characters)} characters)",
        ]
        if self.base_letter_counts != characters:
            lines[1] += f"; without marks {rate_text(self.base_letter_cer, self.base_letter_cer_interval)}"
        lines.append(f"[95 % interval]: bootstrap over {self.resampling}, because {self.resampling_reason}")
        if self.unknown_symbols:
            shown = ", ".join(f"{describe_symbol(symbol)} x{count:,}" for symbol, count in self.unknown_symbols[:10])
            more = f" and {len(self.unknown_symbols) - 10} more" if len(self.unknown_symbols) > 10 else ""
            lines.append(f"references hold symbols that the model cannot write: {shown}{more}")
        return "\n".join(lines)

    def text(self, *, confusions: int = 20, worst: int = 20) -> str:
        """The whole report: headline, speakers, `confusions` rows of each kind, the `worst` utterances aligned."""
        parts = [str(self)]
        if any(row.speaker for row in self.utterances):
            parts.append(speaker_table(self.speakers))
        parts.append(confusion_table("words", self.word_confusions, confusions))
        parts.append(confusion_table("characters", self.character_confusions, confusions))
        parts.append(aligned_errors(self.utterances, worst))
        return "\n\n".join(part for part in parts if part) + "\n"

    def to_json(self) -> str:
        """The report as JSON, without time, path or hardware: same texts, normaliser and seed, same bytes.

        Rates are fractions. What follows from the rows is written too (rates, totals, speakers), for other programs.
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
        return _json(data)

    @classmethod
    def from_json(cls, text: str) -> "WerReport":
        """The report that `to_json` wrote, with the values it had then.

        Raises:
            InputError: the text is no such report.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"score report: not JSON ({error}); give what WerReport.to_json wrote") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise InputError(f"score report: 'format' is not {FORMAT!r}; give what this release's to_json wrote")
        try:
            unknown = data["unknown_symbols"]
            return cls(
                utterances=tuple(_row_from_dict(row) for row in data["utterances"]),
                normalizer=Normalizer.from_dict(data["normalizer"]),
                wer_interval=_interval_from_list(data["wer_interval"]),
                cer_interval=_interval_from_list(data["cer_interval"]),
                base_letter_cer_interval=_interval_from_list(data["base_letter_cer_interval"]),
                resampling=data["resampling"],
                resampling_reason=data["resampling_reason"],
                seed=data["seed"],
                word_confusions=_confusions_from_dict(data["word_confusions"]),
                character_confusions=_confusions_from_dict(data["character_confusions"]),
                unknown_symbols=None if unknown is None else tuple((symbol, count) for symbol, count in unknown),
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"score report: a field is missing or of another kind ({error}); score anew") from error


@dataclass(frozen=True)
class PooledScore:
    """Several seeds' scores on the same utterances: means of their rates, as fractions, with 95 % intervals.

    The bootstrap draws utterances (or speakers) for all seeds together, and the seeds too. With n seeds, drawing seeds
    shows (n - 1) / n of the variance between them, so with very few seeds the interval is somewhat narrow.
    """

    wer: float
    wer_interval: Interval
    cer: float
    cer_interval: Interval
    wers: tuple[float, ...]
    cers: tuple[float, ...]
    resampling: Unit
    words: int
    utterances: int

    def __str__(self) -> str:
        each = ", ".join(f"{100 * wer:.1f}" for wer in self.wers)
        return (
            f"WER {rate_text(self.wer, self.wer_interval)}, CER {rate_text(self.cer, self.cer_interval)} "
            f"(mean of {len(self.wers)} seeds, WER {each}; {self.words:,} words, {self.utterances:,} utterances; "
            f"bootstrap over {self.resampling} and seeds)"
        )


def read_report(path: Path | str) -> WerReport:
    """The report in a JSON file that holds what `WerReport.to_json` wrote.

    Raises:
        InputError: the file cannot be read or holds no such report; the message names it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give the report.json of an evaluation") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; give the report.json of an evaluation") from error
    try:
        return WerReport.from_json(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


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


def _row_from_dict(row: dict[str, Any]) -> ScoredUtterance:
    parts = {name: Counts(**row[name]) for name in ("words", "characters", "base_letters")}
    return ScoredUtterance(**(row | parts))


def _interval_from_list(pair: list[float]) -> Interval:
    return pair[0], pair[1]


def _confusions_from_dict(data: dict[str, Any]) -> Confusions:
    return Confusions(
        tuple((reference, hypothesis, count) for reference, hypothesis, count in data["substitutions"]),
        tuple((unit, count) for unit, count in data["deletions"]),
        tuple((unit, count) for unit, count in data["insertions"]),
    )
