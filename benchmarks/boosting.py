"""What boosting of phrases gives: recall of fifty words that the training texts lack, and the word error rate of all words.

A benchmark, run by hand on runs of the same model with several seeds. The list for test has fifty words of at least four letters
that occur in test and not in training. The bonus is chosen on dev, with a list of which, as in use, most words are not spoken
there: ten words of dev that are not in training, and forty that occur once in training and not in dev. Language models are
decoded with the weights that `evaluate --tune` stored.

    python benchmarks/boosting.py data/train.jsonl data/dev.jsonl data/test.jsonl exp/x-1 exp/x-2 exp/x-3 --lm word.lm
"""

import argparse
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from speechxfer.checkpoints import load_model
from speechxfer.data import Utterance, read_manifest
from speechxfer.decoding import FusionWeights, GreedyDecoder, Phrase, compute_log_probs, prepare_fusion
from speechxfer.features import AudioOptions
from speechxfer.models import AcousticModel
from speechxfer.scoring import error_rates
from speechxfer.workflows.decoders import LanguageModelFiles, build_beam_decoder, read_stored_weights

WORDS, SPOKEN_IN_DEV, LETTERS = 50, 10, 4
BONUSES = [0.25 * step for step in range(1, 13)]


@dataclass(frozen=True)
class Split:
    """Normalised texts of a split and their log-probabilities."""

    texts: Sequence[str]
    log_probs: Sequence[Tensor]


@dataclass(frozen=True)
class Figures:
    """Recall of the list's words, how often they were written where they were not said, and error rates, in percent."""

    recall: float
    false: int
    wer: float
    cer: float

    def __str__(self) -> str:
        return (
            f"recall {self.recall:5.1f} %, written wrongly {self.false:3}, WER {self.wer:.2f} %, CER {self.cer:.2f} %"
        )


def measure(split: Split, hypotheses: Sequence[str], words: Sequence[str]) -> Figures:
    """The figures of some hypotheses."""
    listed = set(words)
    said = hit = false = 0
    for reference, hypothesis in zip(split.texts, hypotheses, strict=True):
        expected = Counter(word for word in reference.split() if word in listed)
        written = Counter(word for word in hypothesis.split() if word in listed)
        said += expected.total()
        hit += (expected & written).total()
        false += (written - expected).total()
    wer, cer = error_rates(list(zip(split.texts, hypotheses, strict=True)))
    return Figures(100 * hit / said, false, 100 * wer, 100 * cer)


def choose_words(texts: Sequence[str], model: AcousticModel, known: set[str], count: int) -> list[str]:
    """Words of some texts that are not known, of which the model can write every letter."""
    found = sorted({word for text in texts for word in text.split()} - known)
    suitable = [word for word in found if len(word) >= LETTERS and not model.vocabulary.unknown(word)]
    return random.Random(0).sample(suitable, min(count, len(suitable)))


def split_of(model: AcousticModel, utterances: Sequence[Utterance]) -> Split:
    """Log-probabilities of a split."""
    outputs = dict(compute_log_probs(model, utterances, AudioOptions(model.spec, True, True)))
    texts = [model.normalizer(utterance.text) for utterance in utterances]
    return Split(texts, [outputs[index] for index in range(len(utterances))])


def measure_run(name: str, manifests: Sequence[Path], files: LanguageModelFiles) -> None:
    """Print the figures of one run."""
    model = load_model(name).eval()
    training = Counter(word for u in read_manifest(manifests[0]) for word in model.normalizer(u.text).split())
    dev, test = (split_of(model, read_manifest(path)) for path in manifests[1:])
    spoken = choose_words(dev.texts, model, set(training), SPOKEN_IN_DEV)
    in_dev = {word for text in dev.texts for word in text.split()}
    once = [word for word, count in training.items() if count == 1]
    of_dev = spoken + choose_words(once, model, in_dev, WORDS - SPOKEN_IN_DEV)
    of_test = choose_words(test.texts, model, set(training), WORDS)
    stored = read_stored_weights(name).get(files.key)
    weights = stored.weights if stored else FusionWeights()

    def decode(split: Split, words: Sequence[str], bonus: float, with_lm: bool) -> list[str]:
        models = files.models if with_lm else []
        fusion = prepare_fusion(model.vocabulary, model.normalizer, models, [Phrase(word) for word in words])
        return build_beam_decoder(model, fusion, replace(weights, boost=bonus), 16).decode_texts(split.log_probs)

    greedy = [hypothesis.text for hypothesis in GreedyDecoder.of_model(model).decode(test.log_probs)]
    print(f"{name}: {measure(test, greedy, of_test)}, greedy", flush=True)
    for with_lm in [False, True][: 1 + bool(files.models)]:
        of_bonus = {bonus: measure(dev, decode(dev, of_dev, bonus, with_lm), of_dev) for bonus in BONUSES}
        best = min(BONUSES, key=lambda bonus: of_bonus[bonus].wer + of_bonus[bonus].cer)
        what = "language models" if with_lm else "beam 16"
        for bonus in (0.0, best):
            print(
                f"{name}: {measure(test, decode(test, of_test, bonus, with_lm), of_test)}, {what}, bonus {bonus}",
                flush=True,
            )


def main() -> None:
    """Measure the runs one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifests", type=Path, nargs=3, help="train, dev, test")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--lm", type=Path, action="append", default=[])
    arguments = parser.parse_args()
    files = LanguageModelFiles(arguments.lm)
    for name in arguments.runs:
        measure_run(name, arguments.manifests, files)


if __name__ == "__main__":
    main()
