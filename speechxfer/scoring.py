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
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeAlias

import jiwer
import numpy as np
from numpy.typing import NDArray

from speechxfer.errors import InputError
from speechxfer.text import Normalizer, Vocabulary, describe_symbol

RESAMPLES = 2000
TAIL = 0.025  # left out at each end of an interval
FEWEST_SPEAKERS = 10
SIGNIFICANT = 0.05
CONFUSIONS_KEPT = 50
FORMAT = "speechxfer-score-1"

Unit = Literal["speakers", "utterances"]
Interval: TypeAlias = tuple[float, float]
Pair: TypeAlias = tuple[str | None, str | None]  # an aligned (reference, hypothesis) unit; None: inserted or deleted
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """Errors of an alignment, in words or in characters."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def total(self) -> int:
        """Length of the reference."""
        return self.hits + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors by length of the reference; infinite where there are only insertions, 0 where there is nothing."""
        return self.errors / self.total if self.total else float("inf") if self.errors else 0.0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


@dataclass(frozen=True)
class ScoredUtterance:
    """One utterance's texts, as given and as scored, and its counts."""

    id: str
    speaker: str
    reference: str
    hypothesis: str
    normalized_reference: str
    normalized_hypothesis: str
    words: Counts
    characters: Counts
    base_letters: Counts


@dataclass(frozen=True)
class SpeakerScore:
    """What one speaker's utterances add up to."""

    speaker: str
    utterances: int
    words: Counts
    characters: Counts


@dataclass(frozen=True)
class Confusions:
    """What was taken for what: (reference, hypothesis, count) or (unit, count), most frequent first, at most 50."""

    substitutions: tuple[tuple[str, str, int], ...] = ()
    deletions: tuple[tuple[str, int], ...] = ()
    insertions: tuple[tuple[str, int], ...] = ()


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
        words, characters, utterances = self.word_counts, self.character_counts, _number(self.utterances, "utterance")
        lines = [
            f"WER {_rate(self.wer, self.wer_interval)} ({_tally(words)} words, {utterances})",
            f"CER {_rate(self.cer, self.cer_interval)} ({_tally(characters)} characters)",
        ]
        if self.base_letter_counts != characters:
            lines[1] += f"; without marks {_rate(self.base_letter_cer, self.base_letter_cer_interval)}"
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
            parts.append(_speaker_table(self.speakers))
        parts.append(_confusion_table("words", self.word_confusions, confusions))
        parts.append(_confusion_table("characters", self.character_confusions, confusions))
        parts.append(_aligned_errors(self.utterances, worst))
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
            f"WER {_rate(self.wer, self.wer_interval)}, CER {_rate(self.cer, self.cer_interval)} "
            f"(mean of {len(self.wers)} seeds, WER {each}; {self.words:,} words, {self.utterances:,} utterances; "
            f"bootstrap over {self.resampling} and seeds)"
        )


@dataclass(frozen=True)
class Difference:
    """A's rate less B's, as a fraction (below 0: A is better), with what resampling says about it.

    Attributes:
        a: A's rate.
        b: B's rate.
        difference: ``a - b``.
        interval: its 95 % interval by paired bootstrap.
        probability_a_better: share of resamples in which A has fewer errors, ties by half (Bisani and Ney 2004).
        p_value: two-sided, by swapping A and B at random unit by unit (Noreen 1989): the chance of a difference this
            large if it did not matter which system is which. Unlike a bootstrap's, it stays honest with very few units.
    """

    a: float
    b: float
    difference: float
    interval: Interval
    probability_a_better: float
    p_value: float

    @property
    def significant(self) -> bool:
        """Whether `p_value` is below 0.05."""
        return self.p_value < SIGNIFICANT


