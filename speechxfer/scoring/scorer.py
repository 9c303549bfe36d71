"""The one scorer: joins references and hypotheses by utterance id, normalises both sides alike, aligns them and counts errors.

Training, evaluation and recipes use it. It is not a decoder and does not judge time stamps; it never imports torch.

Conventions:
    * Rates are fractions of the reference's length, over the whole corpus (never a mean of utterances' rates); they can
      exceed 1. With one word per utterance the WER is the classification error rate.
    * Words are separated by spaces. Characters are code points of the normalised text, including the single spaces between words
      (as in ``jiwer.cer``) and combining marks: a normaliser of form NFD, which separates marks from their letters, gives another
      CER than one of form NFC.
    * Base letters: both sides decomposed (NFD), non-spacing marks (Mn) removed, composed again. Comparing their error rate with
      the CER separates errors of tone and accent from other errors. In scripts that write vowels as Mn marks it ignores vowels.
    * An empty reference counts its insertions. jiwer below version 4 raises an error on one and later versions return a count
      in place of a rate, so such utterances are counted here and never passed to it.

Source of the alignment: Levenshtein's, by jiwer. Intervals: see `bootstrap`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from speechxfer.errors import InputError, first_names
from speechxfer.scoring.alignment import align, count_confusions, count_errors, most_frequent, remove_marks
from speechxfer.scoring.bootstrap import choose_intervals
from speechxfer.scoring.counts import Counts, ScoredUtterance
from speechxfer.scoring.report import WerReport
from speechxfer.text import Normalizer, Vocabulary


def score(
    references: Mapping[str, str],
    hypotheses: Mapping[str, str],
    *,
    speakers: Mapping[str, str] | None = None,
    normalizer: Normalizer = Normalizer(),
    vocabulary: Vocabulary | None = None,
    symbol_normalizer: Normalizer | None = None,
    seed: int = 0,
) -> WerReport:
    """Score hypotheses against references, joined by utterance id.

    Args:
        references: id to text, as the corpus has it (raw, never decoded from labels).
        hypotheses: id to text; the same ids.
        speakers: id to speaker, "" where unknown; may hold other ids too.
        normalizer: applied to both sides; the model's own.
        vocabulary: the model's; symbols of the references that it lacks are counted and shown, and still count as errors. With
            a vocabulary of phones, words are phones, and spaces do not count as characters.
        symbol_normalizer: the normaliser that the vocabulary's symbols were made with, if not `normalizer`.
        seed: of the bootstrap.

    Raises:
        InputError: an id is missing on one side or among the speakers, or the references contain no word at all.

    >>> import speechxfer as sx
    >>> report = sx.score({"a": "one two three", "b": "four"}, {"a": "one too three", "b": "four five"})
    >>> report.wer, report.substitutions, report.insertions
    (0.5, 1, 1)
    >>> print(report)  # doctest: +ELLIPSIS
    WER 50.0 % [...] (1 sub, 0 del, 1 ins of 4 words, 2 utterances)
    ...
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
    words, characters = align(pairs, words=True), align(spelt, words=False)
    bare = [(remove_marks(reference), remove_marks(hypothesis)) for reference, hypothesis in spelt]
    base_letters = align(bare, words=False)
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
            base_letters=count_errors(base_letters[i]),
        )
        for i in range(len(ids))
    )
    unknown: Counter[str] = Counter()
    for text in references.values() if vocabulary else ():
        unknown.update(vocabulary.unknown((symbol_normalizer or normalizer)(text)) if vocabulary else ())
    return WerReport(
        rows,
        normalizer,
        *choose_intervals(rows, seed),
        count_confusions(words),
        count_confusions(characters),
        most_frequent(unknown) if vocabulary else None,
    )


def error_rates(
    pairs: Sequence[tuple[str, str]], normalizer: Normalizer = Normalizer(), vocabulary: Vocabulary | None = None
) -> tuple[float, float]:
    """Word and character error rate of (reference, hypothesis) pairs, as `score` counts them, without intervals; faster.

    Raises:
        InputError: the references contain no word at all.
    """
    normalized = [(normalizer(reference), normalizer(hypothesis)) for reference, hypothesis in pairs]
    if not any(reference for reference, _ in normalized):
        raise InputError(
            "score: the references are empty after normalisation; expected words; check the 'text' of the manifest"
        )
    words = [count_errors(aligned) for aligned in align(normalized, words=True)]
    if vocabulary and vocabulary.kind == "phones":
        normalized = [(reference.replace(" ", ""), hypothesis.replace(" ", "")) for reference, hypothesis in normalized]
    characters = [count_errors(aligned) for aligned in align(normalized, words=False)]
    return sum(words, Counts()).rate, sum(characters, Counts()).rate


def _check_ids(
    references: Mapping[str, str], hypotheses: Mapping[str, str], speakers: Mapping[str, str] | None
) -> None:
    if not references:
        raise InputError("score: there is no reference; expected at least one utterance; check the manifest")
    missing, extra = sorted(set(references) - set(hypotheses)), sorted(set(hypotheses) - set(references))
    if missing or extra:
        parts = [f"{len(missing)} utterances have no hypothesis: {first_names(missing)}"] if missing else []
        parts += [f"{len(extra)} hypotheses have no reference: {first_names(extra)}"] if extra else []
        raise InputError(
            f"score: {'; '.join(parts)}; expected the same ids on both sides; "
            "transcribe the whole manifest, or score against the manifest that was transcribed"
        )
    nameless = sorted(set(references) - set(speakers)) if speakers is not None else []
    if nameless:
        raise InputError(
            f"score: {len(nameless)} utterances are not among the speakers: {first_names(nameless)}; "
            "expected each id; name their speaker ('' where unknown), or pass no speakers"
        )
