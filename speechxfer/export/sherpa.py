"""Folders for sherpa-onnx, which runs on telephones, single-board computers and servers, without code of this package.

Of its kinds of models, `omnilingual_asr_ctc` takes samples instead of features, so features and model are one graph here, as in
``onnx_graph.py``. What its C++ code does with that kind (k2-fsa/sherpa-onnx, versions 1.12 to 2.0), the graph undoes or heeds:

- it resamples to 16 kHz and gives one recording at a time;
- it subtracts the mean m of the samples and divides by sqrt(v + 1e-5), v their variance. v follows from the variance of
  what it gives, v / (v + 1e-5), so the graph restores the amplitudes. (The mean is lost; features hardly depend on it.)
- it takes a frame of the output for 20 ms, so frames are repeated: CTC merges equal neighbours;
- it writes a leading "▁" of a token as a space and removes one space at the beginning of the text, so spaces that our texts
  do not have, at the end or beside others, are replaced by blank.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from speechxfer.decoding import frame_duration_s
from speechxfer.errors import InputError
from speechxfer.export.onnx_graph import WaveformModel, convert, load_for_graph
from speechxfer.export.quantization import quantize
from speechxfer.models import AcousticModel
from speechxfer.runtime import atomic_folder, check_new_folder, log_info
from speechxfer.text import Vocabulary

RATE_HZ = 16_000
FRAME_S = 0.02
ADDED_VARIANCE = 1e-5


def export_sherpa(name: str, out: Path) -> None:
    """Write ``model.onnx``, ``model.int8.onnx`` (weights of 8 bits), ``tokens.txt`` and ``README.txt``.

    Raises:
        InputError: the extra `onnx` is not installed; the model is a classifier, its sampling rate is not 16 kHz, its encoder
            cannot be converted or its symbols cannot be written as tokens; or `out` exists and is not an empty folder.
    """
    check_new_folder(out)
    model = load_for_graph(name)
    if model.task != "ctc":
        raise InputError(f"{name}: the task is {model.task}; sherpa-onnx transcribes, `--to onnx` takes classifiers")
    if model.spec.sample_rate_hz != RATE_HZ:
        raise InputError(
            f"{name}: its sampling rate is {model.spec.sample_rate_hz} Hz, but sherpa-onnx resamples to {RATE_HZ}; "
            "use `--to onnx`"
        )
    tokens = list_tokens(model.vocabulary)
    network = SherpaModel(model)
    with atomic_folder(out) as partial:
        samples = torch.export.Dim("samples", min=model.spec.window_samples)
        example = {"samples": 0.1 * torch.randn(1, 2 * RATE_HZ)}
        graph = convert(network, example, {"samples": {1: samples}}, ["log_probs"])
        (partial / "model.onnx").write_bytes(graph.SerializeToString())
        quantize(graph, partial / "model.int8.onnx")
        (partial / "tokens.txt").write_text("".join(f"{token} {i}\n" for i, token in enumerate(tokens)), "utf-8")
        (partial / "README.txt").write_text(_readme(network), "utf-8")
    log_info(f"wrote {out}; next: pip install sherpa-onnx, and the lines in {out / 'README.txt'}")


def list_tokens(vocabulary: Vocabulary) -> list[str]:
    """Tokens such that sherpa-onnx joins them to the text that the vocabulary decodes; InputError if there are none.

    It reads them up to the first space, and takes all of them for bytes if their largest byte is 0xC6; a token that never
    occurs prevents that.
    """
    if vocabulary.kind == "characters":
        tokens = ["▁" if symbol == " " else symbol for symbol in vocabulary.symbols[1:]]
    elif vocabulary.kind == "bpe":
        tokens = list(vocabulary.symbols[1:])
    else:
        tokens = [f"▁{symbol}" for symbol in vocabulary.symbols[1:]]
    for token in tokens:
        if any(map(str.isspace, token)) or "▁" in token.lstrip("▁") or (len(token) > 1 and token.startswith("▁▁")):
            raise InputError(
                f"the symbol {token!r} contains a space, which tokens of sherpa-onnx cannot; use `--to onnx`"
            )
    largest = max((byte for token in tokens for byte in token.replace("▁", "").encode()), default=0)
    return ["<blk>", *tokens, *(["<中>"] if largest == 0xC6 else [])]


class SherpaModel(WaveformModel):
    """Samples as sherpa-onnx gives them, `[1, samples]`, to log-probabilities `[1, frames, symbols]` of 20 ms each."""

    def __init__(self, model: AcousticModel) -> None:
        super().__init__(model)
        frame_s = frame_duration_s(model)
        self.repeats = max(1, round(frame_s / FRAME_S))
        self.slower = self.repeats * FRAME_S / frame_s
        """Factor of sherpa-onnx's times where frames are no multiple of 20 ms."""
        tokens = list_tokens(model.vocabulary)[: len(model.vocabulary.symbols)]
        self.register_buffer("is_space", torch.tensor([token == "▁" for token in tokens]))
        self.register_buffer("begins_word", torch.tensor([token.startswith("▁") for token in tokens]))

    def forward(self, samples: Tensor) -> Tensor:  # type: ignore[override]
        """Log-probabilities; after the last frame of the recording they are those of blank."""
        samples = restore_amplitude(samples)
        lengths = torch.full_like(samples[:, 0], samples.shape[1], dtype=torch.long)
        log_probs, frames = super().forward(samples, lengths)
        positions = torch.arange(log_probs.shape[1]) + self._frames_before(log_probs, lengths)
        moved = log_probs[:, positions.clamp(max=log_probs.shape[1] - 1)]
        is_blank = (positions >= frames) | self._needless_spaces(moved[0].argmax(dim=-1))
        blank = torch.full_like(log_probs[:, :1], -math.inf).index_fill(2, torch.tensor([0]), 0.0)
        return torch.where(is_blank[None, :, None], blank, moved).repeat_interleave(self.repeats, dim=1)

    def _frames_before(self, log_probs: Tensor, lengths: Tensor) -> Tensor:
        """Frames of the noise before a very short recording, `[1]`, as far as they are blank: without them times are right."""
        spec = self.model.spec
        noise_samples = (spec.shortest_samples - lengths).clamp(min=0) // 2
        noise_frames = noise_samples // round(spec.sample_rate_hz * frame_duration_s(self.model))
        first_symbol = (log_probs.argmax(dim=-1) != 0).long().argmax(dim=-1)
        return torch.minimum(noise_frames, first_symbol)

    def _needless_spaces(self, ids: Tensor) -> Tensor:
        """Which frames of a path `[frames]` write spaces at an edge, after another space, or before a word that has its own."""
        is_space, begins_word = self.get_buffer("is_space")[ids], self.get_buffer("begins_word")[ids]
        is_letter = (ids != 0) & ~is_space
        letters = is_letter.long().cumsum(dim=0)
        place = torch.arange(ids.shape[0])  # len would make it a constant
        is_after_space = ((letters[:, None] == letters) & (place[:, None] > place) & is_space).any(dim=1)
        is_before_word = ((letters[:, None] + 1 == letters) & is_letter & begins_word).any(dim=1)
        is_at_edge = (letters == 0) | (letters == letters[-1:])
        return is_space & (is_after_space | is_before_word | is_at_edge)


