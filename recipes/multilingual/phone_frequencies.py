"""How often the training texts have each phone, as the language model (1-gram) with which a model of phones decodes by default.

    python -m recipes.multilingual.phone_frequencies exp/multilingual-small-3 --train data/spoken/train.jsonl --dev dev.jsonl

Its weights are those of ``--phones auto``. The error rate on ``--dev``, speech of languages that the model was not trained on,
and a calibration of confidences fitted there are stored with them.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from speechxfer.checkpoints import load_model, resolve_source
from speechxfer.data import read_manifest
from speechxfer.decoding import (
    BONUS,
    FREQUENCY_WEIGHT,
    FusionWeights,
    fit_confidences,
    prepare_fusion,
    score_hypotheses,
    transcribe,
)
from speechxfer.errors import InputError
from speechxfer.language_models import NgramSettings, train_ngrams
from speechxfer.runtime import log_info
from speechxfer.workflows import (
    OWN_FILES,
    WEIGHTS_FILE,
    LanguageModelFiles,
    StoredWeights,
    build_beam_decoder,
    weights_key,
    write_tuned_weights,
)

BEAM = 8


def add_frequencies(name: str, train: Sequence[Path], dev: Path) -> StoredWeights:
    """Write ``word.lm`` and ``decoding.json`` into a model's folder.

    Args:
        name: the model's folder or run.
        train: manifests whose texts are counted.
        dev: manifest of speech that the weights are measured on.

    Raises:
        InputError: a manifest or the model cannot be read.
    """
    folder, model = resolve_source(name).path, load_model(name)
    path = folder / OWN_FILES["word"]
    texts = [utterance.text for manifest in train for utterance in read_manifest(manifest)]
    train_ngrams(texts, path, NgramSettings(1, "word", normalizer=model.normalizer))
    files = LanguageModelFiles([path])
    fusion = prepare_fusion(model.vocabulary, model.normalizer, files.models)
    weights = FusionWeights(symbol_scale=FREQUENCY_WEIGHT, symbol_bonus=BONUS)
    decoder = build_beam_decoder(model, fusion, weights, BEAM)
    utterances = read_manifest(dev)
    hypotheses = transcribe(model, utterances, resample=True, mono=True, decoder=decoder)
    report = score_hypotheses(model, utterances, hypotheses)
    rates, calibration = (100 * report.wer, 100 * report.cer), fit_confidences(model, report, hypotheses)
    stored = StoredWeights(BEAM, weights, fusion.name, dev.name, *rates, calibration)
    write_tuned_weights(folder / WEIGHTS_FILE, {weights_key(files, known_words=False, boosted=False): stored})
    return stored


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of the model or of its run")
    parser.add_argument(
        "--train", type=Path, action="append", required=True, help="manifest in phones; may be repeated"
    )
    parser.add_argument("--dev", type=Path, required=True, help="manifest of other languages")
    options = parser.parse_args()
    try:
        stored = add_frequencies(options.model, options.train, options.dev)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    log_info(
        f"{options.model}: decodes with the frequencies of phones; phone error rate on {options.dev} {stored.wer:.1f} %"
    )


if __name__ == "__main__":
    main()
