"""Tuning of decoding weights on development data: `evaluate --tune`.

The log-probabilities are computed once. Then weights are tried: first at random within ranges, then from the best ones with one
weight changed at a time, by steps that become smaller (pattern search; Hooke and Jeeves, JACM 1961). The sum of word and
character error rate is minimised, since on little data the word error rate alone has many equal values.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from pathlib import Path

import numpy as np
from torch import Tensor

from speechxfer.checkpoints import load_model, resolve_source
from speechxfer.data import Utterance, read_manifest
from speechxfer.decoding import (
    Fusion,
    FusionWeights,
    GreedyDecoder,
    PhoneInventory,
    SearchSettings,
    compute_log_probs,
    fit_confidences,
    score_hypotheses,
)
from speechxfer.errors import InputError, first_names
from speechxfer.models import AcousticModel
from speechxfer.runtime import default_device, log_info, parse_json, read_text, track
from speechxfer.scoring import Calibration, error_rates
from speechxfer.training import hash_utterances
from speechxfer.workflows.decoders import (
    DecodingOptions,
    LanguageModelFiles,
    StoredWeights,
    build_beam_decoder,
    check_storable,
    describe_phrases,
    describe_weights,
    prepare_model_fusion,
    store_weights,
    weights_key,
)
from speechxfer.workflows.evaluation_runs import RowTarget, check_same_training
from speechxfer.workflows.run_inputs import TRAIN_IDS, trained_audio_options

TRIALS = 100
RANDOM_TRIALS = 30
SHOWN_TRIALS = 10
RANGES = {  # in which weights are tried at random; the pattern search may leave them
    "symbol_scale": (0.2, 1.2),
    "symbol_bonus": (0.0, 1.2),
    "word_scale": (0.1, 0.8),
    "word_bonus": (-1.0, 2.0),
    "unknown_word": (-8.0, 2.0),
    "boost": (0.5, 3.0),
}


@dataclass(frozen=True)
class Trial:
    """Weights that were tried, and the error rates that they gave, as fractions."""

    weights: FusionWeights
    wer: float
    cer: float

    @property
    def cost(self) -> float:
        """What is minimised."""
        return self.wer + self.cer


@dataclass(frozen=True)
class Tuning:
    """The trials of one model, best first; ``str`` is a table of the best ones.

    Attributes:
        model: its name.
        language_models: what was tuned, such as "word 4-gram, character 6-gram".
        beam: of the search.
        names: the weights that were tuned.
        trials: best first.
        greedy: error rates of greedy decoding, as fractions.
    """

    model: str
    language_models: str
    beam: int
    names: tuple[str, ...]
    trials: tuple[Trial, ...]
    greedy: tuple[float, float]

    def __str__(self) -> str:
        head = "  ".join([f"{name:>12}" for name in self.names] + ["WER %", "CER %"])
        rows = [(trial.weights, trial.wer, trial.cer) for trial in self.trials[:SHOWN_TRIALS]]
        lines = [
            "  ".join(
                [f"{getattr(weights, name):12.3f}" for name in self.names] + [f"{100 * wer:5.2f}", f"{100 * cer:5.2f}"]
            )
            for weights, wer, cer in rows
        ]
        greedy = "  ".join([f"{'greedy':>12}", *([" " * 12] * (len(self.names) - 1))])
        lines.append(f"{greedy}  {100 * self.greedy[0]:5.2f}  {100 * self.greedy[1]:5.2f}")
        title = (
            f"{self.model}, beam {self.beam}, {self.language_models or 'boosting'}: best of {len(self.trials)} trials"
        )
        return "\n".join([title, head, *lines])


def tune_models(
    models: Sequence[str],
    manifest: Path,
    options: DecodingOptions,
    *,
    resample: bool | None = None,
    mono: bool | None = None,
    results: RowTarget | None = None,
    trials: int = TRIALS,
) -> list[Tuning]:
    """Tune the weights of language models and boosting for each model on development data, and store them with the model.

    Args:
        models: names as for `load_model`; finished runs or model folders; several have to differ in nothing but the seed.
        manifest: development data; none of the training data.
        options: language models, phrases, beam.
        resample, mono: permissions as in `read_audio`; None: as each model was trained.
        results: has to be None, since the score on data that weights were tuned on is no result.
        trials: how many weights are tried.

    Raises:
        InputError: results are asked for, bad manifest or model, a manifest that shares utterances with the training data,
            nothing to tune, or a model that no weights can be stored with.
    """
    if results:
        raise InputError(
            f"--tune: the score on {manifest} is no result, since the weights are tuned on it; omit --results, then evaluate on "
            "test data without --tune"
        )
    if not (options.language_models or options.boost):
        raise InputError("--tune tunes the weights of language models and phrases; give --lm or --boost")
    utterances = read_manifest(manifest)
    check_same_training(models)  # before the search, which takes minutes
    for name in models:
        check_storable(name)
        check_not_trained_on(name, utterances, manifest)
    files = LanguageModelFiles(options.language_models)
    tunings = []
    for name in models:
        model = load_model(name).to(default_device())
        audio = trained_audio_options(name, model.spec, resample, mono)
        inventory = options.phones.inventory(model) if options.phones else None
        fusion = prepare_model_fusion(model, files, options, inventory)
        if not fusion:
            raise InputError(
                f"{options.boost}: has no phrase, so there is nothing to tune; give --lm, or a list of phrases"
            )
        outputs = dict(compute_log_probs(model, utterances, audio, inventory=inventory))
        log_probs = [outputs[index] for index in range(len(utterances))]
        task = _Task(model, [utterance.text for utterance in utterances], log_probs, fusion, inventory)
        beam = options.beam or SearchSettings().beam
        found = sorted(task.search(beam, trials), key=lambda trial: trial.cost)
        best = found[0]
        calibration = task.calibrate(utterances, best.weights, beam)
        rates = (100 * best.wer, 100 * best.cer)
        phrases = describe_phrases(options.boost)
        stored = StoredWeights(beam, best.weights, fusion.name, manifest.name, *rates, calibration, phrases)
        path = store_weights(name, weights_key(files, options), stored)
        used_with = " and ".join(
            filter(None, [fusion.name, f"the phrases of {options.boost}" if options.boost else ""])
        )
        log_info(
            f"wrote {path}: {describe_weights(best.weights, fusion)}; used whenever {name} decodes with {used_with}"
        )
        tunings.append(Tuning(name, fusion.name, beam, fusion.used_weights(), tuple(found), task.greedy_rates()))
    return tunings


def check_not_trained_on(name: str, utterances: Sequence[Utterance], manifest: Path) -> None:
    """InputError if a manifest shares utterances with the data that a run was trained on.

    A run of an earlier version states no ids of its training data; then only the manifest as a whole is compared.
    """
    folder = resolve_source(name).path.parent
    fix = "tune on development data, that is on none of the training data"
    if (folder / TRAIN_IDS).is_file():
        trained = set(read_text(folder / TRAIN_IDS, fix="train the model again").splitlines())
        shared = [utterance.id for utterance in utterances if utterance.id in trained]
        if shared:
            raise InputError(
                f"{manifest}: {len(shared)} utterances are training data of {name}: {first_names(shared)}; {fix}"
            )
        return
    run = folder / "run.json"
    recorded = parse_json(read_text(run, fix=fix), str(run), fix=fix) if run.is_file() else {}
    if hash_utterances(utterances) in (recorded.get("train") or [] if isinstance(recorded, dict) else []):
        raise InputError(f"{manifest}: is training data of {name}; {fix}")
    log_info(
        f"{name}: does not state the ids of its training data, so --tune cannot compare them with those of {manifest}"
    )


@dataclass(frozen=True)
class _Task:
    """Development data with its log-probabilities."""

    model: AcousticModel
    texts: Sequence[str]
    log_probs: Sequence[Tensor]
    fusion: Fusion
    inventory: PhoneInventory | None

    def search(self, beam: int, trials: int) -> list[Trial]:
        """Try weights; the trials in their order."""
        tried: dict[FusionWeights, Trial] = {}
        proposals = islice(propose_weights(self.fusion.used_weights(), tried), trials)
        for weights in track(proposals, "tuning", total=trials):
            decoder = build_beam_decoder(self.model, self.fusion, weights, beam, self.inventory)
            tried[weights] = Trial(weights, *self._rates(decoder.decode_texts(self.log_probs)))
        return list(tried.values())

    def greedy_rates(self) -> tuple[float, float]:
        """Word and character error rate of greedy decoding."""
        vocabulary = self.inventory.vocabulary if self.inventory else None
        greedy = GreedyDecoder.of_model(self.model, vocabulary)
        return self._rates([hypothesis.text for hypothesis in greedy.decode(self.log_probs)])

    def calibrate(self, utterances: Sequence[Utterance], weights: FusionWeights, beam: int) -> Calibration | None:
        """A calibration of the confidences of the words that are found with these weights."""
        decoder = build_beam_decoder(self.model, self.fusion, weights, beam, self.inventory)
        hypotheses = {u.id: one for u, one in zip(utterances, decoder.decode(self.log_probs), strict=True)}
        report = score_hypotheses(self.model, utterances, hypotheses, self.inventory)
        return fit_confidences(self.model, report, hypotheses)

    def _rates(self, texts: Sequence[str]) -> tuple[float, float]:
        normalizer = replace(self.model.normalizer, form="NFC")
        return error_rates(list(zip(self.texts, texts, strict=True)), normalizer, self.model.vocabulary)


def propose_weights(names: Sequence[str], tried: Mapping[FusionWeights, Trial]) -> Iterator[FusionWeights]:
    """Weights to try next, given the trials so far, which have to hold each proposal before the next one is asked for.

    The defaults, then random ones, then steps from the best ones, until the steps are small.
    """
    yield FusionWeights()
    rng = np.random.default_rng(0)
    for _ in range(RANDOM_TRIALS):
        yield replace(FusionWeights(), **{name: round(float(rng.uniform(*RANGES[name])), 3) for name in names})
    step = 1 / 4  # of a range
    while step >= 1 / 32:
        cost = min(trial.cost for trial in tried.values())
        for name, sign in product(names, (1, -1)):
            best = min(tried.values(), key=lambda trial: trial.cost).weights
            low, high = RANGES[name]
            value = round(getattr(best, name) + sign * step * (high - low), 3)
            weights = replace(best, **{name: value if low < 0 else max(0.0, value)})
            if weights not in tried:
                yield weights
        if min(trial.cost for trial in tried.values()) == cost:
            step /= 2
