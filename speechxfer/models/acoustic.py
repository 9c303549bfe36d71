"""The acoustic model: encoder, linear head, and all that gives their numbers a meaning (symbols, features, normaliser).

What it is not: a trainer or a decoder. Two tasks: `ctc` gives log-probabilities per frame (Graves et al., 2006),
`classify` one distribution per utterance from the mean of its encoded frames.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from speechxfer.errors import InputError
from speechxfer.features import FeatureSpec
from speechxfer.models import cnn, conformer, dnn
from speechxfer.models.conformer import padding_mask
from speechxfer.text import Normalizer, Vocabulary

Task = Literal["ctc", "classify"]

ENCODERS: dict[str, tuple[Any, Any, tuple[int, ...]]] = {  # kind: (class, options by size, subsampling factors)
    "conformer": (conformer.ConformerEncoder, conformer.SIZES, (4, 8)),
    "cnn": (cnn.CnnEncoder, cnn.SIZES, (4, 8)),
    "dnn": (dnn.DnnEncoder, dnn.SIZES, (1,)),
}


@dataclass(frozen=True)
class Architecture:
    """What rebuilds an encoder: its kind, size, time reduction and the dropout it trains with."""

    encoder: str
    size: str = "small"
    subsampling: int = 4
    dropout: float = 0.1

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint's JSON."""
        return asdict(self)


def build_encoder(architecture: Architecture, input_dim: int) -> nn.Module:
    """A fresh encoder with random weights; InputError for a kind, size or subsampling that does not exist."""
    if architecture.encoder not in ENCODERS:
        raise InputError(f"encoder {architecture.encoder!r} is unknown; expected one of {', '.join(ENCODERS)}")
    kind, sizes, factors = ENCODERS[architecture.encoder]
    if architecture.size not in sizes:
        raise InputError(
            f"size {architecture.size!r} is unknown for {architecture.encoder}; expected one of {', '.join(sizes)}"
        )
    if architecture.subsampling not in factors:
        known = " or ".join(map(str, factors))
        raise InputError(
            f"{architecture.encoder} cannot subsample by {architecture.subsampling}; set model.subsampling to {known}"
        )
    options = dict(sizes[architecture.size])
    if factors != (1,):
        options["subsampling"] = architecture.subsampling
    encoder: nn.Module = kind(input_dim, dropout=architecture.dropout, **options)
    return encoder


class AcousticModel(nn.Module):
    """Encoder and head with their vocabulary, features and normaliser; row i of the head belongs to symbol i."""

    def __init__(
        self,
        architecture: Architecture,
        vocabulary: Vocabulary,
        spec: FeatureSpec,
        normalizer: Normalizer,
        task: Task = "ctc",
    ) -> None:
        super().__init__()
        if task not in get_args(Task):
            raise InputError(f"task {task!r} is unknown; expected one of {', '.join(get_args(Task))}")
        self.architecture = architecture
        self.vocabulary = vocabulary
        self.spec = spec
        self.normalizer = normalizer
        self.task: Task = task
        encoder: Any = build_encoder(architecture, spec.dim)
        self.encoder = encoder
        self.head = nn.Linear(encoder.output_dim, len(vocabulary.symbols))

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Encoded frames `[batch]` for feature frames `[batch]`."""
        encoder: Any = self.encoder
        encoded: Tensor = encoder.output_lengths(lengths)
        return encoded

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features `[batch, frames, mels]` and lengths `[batch]` to log-probabilities and lengths.

        Returns:
            `ctc`: `[batch, frames', symbols]` and frames' per utterance; `classify`: `[batch, 1, symbols]` and ones.
            Always float32.
        """
        encoded, lengths = self.encoder(features, lengths)
        if self.task == "classify":
            encoded, lengths = mean_frame(encoded, lengths), torch.ones_like(lengths)
        logits = self.head(encoded).float()
        if self.task == "classify":
            logits = logits.index_fill(-1, torch.zeros(1, dtype=torch.long, device=logits.device), float("-inf"))
        return logits.log_softmax(dim=-1), lengths


def mean_frame(encoded: Tensor, lengths: Tensor) -> Tensor:
    """Average of the valid frames of `[batch, frames, dim]` as `[batch, 1, dim]`."""
    valid = padding_mask(lengths, encoded.shape[1])[..., None]
    return (encoded * valid).sum(dim=1, keepdim=True) / lengths.clamp(min=1)[:, None, None]
