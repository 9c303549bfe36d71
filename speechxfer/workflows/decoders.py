"""Decoders of the verbs `transcribe` and `evaluate`: language models, phrases and the weights that are stored with a model.

A model's folder may have language models of its own, ``word.lm`` and ``character.lm`` (``run_language_models.py``), with which it
decodes by default. ``decoding.json`` there has the weights that were tuned, by the contents of the language models.
"""

import hashlib
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch

from speechxfer.checkpoints import resolve_source
from speechxfer.decoding import (
    BeamDecoder,
    Fusion,
    FusionWeights,
    PhoneInventory,
    PhoneOptions,
    SearchSettings,
    frame_duration_s,
    prepare_fusion,
    read_phrases,
)
from speechxfer.errors import InputError
from speechxfer.language_models import NgramModel, Unit, read_language_model
from speechxfer.models import AcousticModel
from speechxfer.runtime import default_device, log_info, parse_json, read_text, write_atomically
from speechxfer.scoring import Calibration, parse_calibration

WEIGHTS_FILE = "decoding.json"
WEIGHTS_FORMAT = "speechxfer-decoding-1"
MAX_BEAM = 1024  # the search compares all prefixes of a beam with each other
OWN_FILES: dict[Unit, str] = {"word": "word.lm", "character": "character.lm"}
FIX = "delete it, and tune again with `speechxfer evaluate --tune`"


@dataclass(frozen=True)
class DecodingOptions:
    """How the verbs decode; by default with the language models of the model's own training transcripts, else greedily.

    Attributes:
        phones: to which the output of a phone model is restricted.
        language_models: files of at most one language model of words and one of characters; empty: none; None: those in the
            model's folder, if there are any.
        beam: prefixes that the search keeps; None: as many as the stored weights were tuned with, else 16. With a beam, or a
            language model or phrases, the text is found by beam search.
        boost: file of phrases to boost.
        nbest: how many alternatives each hypothesis has; 0: none.
        known_words: forbid words that the language model of words does not know.

    Raises:
        InputError: the beam is not positive, larger than `MAX_BEAM` or smaller than `nbest`, a language model is given twice, or
            one, or phrases, are given with phones that are estimated.
    """

    phones: PhoneOptions = field(default_factory=PhoneOptions)
    language_models: tuple[Path, ...] | None = None
    beam: int | None = None
    boost: Path | None = None
    nbest: int = 0
    known_words: bool = False

    def __post_init__(self) -> None:
        least = max(1, self.nbest)
        if max(self.beam or 0, self.nbest) > MAX_BEAM:
            name, value = ("--nbest", self.nbest) if self.nbest > MAX_BEAM else ("--beam", self.beam)
            raise InputError(f"{name} is {value:,}; expected at most {MAX_BEAM:,}, as memory grows with its square")
        if self.beam is not None and self.beam < least:
            raise InputError(
                f"--beam is {self.beam}; expected at least {least}" + (", as --nbest" if self.nbest > 1 else "")
            )
        given = self.language_models or ()
        repeated = [path for number, path in enumerate(given) if path in given[:number]]
        if repeated:
            raise InputError(f"--lm: {repeated[0]} is given twice; give it once")
        if self.phones.is_auto and (given or self.boost or self.known_words):
            raise InputError(
                "--phones auto weights phones in place of a language model; omit --lm, --boost and --known-words, or --phones"
            )

    @property
    def searches(self) -> bool:
        """Whether a beam search is asked for; language models in the model's folder count once `for_model` has found them."""
        return bool(self.language_models or self.boost or self.beam or self.nbest or self.known_words)

    def for_model(self, name: str) -> "DecodingOptions":
        """These options for one model: with its own language models, if none are given and no phones either."""
        if self.language_models is not None:
            return self
        folder = resolve_source(name).path
        own = () if self.phones else tuple(folder / file for file in OWN_FILES.values() if (folder / file).is_file())
        return replace(self, language_models=own)


def own_files(folder: Path) -> list[Path]:
    """The language models in a model's folder and their weights; only files that are there."""
    return [path for file in (*OWN_FILES.values(), WEIGHTS_FILE) if (path := folder / file).is_file()]


def choose_language_models(given: Sequence[Path] | None, none: bool) -> tuple[Path, ...] | None:
    """What ``--lm`` and ``--no-lm`` choose, for `DecodingOptions`; InputError if both are given."""
    if given and none:
        raise InputError(f"--no-lm decodes without language models, but --lm names {given[0]}; give only one of them")
    return () if none else tuple(given) if given else None


