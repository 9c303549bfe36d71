"""Shared by the tests of transfer: small models with random weights, a corpus of tones, and settings for a short training."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from speechxfer.config.settings import FinetuneConfig
from speechxfer.data.manifest import Utterance
from speechxfer.features.presets import PRESETS
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.models.architecture import Architecture
from speechxfer.text.normalizer import Normalizer
from speechxfer.text.vocabulary import Vocabulary
from tests.tone_corpus import write_tone_corpus

ENCODERS = ["conformer", "cnn", "dnn"]
LENGTHS = torch.tensor([120, 61])
SOURCE = Vocabulary.from_texts(["a bc"])
QUICK = FinetuneConfig(
    steps=4,
    batch_s=8.0,
    evaluate_every_steps=2,
    average_best=1,
    encoder_lr=3e-3,
    head_lr=2e-3,
    precision="fp32",
    speed_factors=(1.0,),
    spec_augment=0.0,
    intermediate_ctc=0.0,
)


def settings(**changes: object) -> FinetuneConfig:
    return FinetuneConfig(**(QUICK.model_dump() | changes))


@dataclass(frozen=True)
class Tones:
    """The source's own speech and that of a target whose letters have other pitches; their manifests lie in `folder`."""

    source: list[Utterance]
    train: list[Utterance]
    dev: list[Utterance]
    folder: Path


def write_tones(folder: Path) -> Tones:
    """Files ``source.jsonl``, ``train.jsonl`` and ``dev.jsonl``."""
    return Tones(
        write_tone_corpus(folder / "source.jsonl", 7, letters="abc", seed=1, words=(1, 3)),
        write_tone_corpus(folder / "train.jsonl", 8, letters="dcab", seed=2, words=(1, 3)),
        write_tone_corpus(folder / "dev.jsonl", 3, letters="dcab", seed=3, words=(1, 3)),
        folder,
    )


def source_model(
    encoder: str = "cnn", vocabulary: Vocabulary = SOURCE, task: str = "ctc", dropout: float = 0.1
) -> AcousticModel:
    """Random weights, none of them left at zero; batch statistics that are not the default ones."""
    torch.manual_seed(1)
    architecture = Architecture(encoder, "tiny", 1 if encoder == "dnn" else 4, dropout=dropout)
    model = AcousticModel(architecture, vocabulary, PRESETS["kaldi-mvn"], Normalizer(), task)
    with torch.no_grad():
        for weights in model.parameters():
            if not weights.any():
                weights.normal_(0.0, 0.1)
        model(features(), LENGTHS)
    return model.eval()


def features() -> Tensor:
    return torch.randn(2, 120, 80, generator=torch.Generator().manual_seed(4))


def output(model: AcousticModel) -> Tensor:
    with torch.inference_mode():
        log_probs, _ = model.eval()(features(), LENGTHS)
    return log_probs


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