@dataclass(frozen=True)
class Comparison:
    """Two systems on the same utterances; ``str`` says which is better, or that the data cannot show it."""

    wer: Difference
    cer: Difference
    resampling: Unit
    units: int
    names: tuple[str, str] = ("A", "B")

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self._verdict(self.wer)}: {_difference(self.wer, 'WER', self.names)}",
                f"{self._verdict(self.cer)}: {_difference(self.cer, 'CER', self.names)}",
                f"(difference: {' less '.join(self.names)}, in points; "
                f"{self.units:,} {self.resampling} resampled in pairs)",
            ]
        )

    def _verdict(self, difference: Difference) -> str:
        if not difference.significant:
            return "no difference that the data can show"
        better, worse = self.names if difference.difference < 0 else self.names[::-1]
        return f"{better} better than {worse}"


def score(
    references: Mapping[str, str],
    hypotheses: Mapping[str, str],
    *,
    speakers: Mapping[str, str] | None = None,
    normalizer: Normalizer = Normalizer(),
    vocabulary: Vocabulary | None = None,
    spelling: Normalizer | None = None,
    seed: int = 0,
) -> WerReport:
    """Score hypotheses against references, joined by utterance id.

    Args:
        references: id to text, as the corpus has it (raw, never decoded from labels).
        hypotheses: id to text; the same ids.
        speakers: id to speaker, "" where unknown; may hold other ids too.
        normalizer: applied to both sides; the model's own.
        vocabulary: the model's; symbols of the references that it lacks are counted and shown, and stay references. With
            one of phones, words are phones, and spaces do not count as characters.
        spelling: the normaliser that makes the vocabulary's symbols, if another one than `normalizer`.
        seed: of the bootstrap.

    Raises:
        InputError: an id has no partner or no speaker, or the references hold no word at all.
    """
    _check_ids(references, hypotheses, speakers)
    ids = sorted(references)
    pairs = [(normalizer(references[i]), normalizer(hypotheses[i])) for i in ids]
    if not any(reference for reference, _ in pairs):
        raise InputError(
            f"score: the references of all {len(ids)} utterances are empty after normalisation, so there is no error "
            "rate; expected words; check the 'text' of the manifest"
        )
    spelt = pairs
    if vocabulary and vocabulary.kind == "phones":
        spelt = [(reference.replace(" ", ""), hypothesis.replace(" ", "")) for reference, hypothesis in pairs]
    words, characters = _align_words(pairs), _align_characters(spelt)
    base = _align_characters(
        [(_without_marks(reference), _without_marks(hypothesis)) for reference, hypothesis in spelt]
    )
    rows = tuple(
        ScoredUtterance(
            id=ids[i],
            speaker=speakers[ids[i]] if speakers is not None else "",
            reference=references[ids[i]],
            hypothesis=hypotheses[ids[i]],
            normalized_reference=pairs[i][0],
            normalized_hypothesis=pairs[i][1],
            words=_count(words[i]),
            characters=_count(characters[i]),
            base_letters=_count(base[i]),
        )
        for i in range(len(ids))
    )
    unit, reason = _choose_unit(rows)
    intervals = _rate_intervals(rows, unit, seed)
    return WerReport(
        rows,
        normalizer,
        *intervals,
        unit,
        reason,
        seed,
        _confusions(words),
        _confusions(characters),
        None if vocabulary is None else _unknown_symbols(vocabulary, map(spelling or normalizer, references.values())),
    )


def join(reports: Sequence[WerReport]) -> WerReport:
    """One report on the utterances of several, which share none, as each counted them; the interval is over all of them.

    Raises:
        InputError: no report, an utterance is in two of them, or they were normalised differently.
    """
    rows = tuple(sorted((row for report in reports for row in report.utterances), key=lambda row: row.id))
    twice = [row.id for row, other in pairwise(rows) if row.id == other.id]
    if not rows or twice or len({report.normalizer for report in reports}) > 1:
        raise InputError(
            f"join: {len(reports)} reports, {len(twice)} utterances in two of them; expected reports on different utterances "
            "under one normaliser"
        )
    unit, reason = _choose_unit(rows)
    unknown: Counter[str] = Counter()
    for report in reports:
        unknown.update(dict(report.unknown_symbols or ()))
    return WerReport(
        rows,
        reports[0].normalizer,
        *_rate_intervals(rows, unit, reports[0].seed),
        unit,
        reason,
        reports[0].seed,
        _summed([report.word_confusions for report in reports]),
        _summed([report.character_confusions for report in reports]),
        None if reports[0].unknown_symbols is None else _most_frequent(unknown),
    )


