"""Error rate of one long recording beside that of its utterances: what cutting, skipping silence and joining cost.

The recording is a manifest's utterances, each followed by 0.3 to 1.5 s of noise as loud as the utterance's quietest 0.1 s.

    python -m benchmarks.long_recordings MODEL MANIFEST --title "Yoruba, test"
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch

from benchmarks.page import table, write_section
from speechxfer.checkpoints import load_model
from speechxfer.data import Utterance, read_audio, read_manifest
from speechxfer.decoding import decode_utterances, recording_utterance, segment_recording
from speechxfer.features import AudioOptions
from speechxfer.runtime import console
from speechxfer.scoring import score

RATE = 16_000
PAUSES_S = (0.3, 1.5)


def write_recording(path: Path, utterances: Sequence[Utterance]) -> None:
    """The utterances with pauses between them, 16 bit."""
    generator = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for one in utterances:
            samples = read_audio(
                one.audio_filepath, offset_s=one.offset, duration_s=one.duration, resample=True, mono=True
            )
            power = np.convolve(np.square(samples, dtype=np.float64), np.full(1600, 1 / 1600), "valid")
            pause = generator.standard_normal(round(RATE * generator.uniform(*PAUSES_S)))
            file.write(samples)
            file.write(np.sqrt(max(1e-10, power.min())) * pause)


def main() -> None:
    """Measure and write the section of the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--title", required=True, help="of the section of the page")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console.quiet = True
    model = load_model(arguments.model)
    audio, utterances = AudioOptions(model.spec, resample=True, mono=True), read_manifest(arguments.manifest)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_recording(Path(folder) / "a.wav", utterances)
        recording = recording_utterance(Path(folder) / "a.wav")
        inputs = {
            "separate utterances": utterances,
            "recording, silence skipped": segment_recording(recording, audio),
            "recording, all of it": segment_recording(recording, audio, skip_silence=False),
            "recording, one utterance": [recording],
        }
        for name, parts in inputs.items():
            hypotheses = decode_utterances(model, parts, audio)
            texts = (hypotheses[part.id].text for part in parts)
            report = score(
                {"all": " ".join(one.text for one in utterances)},
                {"all": " ".join(text for text in texts if text)},
                normalizer=model.normalizer,
            )
            rows.append((name, str(len(parts)), f"{100 * report.wer:.2f}", f"{100 * report.cer:.2f}"))
            print(*rows[-1], flush=True)
    lines = [f"{recording.duration / 60:.0f} minutes, {len(utterances)} utterances.", ""]
    lines += table(("decoded as", "parts", "WER %", "CER %"), rows)
    write_section(f"Long recordings: {arguments.title}", lines, ["torch", "numpy"])


if __name__ == "__main__":
    main()
