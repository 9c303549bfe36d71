"""Feature presets: what each toolkit computes in inference, without dither, for one utterance of any length.

There are as many frames as the library calls valid; what it adds to fill up a batch is excluded. The comment of each preset names
the library and the version against which it is tested.
"""

from dataclasses import replace

from speechxfer.errors import InputError
from speechxfer.features.spec import FeatureSpec

_KALDI_MVN_78DB = FeatureSpec(
    "kaldi-mvn-78db", scale=32768.0, dynamic_range=18.0, normalize="mean_std", normalize_epsilon=1e-2
)
_NEMO_2024 = FeatureSpec(
    "nemo-2024",
    window="hann_symmetric",
    framing="center_reflect",
    remove_dc=False,
    preemphasis_on="signal",
    mel_scale="slaney",
    mel_norm="slaney",
    low_hz=0.0,
    floor=2.0**-24,
    floor_mode="add",
    normalize="mean_std",
    normalize_ddof=1,
    normalize_epsilon=1e-5,
)
_WHISPER = FeatureSpec(
    "whisper",
    fft_size=400,
    window="hann_periodic",
    framing="center_reflect",
    drop_last_frame=True,
    remove_dc=False,
    preemphasis=0.0,
    mel_scale="slaney",
    mel_norm="slaney",
    low_hz=0.0,
    log="log10",
    floor=1e-10,
    dynamic_range=8.0,
    offset=4.0,
    gain=0.25,
)
PRESETS = {
    # torchaudio 2.11, compliance.kaldi.fbank(num_mel_bins=80, dither=0) on the samples as they are.
    "kaldi": FeatureSpec("kaldi"),
    # The same on 16-bit amplitudes, each band normalised per utterance to mean 0 and deviation 1: for encoders trained here.
    "kaldi-mvn": FeatureSpec("kaldi-mvn", scale=32768.0, normalize="mean_std", normalize_epsilon=1e-2),
    # The same, values more than 78 dB (18 nepers of power) below the loudest raised to that: a band that a recording lacks,
    # because it was sampled at 8 kHz or coded, is flat and therefore zero, not rounding noise amplified to deviation 1.
    "kaldi-mvn-78db": _KALDI_MVN_78DB,
    # The same, an utterance of less than 1.5 s in the middle of faint noise: the mean of a single word is mostly its
    # vowel, and subtracting it removes most of what distinguishes words.
    "kaldi-mvn-78db-1.5s": replace(_KALDI_MVN_78DB, name="kaldi-mvn-78db-1.5s", shortest_samples=24_000),
    # lhotse 1.33, Fbank(): what icefall's recipes train on. Kaldi's frames without snipping, bands up to 7600 Hz. Its
    # `energy_floor` does nothing here; the floor is float32's epsilon, as in Kaldi.
    "icefall": FeatureSpec("icefall", framing="kaldi_center", high_hz=-400.0),
    # NeMo before July 2025, AudioToMelSpectrogramPreprocessor of its Conformer, FastConformer and Citrinet models: as many
    # frames as whole hops and one.
    "nemo-2024": _NEMO_2024,
    # NeMo since July 2025 (pull request 13827), equal to transformers 5, ParakeetFeatureExtractor: zeros instead of mirrored
    # samples at the edges, and the frame beyond the last whole hop is no longer valid.
    "nemo-2025": replace(_NEMO_2024, name="nemo-2025", framing="center_constant", drop_last_frame=True),
    # transformers 5, SeamlessM4TFeatureExtractor, the features of Wav2Vec2-BERT: numpy, so in double precision.
    "seamless": FeatureSpec(
        "seamless",
        scale=32768.0,
        normalize="mean_std",
        normalize_ddof=1,
        normalize_epsilon=1e-7,
        normalize_epsilon_on="variance",
        stack=2,
        precision="double",
    ),
    # transformers 5, Speech2TextFeatureExtractor with torchaudio. Where a band never changes, it has 0 / 0 and we have 0.
    "speech2text": FeatureSpec("speech2text", scale=32768.0, normalize="mean_std"),
    # openai-whisper and transformers 5, WhisperFeatureExtractor, before v3, without filling up to 30 s.
    "whisper": _WHISPER,
    # The same as its networks receive it: zeros follow, whose frames models/transformers_encoders.py adds.
    "whisper-filled": replace(_WHISPER, name="whisper-filled", framing="center_filled", drop_last_frame=False),
}


def feature_preset(name: str) -> FeatureSpec:
    """The spec of that name; InputError lists the known ones."""
    if name not in PRESETS:
        raise InputError(f"feature preset {name!r} is unknown; expected one of {', '.join(PRESETS)}")
    return PRESETS[name]
