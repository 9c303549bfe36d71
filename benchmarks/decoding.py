"""Speed of decoding on one core: encoder, recording to text, and beam search with a word 4-gram beside flashlight-text.

The methods alternate in several rounds of one run; reported are the medians of the rounds and the ratios within a round. The
recording is a concatenation of a manifest's utterances with short pauses. With ``--lm-text``, both searches decode the
log-probabilities of those utterances with the same 4-gram of the given texts (beam 16, the 32 most probable
symbols of a frame) and the same weights, and add up the alignments of a text; flashlight-text queries the model by KenLM.

    python -m benchmarks.decoding MODEL MANIFEST --lm-text train.jsonl
"""

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor

from benchmarks.page import table, write_section
from speechxfer.checkpoints import load_model
from speechxfer.data import Samples, Utterance, read_audio, read_manifest
from speechxfer.decoding import (
    BeamDecoder,
    Fusion,
    FusionWeights,
    SearchSettings,
    compute_log_probs,
    frame_duration_s,
    prepare_fusion,
)
from speechxfer.features import AudioOptions, utterance_features
from speechxfer.language_models import NgramModel, NgramSettings, read_language_model, train_ngrams
from speechxfer.models import AcousticModel
from speechxfer.runtime import console, import_extra
from speechxfer.scoring import score
from speechxfer.workflows import DecodingOptions, transcribe_inputs

ROUNDS = 3
BEAM, SYMBOLS = 16, 32
GREEDY = DecodingOptions(language_models=())
RECORDING_S = 600.0
UTTERANCES = 150
UNKNOWN_WORD = -4.0  # for words that the language model does not know; flashlight-text never writes them
Search = Callable[[Sequence[Tensor]], list[str]]  # log-probabilities to texts
LN10 = math.log(10)


@dataclass(frozen=True)
class Method:
    """What is timed, and how many seconds of speech it decodes."""

    name: str
    run: Callable[[], object]
    speech_s: float


def encoder_method(model: AcousticModel, utterances: Sequence[Utterance], audio: AudioOptions) -> Method:
    """The model on features of three times 20 s in a batch, as long recordings are encoded."""
    frames = torch.from_numpy(np.concatenate([utterance_features(one, audio) for one in utterances]))
    size = round(20 * model.spec.frames_per_s)
    count = len(frames) // (3 * size)
    batches = list(frames[: count * 3 * size].reshape(count, 3, size, -1))

    def run() -> None:
        with torch.inference_mode():
            for batch in batches:
                model(batch, torch.full((len(batch),), size))

    return Method("encoder", run, 60.0 * len(batches))


def recording_method(name: str, model_name: str, recording: Path) -> Method:
    """`speechxfer transcribe` on a recording, with loading the model but without the start of the program."""
    return Method(name, lambda: list(transcribe_inputs(model_name, [recording], decoding=GREEDY)), RECORDING_S)


def write_recordings(utterances: Sequence[Utterance], folder: Path) -> dict[str, Path]:
    """A recording of the utterances with pauses, as WAV and M4A."""
    generator = np.random.default_rng(0)
    parts: list[Samples] = []
    while sum(len(part) for part in parts) < RECORDING_S * 16_000:
        for one in utterances:
            samples = read_audio(
                one.audio_filepath, offset_s=one.offset, duration_s=one.duration, resample=True, mono=True
            )
            parts += [
                samples,
                generator.normal(0, 1e-4, round(16_000 * generator.uniform(0.3, 1.0))).astype(np.float32),
            ]
    whole = np.concatenate(parts)[: round(RECORDING_S * 16_000)]
    files = {"WAV, 16 kHz": folder / "a.wav", "M4A, 44.1 kHz stereo": folder / "a.m4a"}
    soundfile.write(files["WAV, 16 kHz"], whole, 16_000)
    write_m4a(files["M4A, 44.1 kHz stereo"], whole)
    return files


def write_m4a(path: Path, samples: Any, rate_hz: int = 44_100) -> None:
    """AAC in stereo, from samples at 16 kHz."""
    av = import_extra("av", "media", "writing M4A")
    with av.open(str(path), "w", format="ipod") as container:
        track = container.add_stream("aac", rate=rate_hz, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="flt", layout="mono")
        frame.rate, frame.pts = 16_000, 0
        convert = av.AudioResampler(
            format="fltp", layout="stereo", rate=rate_hz, frame_size=track.codec_context.frame_size
        )
        for part in [*convert.resample(frame), *convert.resample(None)]:
            container.mux(track.encode(part))
        container.mux(track.encode(None))


def build_searches(model: AcousticModel, texts: Path, folder: Path) -> dict[str, Search]:
    """Both searches with the same 4-gram of the manifest's texts."""
    arpa = folder / "words.arpa"
    settings = NgramSettings(4, "word", (), model.normalizer)
    train_ngrams((one.text for one in read_manifest(texts)), arpa, settings, arpa=True)
    language_model = read_language_model(arpa)
    fusion = prepare_fusion(model.vocabulary, model.normalizer, [language_model])
    weights = FusionWeights(word_scale=0.5, word_bonus=0.5, unknown_word=UNKNOWN_WORD)
    ours = own_search(model, fusion, weights)
    return {"speechxfer": ours, "flashlight-text": flashlight_search(model, language_model, arpa, weights)}