def pool(reports: Sequence[WerReport]) -> PooledScore:
    """Average the reports of several seeds of one system on the same utterances.

    Raises:
        InputError: no report, or they are not of the same utterances, references, speakers and normaliser.
    """
    if not reports:
        raise InputError("pool: no report; expected one per seed")
    first = reports[0]
    for other in reports[1:]:
        check_same_task(first, other)
    count = len(reports)
    table = np.hstack(
        [_unit_table(report.utterances, first.resampling)[:, [0, 2]] for report in reports]
        + [_unit_table(first.utterances, first.resampling)[:, [1, 3]]]
    )  # [units, word errors and character errors of each seed, words, characters]
    rng = np.random.default_rng(first.seed)
    sums = _with_words(_resampled_sums(table, rng), column=-2)
    drawn = rng.integers(0, count, size=(len(sums), count))  # [resamples, seeds]
    intervals, rates = [], []
    for offset in (0, 1):
        each = tuple(report.wer if offset == 0 else report.cer for report in reports)
        resampled = sums[:, offset : 2 * count : 2] / sums[:, [-2 + offset]]  # [resamples, seeds]
        mean = sum(each) / count
        values = np.take_along_axis(resampled, drawn, axis=1).mean(axis=1)
        intervals.append(_interval(values, mean, len(table), (0.0, max(1.0, mean))))
        rates.append((mean, each))
    return PooledScore(
        wer=rates[0][0],
        wer_interval=intervals[0],
        cer=rates[1][0],
        cer_interval=intervals[1],
        wers=rates[0][1],
        cers=rates[1][1],
        resampling=first.resampling,
        words=first.words,
        utterances=len(first.utterances),
    )


def compare(a: WerReport, b: WerReport, *, names: tuple[str, str] = ("A", "B")) -> Comparison:
    """Test whether two systems differ on the same utterances; see `Difference` for the test.

    Raises:
        InputError: the reports are not of the same utterances, references, speakers and normaliser.
    """
    check_same_task(a, b)
    of_a, of_b = (_unit_table(report.utterances, a.resampling) for report in (a, b))  # [units, 6]
    wer, cer = (_paired_difference(of_a[:, column], of_b[:, column], of_a[:, column + 1], a.seed) for column in (0, 2))
    return Comparison(wer, cer, a.resampling, len(of_a), names)


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


# Joining and aligning ------------------------------------------------------------------------------------------------


def _check_ids(
    references: Mapping[str, str], hypotheses: Mapping[str, str], speakers: Mapping[str, str] | None
) -> None:
    if not references:
        raise InputError("score: there is no reference; expected at least one utterance; check the manifest")
    missing, extra = sorted(set(references) - set(hypotheses)), sorted(set(hypotheses) - set(references))
    if missing or extra:
        parts = [f"{len(missing)} utterances have no hypothesis: {_listed(missing)}"] if missing else []
        parts += [f"{len(extra)} hypotheses have no reference: {_listed(extra)}"] if extra else []
        raise InputError(
            f"score: {'; '.join(parts)}; expected the same ids on both sides; "
            "transcribe the whole manifest, or score against the manifest that was transcribed"
        )
    nameless = sorted(set(references) - set(speakers)) if speakers is not None else []
    if nameless:
        raise InputError(
            f"score: {len(nameless)} utterances are not among the speakers: {_listed(nameless)}; "
            "expected each id; name their speaker ('' where unknown), or pass no speakers"
        )


