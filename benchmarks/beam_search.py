"""Speed of decoding on one thread, as multiples of real time: greedy, beam search, and flashlight-text's lexicon decoder.

A benchmark, run by hand. The log-probabilities of at most ten minutes of a manifest are computed once; then each way of decoding
is timed in turn, three times, and the median is printed. The language model is one of words, such as a 4-gram. flashlight (Python
3.11 and 3.12) writes only words of the language model, ours also others.

    python benchmarks/beam_search.py exp/x test.jsonl word.lm
"""

import math
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from speechxfer.checkpoints import load_model
from speechxfer.data import read_manifest
from speechxfer.decoding import (
    BeamDecoder,
    FusionWeights,
    GreedyDecoder,
    SearchSettings,
    compute_log_probs,
    frame_duration_s,
    prepare_fusion,
)
from speechxfer.features import AudioOptions
from speechxfer.language_models import NgramModel, read_language_model, write_arpa
from speechxfer.models import AcousticModel

MAX_S, ROUNDS, BEAM = 600.0, 3, 16
WEIGHTS = FusionWeights(word_scale=0.4)


def log_probs_of(model: AcousticModel, manifest: Path) -> tuple[list[Tensor], float]:
    """Log-probabilities of the first utterances, and how many seconds they are."""
    chosen, seconds = [], 0.0
    for utterance in read_manifest(manifest):
        if seconds < MAX_S:
            chosen.append(utterance)
            seconds += utterance.duration
    outputs = dict(compute_log_probs(model, chosen, AudioOptions(model.spec, True, True)))
    return [outputs[index] for index in range(len(chosen))], seconds


def flashlight_decoder(model: AcousticModel, words: NgramModel, folder: Path) -> Callable[[Tensor], Any]:
    """The lexicon decoder with the same beam and weights; its words end with a space."""
    library: Any = import_module("flashlight.lib.text.decoder")  # which has no types
    open_kenlm = import_module("flashlight.lib.text.decoder.kenlm").KenLM
    dictionary = import_module("flashlight.lib.text.dictionary").Dictionary
    write_arpa(words.tables, folder / "words.arpa")
    vocabulary = model.vocabulary
    known = [word for word in words.words[3:] if not vocabulary.unknown(word)]
    kenlm = open_kenlm(str(folder / "words.arpa"), dictionary([*known, "<unk>"]))
    space = vocabulary.symbols.index(" ")
    trie = library.Trie(len(vocabulary.symbols), space)
    for number, word in enumerate(known):
        trie.insert([*vocabulary.encode(word), space], number, kenlm.score(kenlm.start(False), number)[1])
    trie.smear(library.SmearingMode.MAX)
    options = library.LexiconDecoderOptions(
        BEAM,
        len(vocabulary.symbols),
        1e3,
        WEIGHTS.word_scale * math.log(10),
        WEIGHTS.word_bonus,
        -math.inf,
        0.0,
        True,
        library.CriterionType.CTC,
    )
    search = library.LexiconDecoder(options, trie, kenlm, space, 0, len(known), [], False)
    return lambda log_probs: search.decode(log_probs.data_ptr(), *log_probs.shape)


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    name, manifest, path = sys.argv[1:]
    model, words = load_model(name).eval(), read_language_model(path)
    log_probs, seconds = log_probs_of(model, Path(manifest))
    fusion = prepare_fusion(model.vocabulary, model.normalizer, [words])
    frame_s, settings = frame_duration_s(model), SearchSettings(BEAM)
    plain = BeamDecoder(model.vocabulary, frame_s, (), settings)
    fused = BeamDecoder(model.vocabulary, frame_s, fusion.scorers(WEIGHTS), settings)
    every_frame = BeamDecoder(
        model.vocabulary, frame_s, fusion.scorers(WEIGHTS), SearchSettings(BEAM, certain_blank=1.0)
    )
    greedy = GreedyDecoder.of_model(model)
    title = f"beam {BEAM}, {fusion.name}"
    ways: dict[str, Callable[[], Any]] = {
        "greedy": lambda: greedy.decode(log_probs),
        f"beam {BEAM}, one utterance at a time": lambda: [plain.decode_texts([one]) for one in log_probs],
        f"{title}, one utterance at a time": lambda: [fused.decode_texts([one]) for one in log_probs],
        f"{title}, one utterance at a time, all frames": lambda: [every_frame.decode_texts([one]) for one in log_probs],
        f"{title}, all utterances at once": lambda: fused.decode_texts(log_probs),
        f"{title}, all at once, with times of words": lambda: fused.decode(log_probs),
    }
    with tempfile.TemporaryDirectory() as folder:
        try:
            decode = flashlight_decoder(model, words, Path(folder))
            ways[f"flashlight-text, {title}"] = lambda: [decode(one.contiguous()) for one in log_probs]
        except ImportError:
            print("flashlight-text is not installed", file=sys.stderr)
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, run in ways.items():
                started = time.perf_counter()
                run()
                times[way].append(time.perf_counter() - started)
    print(
        f"{len(log_probs)} utterances, {seconds:.0f} s of speech, {len(model.vocabulary.symbols)} symbols; times real time:"
    )
    for way, measured in times.items():
        rates = [seconds / value for value in measured]
        print(f"{median(rates):8.0f}  ({min(rates):.0f} to {max(rates):.0f})  {way}")


if __name__ == "__main__":
    main()
