"""The one scorer: joins references and hypotheses by id, normalises both alike, aligns them and counts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from speechxfer.errors import InputError
from speechxfer.scoring.alignment import (
    align_characters,
    align_words,
    count_confusions,
    count_errors,
    count_unknown_symbols,
    most_frequent,
    remove_marks,
    sum_confusions,
)
from speechxfer.scoring.bootstrap import (
    bootstrap_interval,
    choose_unit,
    rate_intervals,
    resampled_sums,
    unit_table,
    units_with_words,
)
from speechxfer.scoring.counts import ScoredUtterance
from speechxfer.scoring.report import PooledScore, WerReport
from speechxfer.text import Normalizer, Vocabulary


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
    words, characters = align_words(pairs), align_characters(spelt)
    base = align_characters([(remove_marks(reference), remove_marks(hypothesis)) for reference, hypothesis in spelt])
    rows = tuple(
        ScoredUtterance(
            id=ids[i],
            speaker=speakers[ids[i]] if speakers is not None else "",
            reference=references[ids[i]],
            hypothesis=hypotheses[ids[i]],
            normalized_reference=pairs[i][0],
            normalized_hypothesis=pairs[i][1],
            words=count_errors(words[i]),
            characters=count_errors(characters[i]),
            base_letters=count_errors(base[i]),
        )
        for i in range(len(ids))
    )
    unit, reason = choose_unit(rows)
    intervals = rate_intervals(rows, unit, seed)
    return WerReport(
        rows,
        normalizer,
        *intervals,
        unit,
        reason,
        seed,
        count_confusions(words),
        count_confusions(characters),
        None
        if vocabulary is None
        else count_unknown_symbols(vocabulary, map(spelling or normalizer, references.values())),
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
    unit, reason = choose_unit(rows)
    unknown: Counter[str] = Counter()
    for report in reports:
        unknown.update(dict(report.unknown_symbols or ()))
    return WerReport(
        rows,
        reports[0].normalizer,
        *rate_intervals(rows, unit, reports[0].seed),
        unit,
        reason,
        reports[0].seed,
        sum_confusions([report.word_confusions for report in reports]),
        sum_confusions([report.character_confusions for report in reports]),
        None if reports[0].unknown_symbols is None else most_frequent(unknown),
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
        [unit_table(report.utterances, first.resampling)[:, [0, 2]] for report in reports]
        + [unit_table(first.utterances, first.resampling)[:, [1, 3]]]
    )  # [units, word errors and character errors of each seed, words, characters]
    rng = np.random.default_rng(first.seed)
    sums = units_with_words(resampled_sums(table, rng), column=-2)
    drawn = rng.integers(0, count, size=(len(sums), count))  # [resamples, seeds]
    intervals, rates = [], []
    for offset in (0, 1):
        each = tuple(report.wer if offset == 0 else report.cer for report in reports)
        resampled = sums[:, offset : 2 * count : 2] / sums[:, [-2 + offset]]  # [resamples, seeds]
        mean = sum(each) / count
        values = np.take_along_axis(resampled, drawn, axis=1).mean(axis=1)
        intervals.append(bootstrap_interval(values, mean, len(table), (0.0, max(1.0, mean))))
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