def _listed(ids: Sequence[str], most: int = 20) -> str:
    return ", ".join(ids[:most]) + (f" and {len(ids) - most} more" if len(ids) > most else "")


def _align_words(pairs: Sequence[tuple[str, str]]) -> list[list[Pair]]:
    """Align the words of normalised (reference, hypothesis) texts: aligned pairs per utterance."""
    return _align([(reference.split(), hypothesis.split()) for reference, hypothesis in pairs], words=True)


def _align_characters(pairs: Sequence[tuple[str, str]]) -> list[list[Pair]]:
    return _align([(list(reference), list(hypothesis)) for reference, hypothesis in pairs], words=False)


def _align(pairs: Sequence[tuple[list[str], list[str]]], *, words: bool) -> list[list[Pair]]:
    glue, process = (" ", jiwer.process_words) if words else ("", jiwer.process_characters)
    full = [(reference, hypothesis) for reference, hypothesis in pairs if reference and hypothesis]
    chunks: Iterator[list[jiwer.AlignmentChunk]] = iter(())
    if full:
        references, hypotheses = ([glue.join(units) for units in side] for side in zip(*full, strict=True))
        chunks = iter(process(references, hypotheses).alignments)
    aligned: list[list[Pair]] = []
    for reference, hypothesis in pairs:
        if reference and hypothesis:
            aligned.append([pair for chunk in next(chunks) for pair in _pairs_of(chunk, reference, hypothesis)])
        else:  # one side is empty: nothing to align
            aligned.append([*((unit, None) for unit in reference), *((None, unit) for unit in hypothesis)])
    return aligned


def _pairs_of(chunk: jiwer.AlignmentChunk, reference: list[str], hypothesis: list[str]) -> Iterator[Pair]:
    of_reference = reference[chunk.ref_start_idx : chunk.ref_end_idx]
    of_hypothesis = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
    if chunk.type == "delete":
        return ((unit, None) for unit in of_reference)
    if chunk.type == "insert":
        return ((None, unit) for unit in of_hypothesis)
    return zip(of_reference, of_hypothesis, strict=True)


def _count(pairs: Iterable[Pair]) -> Counts:
    tally = Counter(_verdict(pair) for pair in pairs)
    return Counts(tally["="], tally["S"], tally["D"], tally["I"])


def _verdict(pair: Pair) -> str:
    reference, hypothesis = pair
    if reference is None:
        return "I"
    if hypothesis is None:
        return "D"
    return "=" if reference == hypothesis else "S"


def _without_marks(text: str) -> str:
    letters = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    return unicodedata.normalize("NFC", " ".join(letters.split()))


def _confusions(aligned: Iterable[Iterable[Pair]]) -> Confusions:
    substitutions: Counter[tuple[str, str]] = Counter()
    deletions: Counter[str] = Counter()
    insertions: Counter[str] = Counter()
    for pairs in aligned:
        for reference, hypothesis in pairs:
            if reference is None and hypothesis is not None:
                insertions[hypothesis] += 1
            elif reference is not None and hypothesis is None:
                deletions[reference] += 1
            elif reference is not None and hypothesis is not None and reference != hypothesis:
                substitutions[reference, hypothesis] += 1
    return _ranked(substitutions, deletions, insertions)


def _summed(several: Iterable[Confusions]) -> Confusions:
    """The confusions of several reports in one; what a report left out, being rarer than its 50th, is not known."""
    substitutions: Counter[tuple[str, str]] = Counter()
    deletions: Counter[str] = Counter()
    insertions: Counter[str] = Counter()
    for each in several:
        substitutions.update({(reference, hypothesis): count for reference, hypothesis, count in each.substitutions})
        deletions.update(dict(each.deletions))
        insertions.update(dict(each.insertions))
    return _ranked(substitutions, deletions, insertions)