def own_search(model: AcousticModel, fusion: Fusion, weights: FusionWeights) -> Callable[[Sequence[Tensor]], list[str]]:
    """Our beam search, texts only."""
    settings = SearchSettings(beam=BEAM, symbols=SYMBOLS)
    decoder = BeamDecoder(model.vocabulary, frame_duration_s(model), fusion.scorers(weights), settings)
    return decoder.decode_texts


def flashlight_search(model: AcousticModel, language_model: NgramModel, arpa: Path, weights: FusionWeights) -> Search:
    """Flashlight's decoder with a lexicon; words that the model's letters cannot spell are omitted."""
    decoder_module = import_extra("flashlight.lib.text.decoder", "test", "the comparison")
    kenlm = import_extra("flashlight.lib.text.decoder.kenlm", "test", "the comparison")
    dictionary = import_extra("flashlight.lib.text.dictionary", "test", "the comparison")
    symbols = model.vocabulary.symbols
    words = [word for word in language_model.words[3:] if set(word) <= set(symbols)]
    oracle = kenlm.KenLM(str(arpa), dictionary.Dictionary([*words, "<unk>"]))
    space = symbols.index(" ")
    trie = decoder_module.Trie(len(symbols), space)
    for number, word in enumerate(words):
        trie.insert([*model.vocabulary.encode(word), space], number, oracle.score(oracle.start(False), number)[1])
    trie.smear(decoder_module.SmearingMode.MAX)
    options = decoder_module.LexiconDecoderOptions(
        BEAM, SYMBOLS, 1e9, weights.word_scale * LN10, weights.word_bonus, -math.inf, 0.0, True,
        decoder_module.CriterionType.CTC,
    )  # fmt: skip
    decoder = decoder_module.LexiconDecoder(options, trie, oracle, space, 0, len(words), [], False)

    def decode(log_probs: Sequence[Tensor]) -> list[str]:
        found = []
        for values in log_probs:
            best = decoder.decode(values.contiguous().data_ptr(), *values.shape)[0]
            found.append(" ".join(words[number] for number in best.words if number >= 0))
        return found

    return decode


def measure(methods: Sequence[Method]) -> dict[str, list[float]]:
    """Speeds (seconds of speech per second of CPU time) of each round; the methods alternate."""
    speeds: dict[str, list[float]] = {method.name: [] for method in methods}
    for method in methods:
        method.run()  # caches are filled
    for _ in range(ROUNDS):
        for method in methods:
            started = time.process_time()
            method.run()
            speeds[method.name].append(method.speech_s / (time.process_time() - started))
            print(f"{method.name}: {speeds[method.name][-1]:.0f} x real time", flush=True)
    return speeds


def compare_texts(
    utterances: Sequence[Utterance], model: AcousticModel, searches: dict[str, Search], log_probs: Sequence[Tensor]
) -> list[str]:
    """Lines with the error rate of each search, which should be alike."""
    lines = []
    for name, search in searches.items():
        texts = dict(zip((one.id for one in utterances), search(log_probs), strict=True))
        report = score({one.id: one.text for one in utterances}, texts, normalizer=model.normalizer)
        lines.append(f"- WER of {name}: {100 * report.wer:.1f} %")
    return lines


def main() -> None:
    """Measure and write the section of the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--lm-text", type=Path, help="manifest whose texts the language model is trained on")
    parser.add_argument("--title", default="Decoding", help="of the section of the page")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console.quiet = True
    model = load_model(arguments.model).eval()
    audio = AudioOptions(model.spec, resample=True, mono=True)
    utterances = read_manifest(arguments.manifest)[:UTTERANCES]
    speech_s = sum(one.duration for one in utterances)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        methods = [encoder_method(model, utterances, audio)]
        methods += [
            recording_method(f"recording to text, greedy: {kind}", arguments.model, path)
            for kind, path in write_recordings(utterances, Path(folder)).items()
        ]
        searches = build_searches(model, arguments.lm_text, Path(folder)) if arguments.lm_text else {}
        log_probs = [
            values for _, values in sorted(compute_log_probs(model, utterances, audio), key=lambda one: one[0])
        ]
        for name, search in searches.items():
            methods.append(Method(f"beam {BEAM}, word 4-gram: {name}", partial(search, log_probs), speech_s))
        speeds = measure(methods)
        if searches:
            ratios = [a / b for a, b in zip(*list(speeds.values())[-2:], strict=True)]
            spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            lines = ["", f"- Speed of speechxfer over that of flashlight-text: {spread}"]
            lines += compare_texts(utterances, model, searches, log_probs)
    rows = [(name, f"{median(values):.0f}", " ".join(f"{x:.0f}" for x in values)) for name, values in speeds.items()]
    lines = [*table(("method", "x real time", "rounds"), rows), *lines]
    packages = ["torch", "numpy", "soundfile", "av", *(["flashlight-text"] if searches else [])]
    write_section(arguments.title, lines, packages)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