@dataclass(frozen=True)
class StoredWeights:
    """Weights that were tuned for a model and language models.

    Attributes:
        beam: of the search with which they were tuned.
        weights: those of the parts that were used; the others have their defaults.
        language_models: what they are, such as "word 4-gram, character 6-gram".
        dev: name of the manifest that they were tuned on.
        wer, cer: error rates there, in percent.
        calibration: of the confidences of words, fitted there; None: there were too few, or an earlier version tuned.
        phrases: the list of boosted phrases, as `describe_phrases` returns it; empty: none, or an earlier version tuned.
    """

    beam: int
    weights: FusionWeights
    language_models: str
    dev: str
    wer: float
    cer: float
    calibration: Calibration | None = None
    phrases: str = ""


class LanguageModelFiles:
    """The language models of some files, read once for several acoustic models.

    Args:
        paths: the files.

    Raises:
        InputError: a file is missing or damaged.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.models: list[NgramModel] = [read_language_model(path) for path in paths]
        self.key = " ".join(sorted(_hash_file(path) for path in paths))


def prepare_model_fusion(
    model: AcousticModel, files: LanguageModelFiles, options: DecodingOptions, inventory: PhoneInventory | None
) -> Fusion:
    """Language models and phrases in the symbols of an acoustic model; errors as for `prepare_fusion` and `read_phrases`."""
    vocabulary = inventory.vocabulary if inventory else model.vocabulary
    phrases = read_phrases(options.boost, vocabulary, model.normalizer) if options.boost else []
    return prepare_fusion(
        vocabulary,
        model.normalizer,
        files.models,
        phrases,
        known_words=options.known_words,
        device=default_device(),
    )


def build_beam_decoder(
    model: AcousticModel, fusion: Fusion, weights: FusionWeights, beam: int, inventory: PhoneInventory | None = None
) -> BeamDecoder:
    """The beam search with these weights, on the default device."""
    vocabulary = inventory.vocabulary if inventory else model.vocabulary
    name = f"beam {beam}" + (f", {fusion.name}" if fusion.name else "") + (", boosting" if fusion.phrases else "")
    settings = SearchSettings(beam=beam)
    return BeamDecoder(
        vocabulary, frame_duration_s(model), fusion.scorers(weights), settings, name, torch.device(default_device())
    )


def open_decoder(
    name: str,
    model: AcousticModel,
    options: DecodingOptions | None = None,
    inventory: PhoneInventory | None = None,
    files: LanguageModelFiles | None = None,
) -> BeamDecoder | None:
    """The decoder of a model by name, for `transcribe` and `evaluate`, with the weights stored with it; None: greedy decoding.

    Without stored weights the defaults are used, and stderr says so, as it does where the model's own language models are used.
    A list without phrases and nothing else is greedy decoding.

    Args:
        name: of the model, as for `load_model`.
        model: the loaded model.
        options: language models, beam, phrases; None: the defaults of the command line, which are the language models of the
            model's training transcripts if it has any.
        inventory: phones to which the output is restricted.
        files: of the language models that the options name, if they were read before.

    Raises:
        InputError: a file is missing or damaged, language models or phrases do not suit the model, or it is a classifier.

    >>> import speechxfer as sx
    >>> model = sx.load_model("english")
    >>> from speechxfer.workflows import open_decoder
    >>> hypothesis = sx.transcribe(model, "new.wav", decoder=open_decoder("english", model))
    """
    given = options or DecodingOptions()
    options = given.for_model(name)
    if not options.searches:
        return None
    if model.task == "classify":
        raise InputError(
            f"{name}: a classifier chooses among whole texts, without a search; omit --lm, --beam, --boost and --nbest"
        )
    if options.language_models and given.language_models is None:
        what = "frequencies of phones in" if model.vocabulary.kind == "phones" else "language models of"
        log_info(f"decoding with the {what} {name}'s training transcripts (--no-lm: without)")
    files = files or LanguageModelFiles(options.language_models or ())
    fusion = prepare_model_fusion(model, files, options, inventory)
    if options.boost and not fusion and options.beam is None and not options.nbest:
        log_info(f"{options.boost}: has no phrase; decoding is greedy")
        return None
    stored = _find_weights(read_stored_weights(name), files, options)
    if stored is None and fusion:
        log_info(
            f"decoding: no weights were tuned for {name} with {fusion.name or 'boosted phrases alone'}, so these defaults are "
            f"used: {describe_weights(FusionWeights(), fusion)}; to tune them: `{_tune_command(name, given)}`"
        )
    if stored and stored.phrases and options.boost and describe_phrases(options.boost) != stored.phrases:
        log_info(
            f"warning: the weight of boosting stored with {name} was tuned with the list {stored.phrases.split()[0]}, which "
            f"{options.boost} differs from; it is used nevertheless: tune again with `{_tune_command(name, given)}`"
        )
    weights = stored.weights if stored else FusionWeights()
    beam = options.beam or max(stored.beam if stored else SearchSettings().beam, options.nbest)
    decoder = build_beam_decoder(model, fusion, weights, beam, inventory)
    return replace(decoder, nbest=options.nbest, calibration=stored.calibration if stored else None)


def _tune_command(name: str, options: DecodingOptions) -> str:
    given = [word for path in options.language_models or () for word in ("--lm", str(path))]
    lms = ["--no-lm"] if options.language_models == () else given
    phrases = ["--boost", str(options.boost)] if options.boost else []
    known = ["--known-words"] if options.known_words else []
    return shlex.join(["speechxfer", "evaluate", name, "--on", "DEV.jsonl", *lms, *phrases, *known, "--tune"])


def _find_weights(
    tuned: Mapping[str, StoredWeights], files: LanguageModelFiles, options: DecodingOptions
) -> StoredWeights | None:
    """The weights that were tuned with these options; else with or without phrases, else with all words, likewise."""
    for known_words in dict.fromkeys((options.known_words, False)):
        for boosted in (options.boost is not None, options.boost is None):
            key = weights_key(files, known_words=known_words, boosted=boosted)
            if key in tuned:
                return tuned[key]
    return None


def weights_key(files: LanguageModelFiles, *, known_words: bool, boosted: bool) -> str:
    """What stored weights belong to: the contents of the language models, known words only or all, and boosting."""
    parts = {files.key: True, "known words": known_words, "boost": boosted}
    return " ".join(part for part, counts in parts.items() if part and counts)


def describe_phrases(boost: Path | None) -> str:
    """Name and contents of a list of phrases, for `StoredWeights`: ``names.txt SHA-256``, or nothing without a list."""
    return f"{'_'.join(boost.name.split())} {_hash_file(boost)}" if boost else ""


def describe_weights(weights: FusionWeights, fusion: Fusion) -> str:
    """The weights that have an effect: ``symbol_scale 0.8, symbol_bonus 0.6``."""
    return ", ".join(f"{name} {getattr(weights, name):g}" for name in fusion.used_weights())


def read_stored_weights(name: str) -> dict[str, StoredWeights]:
    """The weights stored with a model, by the key of the language models; none for a model that no weights were tuned for.

    Raises:
        InputError: the file is damaged.
    """
    path = resolve_source(name).path / WEIGHTS_FILE
    if not path.is_file():
        return {}
    data = parse_json(read_text(path, fix=FIX), str(path), fix=FIX)
    if not isinstance(data, dict) or data.get("format") != WEIGHTS_FORMAT or not isinstance(data.get("tuned"), dict):
        raise InputError(f"{path}: 'format' is not {WEIGHTS_FORMAT!r}; {FIX}")
    return {key: _parse_weights(entry, path) for key, entry in data["tuned"].items()}


def store_weights(name: str, key: str, stored: StoredWeights) -> Path:
    """Store weights with a model, in place of earlier ones for the same language models.

    Raises:
        InputError: as for `check_storable`, or the file cannot be written.
    """
    check_storable(name)
    path = resolve_source(name).path / WEIGHTS_FILE
    write_tuned_weights(path, {**read_stored_weights(name), key: stored})
    return path


def write_tuned_weights(path: Path, tuned: Mapping[str, StoredWeights]) -> None:
    """Write a file of weights, by the key of the language models; InputError if it cannot be written."""
    data = {"format": WEIGHTS_FORMAT, "tuned": {key: asdict(entry) for key, entry in tuned.items()}}
    write_atomically(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def check_storable(name: str) -> None:
    """InputError if no weights can be stored with a model: it is shipped, or of another toolkit."""
    source = resolve_source(name)
    if source.is_shipped or source.kind != "folder":
        what = "a shipped model is immutable" if source.is_shipped else "it is no model folder of this package"
        raise InputError(f"{name}: weights cannot be stored with it ({what}); adapt it, and tune the adapted model")


def _parse_weights(entry: Any, path: Path) -> StoredWeights:
    kinds = {"beam": int, "weights": dict, "language_models": str, "dev": str, "wer": float, "cer": float}
    known = {field.name for field in fields(FusionWeights)}
    is_valid = isinstance(entry, dict) and all(isinstance(entry.get(key), kind) for key, kind in kinds.items())
    if (
        not is_valid
        or entry["weights"].keys() != known
        or not all(isinstance(v, float) and math.isfinite(v) for v in entry["weights"].values())
        or not 1 <= entry["beam"] <= MAX_BEAM
    ):
        raise InputError(f"{path}: an entry lacks a field or has one of another kind or out of range; {FIX}")
    values = {key: entry[key] for key in kinds} | {"phrases": str(entry.get("phrases", ""))}
    try:
        calibration = parse_calibration(entry.get("calibration"))
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: an entry has a damaged calibration ({error}); {FIX}") from error
    return StoredWeights(**(values | {"weights": FusionWeights(**entry["weights"]), "calibration": calibration}))


def _hash_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); correct its path") from error