def _ranked(
    substitutions: "Counter[tuple[str, str]]", deletions: "Counter[str]", insertions: "Counter[str]"
) -> Confusions:
    frequent = sorted(substitutions.items(), key=lambda item: (-item[1], item[0]))[:CONFUSIONS_KEPT]
    return Confusions(
        tuple((reference, hypothesis, count) for (reference, hypothesis), count in frequent),
        _most_frequent(deletions)[:CONFUSIONS_KEPT],
        _most_frequent(insertions)[:CONFUSIONS_KEPT],
    )


def _most_frequent(counts: "Counter[str]") -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _unknown_symbols(vocabulary: Vocabulary, texts: Iterable[str]) -> tuple[tuple[str, int], ...]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(vocabulary.unknown(text))
    return _most_frequent(counts)


# Resampling ----------------------------------------------------------------------------------------------------------


def _choose_unit(rows: Sequence[ScoredUtterance]) -> tuple[Unit, str]:
    """What the bootstrap draws, and why."""
    nameless = sum(not row.speaker for row in rows)
    if nameless == len(rows):
        return "utterances", "the speakers are not given"
    if nameless:
        return "utterances", f"{nameless:,} of {len(rows):,} utterances have no speaker"
    count = len({row.speaker for row in rows if row.words.total})
    if count < FEWEST_SPEAKERS:
        return "utterances", (
            f"with fewer than {FEWEST_SPEAKERS} speakers (here {count}) a bootstrap over speakers is unreliable "
            "(Cameron, Gelbach and Miller 2008); other speakers may differ more than the interval says"
        )
    return "speakers", f"utterances of one speaker are not independent (there are {count:,} speakers)"


def _unit_table(rows: Sequence[ScoredUtterance], unit: Unit) -> Floats:
    """Counts per unit, ``[units, 6]``: errors and length in words, in characters, in base letters; whole numbers."""
    sums: dict[str, list[int]] = {}
    for row in rows:
        counts = [n for part in (row.words, row.characters, row.base_letters) for n in (part.errors, part.total)]
        key = row.speaker if unit == "speakers" else row.id
        sums[key] = [x + y for x, y in zip(sums.get(key, [0] * 6), counts, strict=True)]
    return np.array([sums[key] for key in sorted(sums)], dtype=np.float64)


def _resampled_sums(table: Floats, rng: np.random.Generator) -> Floats:
    """Column sums of ``[units, columns]`` over units drawn with replacement: ``[resamples, columns]``, exact."""
    units = len(table)
    step = max(1, 2_000_000 // units)  # resamples at a time, to bound memory
    parts = []
    for start in range(0, RESAMPLES, step):
        count = min(step, RESAMPLES - start)
        drawn = rng.integers(0, units, size=(count, units)) + units * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * units).reshape(count, units)
        parts.append(times.astype(np.float64) @ table)
    return np.vstack(parts)


def _with_words(sums: Floats, column: int) -> Floats:
    """Only resamples whose references are not all empty (lengths in `column`): others have no rate."""
    return sums[sums[:, column] > 0]


def _rate_intervals(rows: Sequence[ScoredUtterance], unit: Unit, seed: int) -> tuple[Interval, Interval, Interval]:
    table = _unit_table(rows, unit)
    sums = _resampled_sums(table, np.random.default_rng(seed))
    wer, cer, base = (_rate_interval(table[:, start : start + 2], sums[:, start : start + 2]) for start in (0, 2, 4))
    return wer, cer, base


def _rate_interval(counts: Floats, sums: Floats) -> Interval:
    """Interval of errors by length from ``[units, 2]`` counts and their ``[resamples, 2]`` sums."""
    sums = _with_words(sums, column=1)
    errors, length = counts.sum(axis=0)
    if not length:
        return 0.0, 0.0  # a text of marks alone has no base letters
    rate = float(errors / length)
    return _interval(sums[:, 0] / sums[:, 1], rate, len(counts), (0.0, max(1.0, rate)))


