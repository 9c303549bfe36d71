"""Language models of a run's own training transcripts, with which its model decodes by default.

At the end of a run, n-gram models of words and of characters are trained on its transcripts, and the weights of the beam search
are tuned on dev. Only utterances of dev whose text is not among the transcripts count, since a language model knows every word of
the texts that it was trained on. The models are kept only if they lower the error rates there.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from torch import Tensor

from speechxfer.data import Utterance, sample_seconds
from speechxfer.decoding import SearchSettings, compute_log_probs
from speechxfer.errors import InputError
from speechxfer.features import AudioOptions
from speechxfer.language_models import NgramSettings, train_ngrams
from speechxfer.models import AcousticModel
from speechxfer.runtime import (
    default_device,
    gather_items,
    is_main_process,
    log_info,
    temporary_folder,
    without_messages,
)
from speechxfer.training import is_streamed
from speechxfer.workflows.decoders import (
    OWN_FILES,
    WEIGHTS_FILE,
    DecodingOptions,
    LanguageModelFiles,
    describe_weights,
    prepare_model_fusion,
    weights_key,
    write_tuned_weights,
)
from speechxfer.workflows.language_model_runs import DEFAULT_ORDERS
from speechxfer.workflows.weight_search import WeightSearch

MIN_WORDS = 100  # of dev, for the weights to be tuned
MIN_CHARACTERS = 500  # the same where the model writes no spaces
LONGEST_S = 30.0  # of the utterances that are tuned on; longer ones are cut before they are decoded
MAX_TUNING_S = 600.0  # of them together
TRIALS = 50  # half of those of `evaluate --tune`: the last ones lowered the WER of dev by at most half a point
LEAST_GAIN = 0.02  # of WER + CER on dev, relative; less can be chance


@contextmanager
def run_language_models(
    model: AcousticModel, train: Sequence[Utterance], dev: Sequence[Utterance], audio: AudioOptions, out: Path
) -> Iterator[list[Path]]:
    """Train language models of a run's transcripts and tune their weights; in the block, the files to save with the model.

    There are none if the model writes phones or classifies, if there is too little of dev to tune on, if the corpus is so large
    that features are not kept (`is_streamed`), or if decoding with them does not lower the error rates of dev. stderr states what
    was found. All processes of a run have to enter, since each computes log-probabilities; the main process has the files.

    Args:
        model: the trained model.
        audio: how recordings are read.
        out: folder of the run, in which temporary files are written.
    """
    files: list[Path] = []
    with ExitStack() as stack:
        try:
            if model.task == "ctc" and model.vocabulary.kind != "phones":
                utterances = _tuning_utterances(model, train, dev)
                log_probs = _log_probs(model, utterances, audio)
                if is_main_process():
                    scratch = stack.enter_context(temporary_folder(out / "language_models"))
                    files = _train_and_tune(model, train, utterances, log_probs, scratch)
        except InputError as error:  # the trained model is saved nevertheless
            log_info(f"no language models of the transcripts: {error}; decoding is greedy")
        except Exception:
            log_info("the training is complete; the same command with --no-lm saves its model without language models")
            raise
        yield files


def _tuning_utterances(model: AcousticModel, train: Sequence[Utterance], dev: Sequence[Utterance]) -> list[Utterance]:
    """The utterances of dev whose text is not among the training transcripts; of many a sample of about `MAX_TUNING_S`.

    Raises:
        InputError: there are too few of them, or the corpus is too large.
    """
    if is_streamed(train):
        raise InputError("there is much training speech; make them with `speechxfer lm train`, and tune them with --lm")
    normalizer, unspaced = model.normalizer, not _writes_spaces(model)
    texts = {utterance.id: normalizer(utterance.text) for utterance in dev}
    shared = set(texts.values()).intersection(normalizer(utterance.text) for utterance in train)
    unseen = [u for u in dev if u.duration <= LONGEST_S and texts[u.id] not in shared]
    amount = sum(len(texts[u.id] if unspaced else texts[u.id].split()) for u in unseen)
    least, name = (MIN_CHARACTERS, "characters") if unspaced else (MIN_WORDS, "words")
    if amount < least:
        raise InputError(f"dev has {amount} {name} in texts that are not training transcripts, and {least} are needed")
    return sample_seconds(unseen, MAX_TUNING_S)


def _writes_spaces(model: AcousticModel) -> bool:
    """Whether the model writes words: not if its symbols are characters without the space."""
    return model.vocabulary.kind != "characters" or " " in model.vocabulary.symbols


def _log_probs(model: AcousticModel, utterances: Sequence[Utterance], audio: AudioOptions) -> list[Tensor]:
    """Log-probabilities of all utterances, in every process; the model returns to the CPU.

    Raises:
        InputError: a recording cannot be read, by any of the processes.
    """
    own: list[tuple[int, Tensor]] = []
    failure = ""
    try:
        own = list(compute_log_probs(model.to(default_device()), utterances, audio))
    except InputError as error:
        failure = str(error)
    finally:
        model.to("cpu")
    parts = gather_items([(own, failure)])
    failures = [failure for _, failure in parts if failure]
    if failures:
        raise InputError(failures[0])
    outputs = dict(output for part, _ in parts for output in part)
    return [outputs[index] for index in range(len(utterances))]


def _train_and_tune(
    model: AcousticModel,
    train: Sequence[Utterance],
    utterances: Sequence[Utterance],
    log_probs: Sequence[Tensor],
    scratch: Path,
) -> list[Path]:
    paths = []
    for unit, file in OWN_FILES.items():
        if _writes_spaces(model) if unit == "word" else model.vocabulary.kind == "characters":
            settings = NgramSettings(DEFAULT_ORDERS[unit], unit, normalizer=model.normalizer)
            with without_messages():
                train_ngrams((utterance.text for utterance in train), scratch / file, settings)
            paths.append(scratch / file)
    options = DecodingOptions(language_models=tuple(paths))
    files = LanguageModelFiles(paths)
    fusion = prepare_model_fusion(model, files, options, None)
    search, beam = WeightSearch(model, utterances, log_probs, fusion, None), SearchSettings().beam
    best, (wer, cer) = search.search(beam, TRIALS)[0], search.greedy_rates()
    found = f"WER {100 * best.wer:.1f}, CER {100 * best.cer:.1f} % on dev (greedy: {100 * wer:.1f}, {100 * cer:.1f} %)"
    if best.cost >= (1 - LEAST_GAIN) * (wer + cer):
        log_info(f"language models of the transcripts do not help: {found}; decoding is greedy")
        return []
    key = weights_key(files, known_words=False, boosted=False)
    write_tuned_weights(scratch / WEIGHTS_FILE, {key: search.stored(best, beam, "dev")})
    log_info(f"language models of the transcripts ({fusion.name}): {found}; {describe_weights(best.weights, fusion)}")
    return [*paths, scratch / WEIGHTS_FILE]
