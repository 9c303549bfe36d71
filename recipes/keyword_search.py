"""How well `speechxfer find` finds words in speech, compared with searching the greedily decoded text.

    python -m recipes.keyword_search exp/train/plain-multilingual-small-2-1 --on data/dev.jsonl --out keyword_search.json

Keywords: all words of the manifest's normalised texts that have at least `MIN_LETTERS` letters, occur in at least
`MIN_UTTERANCES` utterances, and have no symbol that the model lacks. The texts choose the keywords and judge the hits, and
nothing else; no setting of the search is tuned. Marks of tone must be right.

An utterance is relevant for a keyword if the keyword is a word of its text. Each method ranks utterances: `find` by the best
score of a hit, the text search by the confidence of the decoded word. Average precision: the mean over the relevant utterances
of the precision at their ranks, 0 for those that are not found (Manning, Raghavan and Schuetze, Introduction to Information
Retrieval, 2008, section 8.4). MAP: its mean over the keywords, with a 95 % bootstrap interval over keywords. Precision and recall
at a threshold are over all pairs of keyword and utterance.
"""

import argparse
import datetime
import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recipes.keyword_results import Measurement, Operation, SearchQuality, write_measurements
from speechxfer.checkpoints import load_model, resolve_source, weights_hash
from speechxfer.data import Utterance, read_manifest
from speechxfer.decoding import GreedyDecoder, KeywordOptions, compute_log_probs, frame_duration_s, prepare_search
from speechxfer.errors import InputError
from speechxfer.features import AudioOptions
from speechxfer.models import AcousticModel
from speechxfer.runtime import command_line, commit, default_device, hardware

MIN_LETTERS = 3
MIN_UTTERANCES = 2
LOWEST_SCORE = 1e-9  # hits below it are not ranked
THRESHOLDS = (0.01, 0.1, 0.5)
RESAMPLES = 2000

Scores = Mapping[str, Mapping[str, float]]  # of each keyword, the score of each utterance that was found


def choose_keywords(texts: Mapping[str, Sequence[str]], model: AcousticModel) -> dict[str, frozenset[str]]:
    """The keywords, in alphabetical order, with the ids of their utterances; `texts`: the words of each utterance."""
    found: dict[str, set[str]] = {}
    for id_, words in texts.items():
        for word in words:
            found.setdefault(word, set()).add(id_)
    return {
        word: frozenset(ids)
        for word, ids in sorted(found.items())
        if len(word) >= MIN_LETTERS and len(ids) >= MIN_UTTERANCES and not model.vocabulary.unknown(word)
    }


def average_precision(scores: Mapping[str, float], relevant: Set[str]) -> float:
    """Of the utterances with these scores, ranked from the highest; equal scores in order of ids."""
    ranked = sorted(scores, key=lambda id_: (-scores[id_], id_))
    hits = np.cumsum([id_ in relevant for id_ in ranked])
    return sum(int(hits[place]) / (place + 1) for place, id_ in enumerate(ranked) if id_ in relevant) / len(relevant)


def search_both(
    model: AcousticModel, utterances: Sequence[Utterance], keywords: Iterable[str]
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Scores of the utterances by `find`, and by searching the greedy text."""
    frame_s = frame_duration_s(model)
    search = prepare_search(
        model.vocabulary, model.normalizer, list(keywords), frame_s, KeywordOptions(threshold=LOWEST_SCORE)
    )
    log_probs = dict(compute_log_probs(model, utterances, AudioOptions(model.spec, resample=True, mono=True)))
    in_order = [log_probs[number] for number in range(len(utterances))]
    found: dict[str, dict[str, float]] = {keyword: {} for keyword in search.keywords}
    for utterance, hits in zip(utterances, search.find(in_order), strict=True):
        for hit in hits:
            best = found[hit.keyword].get(utterance.id, 0.0)
            found[hit.keyword][utterance.id] = max(best, hit.score)
    in_text: dict[str, dict[str, float]] = {keyword: {} for keyword in search.keywords}
    for utterance, hypothesis in zip(utterances, GreedyDecoder.of_model(model).decode(in_order), strict=True):
        for word in hypothesis.words:
            if word.text in in_text:
                best = in_text[word.text].get(utterance.id, 0.0)
                in_text[word.text][utterance.id] = max(best, word.confidence)
    return found, in_text


def measure(name: str, manifest: Path) -> Measurement:
    """Search a manifest with a model in both ways."""
    model = load_model(name).to(default_device())
    utterances = read_manifest(manifest)
    texts = {utterance.id: model.normalizer(utterance.text).split() for utterance in utterances}
    relevant = choose_keywords(texts, model)
    if not relevant:
        raise InputError(
            f"{manifest}: no word of at least {MIN_LETTERS} letters occurs in {MIN_UTTERANCES} utterances; name a larger manifest"
        )
    found, in_text = search_both(model, utterances, relevant)
    precisions = np.array(
        [[average_precision(scores[word], relevant[word]) for word in relevant] for scores in (found, in_text)]
    )
    sampled = np.random.default_rng(0).integers(0, len(relevant), (RESAMPLES, len(relevant)))
    resampled = precisions[:, sampled].mean(axis=2)
    means = precisions.mean(axis=1)
    ratio = None
    if means[1]:
        usable = resampled[
            :, resampled[1] > 0
        ]  # a resample of keywords that the text search does not find has no ratio
        bounds = np.quantile(usable[0] / usable[1], (0.025, 0.975))
        ratio = (round(float(means[0] / means[1]), 2), round(float(bounds[0]), 2), round(float(bounds[1]), 2))
    of_find, of_text = (_quality(float(mean), values) for mean, values in zip(means, resampled, strict=True))
    return Measurement(
        name,
        weights_hash(resolve_source(name)),
        str(manifest),
        len(utterances),
        len(relevant),
        sum(map(len, relevant.values())),
        of_find,
        of_text,
        ratio,
        tuple(operation(found, relevant, threshold) for threshold in THRESHOLDS),
        command_line(),
        commit(),
        datetime.date.today().isoformat(),
        hardware(),
    )


def _quality(mean: float, resampled: npt.NDArray[np.float64]) -> SearchQuality:
    low, high = np.quantile(resampled, (0.025, 0.975))
    return SearchQuality(*(round(100 * float(value), 1) for value in (mean, low, high)))


def operation(found: Scores, relevant: Mapping[str, Set[str]], threshold: float) -> Operation:
    """Precision and recall over all keywords at a threshold."""
    hits = [(word, id_) for word, scores in found.items() for id_, score in scores.items() if score >= threshold]
    right = sum(id_ in relevant[word] for word, id_ in hits)
    return Operation(threshold, round(right / max(1, len(hits)), 3), round(right / sum(map(len, relevant.values())), 3))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Measure keyword search against searching the greedy text.")
    parser.add_argument("models", nargs="+", help="folders of runs or models, such as those of several seeds")
    parser.add_argument("--on", required=True, type=Path, metavar="MANIFEST", help="transcribed speech")
    parser.add_argument("--out", required=True, type=Path, metavar="JSON", help="file to write")
    given = parser.parse_args(arguments)
    measurements = []
    for name in given.models:
        one = measure(name, given.on)
        measurements.append(one)
        ratio = one.ratio[0] if one.ratio else "infinite"
        print(
            f"{name}: {one.keywords} keywords; MAP % of find {one.find}, of the greedy text {one.text_search}, ratio {ratio}"
        )
    write_measurements(given.out, measurements)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"recipes.keyword_search: {error}")