def _interval(values: Floats, estimate: float, units: int, extremes: Interval) -> Interval:
    """95 % percentile interval of resampled `values`.

    If all are the same, no unit differed from another. Units of another kind, at the `extremes`, may still make up a
    share ``1 - 0.025 ** (1 / units)``: any smaller share escapes `units` draws with a probability above 2.5 %.
    """
    if np.ptp(values) > 0:
        low, high = np.quantile(values, (TAIL, 1 - TAIL))
        return float(low), float(high)
    seen = TAIL ** (1 / units)
    return seen * estimate + (1 - seen) * extremes[0], seen * estimate + (1 - seen) * extremes[1]


def check_same_task(a: WerReport, b: WerReport) -> None:
    """Reports can be set against each other only where nothing but the hypotheses differs."""
    only_a, only_b = ({row.id for row in x.utterances} - {row.id for row in y.utterances} for x, y in ((a, b), (b, a)))
    if only_a or only_b:
        raise InputError(
            "compare: the reports are of different utterances; "
            f"only in the first: {_listed(sorted(only_a)) or 'none'}; "
            f"only in the second: {_listed(sorted(only_b)) or 'none'}; "
            "expected the same; score both against the same manifest"
        )
    if a.normalizer != b.normalizer:
        raise InputError(
            f"compare: the reports were normalised differently ({a.normalizer} and {b.normalizer}); "
            "expected one normaliser; score both with the same"
        )
    for name, what in (("normalized_reference", "reference"), ("speaker", "speaker")):
        other = [x.id for x, y in zip(a.utterances, b.utterances, strict=True) if getattr(x, name) != getattr(y, name)]
        if other:
            raise InputError(
                f"compare: {len(other)} utterances have another {what} in the second report: {_listed(other)}; "
                "expected the same; score both against the same manifest"
            )
    lengths = [[(row.words.total, row.characters.total) for row in report.utterances] for report in (a, b)]
    if lengths[0] != lengths[1]:
        raise InputError(
            "compare: the reports count the same references differently (one of phones, one of letters); score both with models "
            "of one kind of vocabulary"
        )


def _paired_difference(errors_a: Floats, errors_b: Floats, lengths: Floats, seed: int) -> Difference:
    """Compare ``[units]`` errors of two systems whose references have ``[units]`` lengths."""
    rng = np.random.default_rng(seed)
    gaps, length = errors_a - errors_b, lengths.sum()
    sums = _with_words(_resampled_sums(np.column_stack([gaps, lengths]), rng), column=1)
    better = float(np.mean(sums[:, 0] < 0) + np.mean(sums[:, 0] == 0) / 2)
    a, b = float(errors_a.sum() / length), float(errors_b.sum() / length)
    difference = float(gaps.sum() / length)
    interval = _interval(sums[:, 0] / sums[:, 1], difference, len(gaps), (-1.0, 1.0))
    return Difference(a, b, difference, interval, better, _swapping_p(gaps, rng))


