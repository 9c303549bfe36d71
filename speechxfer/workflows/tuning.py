"""Tuning of decoding weights on development data: `evaluate --tune`. The log-probabilities are computed once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from speechxfer.checkpoints import load_model, resolve_source
from speechxfer.data import Utterance, read_manifest
from speechxfer.decoding import SearchSettings, compute_log_probs
from speechxfer.errors import InputError, first_names
from speechxfer.runtime import default_device, log_info, parse_json, read_text
from speechxfer.training import hash_utterances
from speechxfer.workflows.decoders import (
    DecodingOptions,
    LanguageModelFiles,
    check_storable,
    describe_phrases,
    describe_weights,
    prepare_model_fusion,
    store_weights,
    weights_key,
)
from speechxfer.workflows.evaluation_runs import RowTarget, check_same_training
from speechxfer.workflows.run_inputs import TRAIN_IDS, trained_audio_options
from speechxfer.workflows.weight_search import TRIALS, Trial, WeightSearch

SHOWN_TRIALS = 10


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
        options: language models, phrases, beam; without language models, those that each model has of its own.
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
    utterances = read_manifest(manifest)
    check_same_training(models)  # before the search, which takes minutes
    for name in models:
        check_storable(name)
        check_not_trained_on(name, utterances, manifest)
        if not (options.for_model(name).language_models or options.boost):
            none = (
                f"{name} has none of its own" if options.language_models is None else "--no-lm excludes the model's own"
            )
            raise InputError(
                f"--tune tunes the weights of language models and phrases, and {none}; give --lm or --boost"
            )
    read = LanguageModelFiles(options.language_models) if options.language_models else None
    tunings = []
    for name in models:
        chosen = options.for_model(name)
        files = read or LanguageModelFiles(chosen.language_models or ())
        model = load_model(name).to(default_device())
        audio = trained_audio_options(name, model.spec, resample, mono)
        inventory = chosen.phones.inventory(model)
        fusion = prepare_model_fusion(model, files, chosen, inventory)
        if not fusion:
            raise InputError(
                f"{chosen.boost}: has no phrase, so there is nothing to tune; give --lm, or a list of phrases"
            )
        outputs = dict(compute_log_probs(model, utterances, audio, inventory=inventory))
        log_probs = [outputs[index] for index in range(len(utterances))]
        search = WeightSearch(model, utterances, log_probs, fusion, inventory)
        beam = chosen.beam or SearchSettings().beam
        found = search.search(beam, trials)
        stored = search.stored(found[0], beam, manifest.name, describe_phrases(chosen.boost))
        key = weights_key(files, known_words=chosen.known_words, boosted=chosen.boost is not None)
        path = store_weights(name, key, stored)
        used_with = " and ".join(filter(None, [fusion.name, f"the phrases of {chosen.boost}" if chosen.boost else ""]))
        log_info(
            f"wrote {path}: {describe_weights(stored.weights, fusion)}; used whenever {name} decodes with {used_with}"
        )
        tunings.append(Tuning(name, fusion.name, beam, fusion.used_weights(), tuple(found), search.greedy_rates()))
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
