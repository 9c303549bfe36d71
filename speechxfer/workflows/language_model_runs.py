"""The verbs `lm train` and `lm score`: language models of texts and manifests, normalised as an acoustic model's texts are."""

import codecs
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from speechxfer.checkpoints import load_model
from speechxfer.data import read_manifest
from speechxfer.errors import InputError, first_names
from speechxfer.language_models import (
    SPECIAL,
    WORD_BOUNDARY,
    NgramSettings,
    PerplexityReport,
    TrainedNgrams,
    Unit,
    measure_perplexity,
    read_language_model,
    train_ngrams,
)
from speechxfer.models import AcousticModel
from speechxfer.runtime import check_not_input, log_info, track
from speechxfer.text import Normalizer, describe_symbol

DEFAULT_ORDERS: dict[Unit, int] = {"word": 4, "character": 6}
MAX_LINE_BYTES = 1 << 20
LINE_FIX = "give text with one sentence a line (UTF-8), or a manifest (.jsonl)"


def train_language_model(
    inputs: Sequence[Path],
    out: Path,
    *,
    unit: Unit = "word",
    order: int | None = None,
    prune: str = "",
    model: str = "",
    as_is: bool = False,
    arpa: bool = False,
) -> TrainedNgrams:
    """Train an n-gram model on texts (one sentence a line) and manifests.

    Args:
        inputs: texts, and manifests (``.jsonl``), whose transcripts are taken.
        out: the file; ``.arpa`` and ``.arpa.gz`` are written as ARPA, other names as a compact file.
        unit: "word" or "character".
        order: longest n-grams; None: 4 words or 6 characters.
        prune: counts as `NgramSettings.prune`, separated by spaces or commas.
        model: acoustic model whose normaliser the texts get; "": the default normaliser.
        as_is: whether the texts are not normalised: words are what spaces separate.
        arpa: write an ARPA file, whatever the name of `out`.

    Raises:
        InputError: an input cannot be read, has no text or is `out`, a setting is out of range, or the acoustic model has other
            units.
    """
    check_not_input(out, inputs)
    loaded = load_model(model) if model else None
    if loaded and unit == "character" and loaded.vocabulary.kind != "characters":
        raise InputError(
            f"{model}: its symbols are {loaded.vocabulary.kind}, not characters; train with unit 'word'"
            f"{', in which phones are words' if loaded.vocabulary.kind == 'phones' else ''}"
        )
    normalizer = _choose_normalizer(loaded, as_is, Normalizer())
    settings = NgramSettings(order or DEFAULT_ORDERS[unit], unit, _parse_prune(prune), normalizer)
    trained = train_ngrams(read_texts(inputs), out, settings, arpa=arpa)
    if loaded and unit == "character":
        _report_missing_symbols(trained, loaded, model)
    return trained


def score_language_model(
    language_model: Path, inputs: Sequence[Path], *, model: str = "", as_is: bool = False
) -> PerplexityReport:
    """Perplexity and out-of-vocabulary rate of texts and manifests.

    Args:
        language_model: a compact or ARPA file.
        inputs: texts and manifests, as for `train_language_model`.
        model: acoustic model whose normaliser the texts get; "": the normaliser that the language model was trained with, or,
            if its file has none (ARPA), the default one.
        as_is: whether the texts are not normalised.

    Raises:
        InputError: a file cannot be read, or there is no text.
    """
    opened = read_language_model(language_model)
    normalizer = _choose_normalizer(load_model(model) if model else None, as_is, opened.normalizer or Normalizer())
    return measure_perplexity(opened, track(read_texts(inputs), "sentences"), normalizer)


def read_texts(inputs: Sequence[Path]) -> Iterator[str]:
    """The transcripts of manifests (``.jsonl``) and the lines of other files, one after the other.

    Raises:
        InputError: a file cannot be read, is not UTF-8, or has a line of more than a megabyte.
    """
    for path in inputs:
        if path.suffix == ".jsonl":
            yield from (utterance.text for utterance in read_manifest(path))
        else:
            yield from _read_lines(path)


def _read_lines(path: Path) -> Iterator[str]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path}: is not a file; {LINE_FIX}")
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), start=1):
                if len(line) > MAX_LINE_BYTES:
                    raise InputError(f"{path}:{number}: a line of more than {MAX_LINE_BYTES:,} bytes; {LINE_FIX}")
                yield line.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}:{number}: not UTF-8 ({error.reason}); {LINE_FIX}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {LINE_FIX}") from error


def _choose_normalizer(model: AcousticModel | None, as_is: bool, default: Normalizer) -> Normalizer | None:
    if as_is and model:
        raise InputError("the text cannot be both as it is and normalised as a model's; give one of the two options")
    if as_is:
        return None
    return model.normalizer if model else default


def _parse_prune(prune: str) -> tuple[int, ...]:
    fields = prune.replace(",", " ").split()
    if not all(field.isascii() and field.isdigit() and len(field) < 10 for field in fields):
        raise InputError(f"prune {prune!r}: expected counts such as '0 0 1'; correct it")
    return tuple(map(int, fields))


def _report_missing_symbols(trained: TrainedNgrams, model: AcousticModel, name: str) -> None:
    known = {*model.vocabulary.symbols, *SPECIAL, WORD_BOUNDARY}
    missing = [describe_symbol(word) for word in trained.words if word not in known]
    if missing:
        log_info(f"characters that {name} cannot output: {first_names(missing)}; the text may be of another spelling")