def restore_amplitude(samples: Tensor) -> Tensor:
    """Samples `[1, samples]` as they were before they were divided by sqrt(variance + 1e-5), but for their mean."""
    share = samples.double().square().mean()  # v / (v + 1e-5); in double precision, because it is close to 1
    return samples * (ADDED_VARIANCE / (1.0 - share).clamp(min=ADDED_VARIANCE)).sqrt().float()


def _readme(network: SherpaModel) -> str:
    """How to run the folder."""
    lines: Sequence[str] = (
        f"A speech recogniser for sherpa-onnx: {network.model.name or 'adapted with speechxfer'}.",
        "",
        "model.onnx         32-bit weights",
        "model.int8.onnx    8-bit weights: a quarter of the size, faster, nearly the same text",
        "tokens.txt         the symbols that it writes",
        "",
        "In Python, in this folder (pip install sherpa-onnx soundfile):",
        "",
        "    import sherpa_onnx",
        "    import soundfile",
        "",
        "    recognizer = sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc(",
        '        model="model.int8.onnx", tokens="tokens.txt"',
        "    )",
        '    samples, rate_hz = soundfile.read("recording.wav", dtype="float32", always_2d=True)',
        "    stream = recognizer.create_stream()",
        "    stream.accept_waveform(rate_hz, samples.mean(axis=1))",
        "    recognizer.decode_stream(stream)",
        "    print(stream.result.text)",
        "",
        "With sherpa-onnx's program:",
        "",
        "    sherpa-onnx-offline --omnilingual-asr-model=model.int8.onnx --tokens=tokens.txt recording.wav",
        "",
        "In C, C++, C#, Dart, Go, Java, JavaScript, Kotlin and Swift this kind of model is called omnilingual, too. Settings of",
        "features have no effect: the features are in the graph. Recordings of more than half a minute need sherpa-onnx's voice",
        "activity detector.",
    )
    if network.slower != 1:
        lines = (*lines, f"Times of tokens are too large by a factor of {network.slower:g}.")
    return "\n".join(lines) + "\n"