def _swapping_p(gaps: Floats, rng: np.random.Generator) -> float:
    """Two-sided p of the summed ``[units]`` gaps when each unit's sign is tossed."""
    step = max(1, 2_000_000 // len(gaps))
    as_large = 0
    for start in range(0, RESAMPLES, step):
        signs = 1.0 - 2.0 * rng.integers(0, 2, size=(min(step, RESAMPLES - start), len(gaps)))
        as_large += int(np.count_nonzero(np.abs(signs @ gaps) >= abs(gaps.sum())))
    return (1 + as_large) / (1 + RESAMPLES)


# Showing and reading -------------------------------------------------------------------------------------------------


def _rate(rate: float, interval: Interval) -> str:
    return f"{100 * rate:.1f} % [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _number(rows: Sequence[object], name: str) -> str:
    return f"{len(rows):,} {name}" + ("" if len(rows) == 1 else "s")


def _tally(counts: Counts) -> str:
    return f"{counts.substitutions:,} sub, {counts.deletions:,} del, {counts.insertions:,} ins of {counts.total:,}"


def _difference(difference: Difference, name: str, systems: tuple[str, str]) -> str:
    low, high = (100 * bound for bound in difference.interval)
    probability = difference.probability_a_better
    better = systems[0] if probability >= 0.5 else systems[1]
    return (
        f"{name} {100 * difference.a:.1f} % against {100 * difference.b:.1f} %, "
        f"difference {100 * difference.difference:+.1f} [{low:+.1f}, {high:+.1f}], p = {difference.p_value:.4f}, "
        f"probability that {better} is better {max(probability, 1 - probability):.3f}"
    )


def _speaker_table(speakers: Sequence[SpeakerScore]) -> str:
    width = max(7, *(_width(row.speaker) for row in speakers))
    lines = [f"{_padded('speaker', width)}  utterances    words    WER %    CER %    sub    del    ins"]
    for row in speakers:
        words, name = row.words, _padded(row.speaker or "(none)", width)
        lines.append(
            f"{name}  {row.utterances:>10,}  {words.total:>7,}"
            f"  {100 * words.rate:>7.1f}  {100 * row.characters.rate:>7.1f}"
            f"  {words.substitutions:>5,}  {words.deletions:>5,}  {words.insertions:>5,}"
        )
    return "\n".join(lines)


def _confusion_table(name: str, confusions: Confusions, most: int) -> str:
    """Three lists, the most frequent first; empty when there is no error."""
    listed = {
        f"{name} taken for others": [
            f"{count:>7,}  {_shown(reference)} > {_shown(hypothesis)}"
            for reference, hypothesis, count in confusions.substitutions[:most]
        ],
        f"{name} left out": [f"{count:>7,}  {_shown(unit)}" for unit, count in confusions.deletions[:most]],
        f"{name} put in": [f"{count:>7,}  {_shown(unit)}" for unit, count in confusions.insertions[:most]],
    }
    return "\n\n".join(f"{title}\n" + "\n".join(rows) for title, rows in listed.items() if rows)


def _shown(unit: str) -> str:
    """A unit as it is, but a lone mark, space or apostrophe by its name."""
    return unit if any(character.isalnum() for character in unit) else describe_symbol(unit)


def _aligned_errors(rows: Sequence[ScoredUtterance], most: int) -> str:
    """The utterances with the most word errors, reference above hypothesis; errors in capitals S, D, I below."""
    worst = sorted((row for row in rows if row.words.errors), key=lambda row: (-row.words.errors, row.id))[:most]
    if not worst:
        return ""
    aligned = _align_words([(row.normalized_reference, row.normalized_hypothesis) for row in worst])
    blocks = [f"most errors: {_number(worst, 'utterance')}"]
    for row, pairs in zip(worst, aligned, strict=True):
        who = f", {row.speaker}" if row.speaker else ""
        blocks.append(f"{row.id}{who}: {row.words.errors} errors of {row.words.total} words\n" + _drawn(pairs))
    return "\n\n".join(blocks)


def _drawn(pairs: Sequence[Pair], columns: int = 100) -> str:
    """REF, HYP and error rows, wrapped at about `columns` columns."""
    blocks: list[list[str]] = []
    used = columns
    for pair in pairs:
        reference, hypothesis = pair
        width = max(_width(reference or ""), _width(hypothesis or ""), 1)
        if used + width > columns:
            blocks.append(["REF:", "HYP:", "    "])
            used = 4
        verdict = _verdict(pair).replace("=", "")
        cells = (reference or "*" * width, hypothesis or "*" * width, verdict)
        blocks[-1] = [f"{line} {_padded(cell, width)}" for line, cell in zip(blocks[-1], cells, strict=True)]
        used += width + 1
    return "\n".join(line.rstrip() for block in blocks for line in block if line.strip())


def _width(text: str) -> int:
    """Columns that a text takes on a terminal: marks and joiners none, wide East Asian characters two."""
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


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
