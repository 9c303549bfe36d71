"""The acoustic model: an encoder and a linear head with their symbols, features and normaliser.

Two tasks: `ctc` gives log-probabilities per frame (Graves et al., 2006), `classify` one distribution per utterance from mean
and maximum over time of the output of each layer. Words are classified better from all layers than from the last one alone,
most of all for new speakers (see ``recipes/fsdd/notes.md``; Yang et al., 'SUPERB', arXiv:2105.01051, use weighted layers of
frozen encoders for the same reason).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor, nn

from speechxfer.errors import InputError
from speechxfer.features import FeatureSpec
from speechxfer.models.architecture import Architecture, build_encoder
from speechxfer.models.conformer import ExtraLayers
from speechxfer.models.encoder import Encoder
from speechxfer.models.heads import ParentHead, Task, build_head, mean_frame
from speechxfer.scoring import Calibration
from speechxfer.text import Normalizer, Vocabulary


class AcousticModel(nn.Module):
    """Encoder and head with their vocabulary, features and normaliser; row i of the head belongs to symbol i.

    `parents` are the heads of the models it was adapted from, the nearest first.
    """

    def __init__(
        self,
        architecture: Architecture,
        vocabulary: Vocabulary,
        spec: FeatureSpec,
        normalizer: Normalizer,
        task: Task = "ctc",
        *,
        encoder: Encoder | None = None,
        parents: tuple[ParentHead, ...] = (),
    ) -> None:
        super().__init__()
        if task not in get_args(Task):
            raise InputError(f"task {task!r} is unknown; expected one of {', '.join(get_args(Task))}")
        self.architecture = architecture
        self.vocabulary = vocabulary
        self.spec = spec
        self.normalizer = normalizer
        self.task: Task = task
        self.name = ""  # of its card, if it was loaded from a folder
        self.parents = parents
        self.calibration: Calibration | None = (
            None  # of the confidences of words, fitted to dev data at the end of training
        )
        built = encoder or build_encoder(architecture, spec.dim)
        self.encoder: Encoder = built
        self.extra = ExtraLayers(built.output_dim, architecture.extra_layers, architecture.dropout)
        self.pooling, self.head = build_head(built, task, len(vocabulary.symbols))

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features `[batch, frames, mels]` and lengths `[batch]`, which may be on the CPU, to log-probabilities and lengths.

        Returns:
            `ctc`: `[batch, frames', symbols]` and frames' per utterance; `classify`: `[batch, 1, symbols]` and ones.
            Always float32.
        """
        if self.pooling:
            return self.log_probs(*self.encode(features, lengths))
        encoded, lengths = self.encoder(features, lengths.to(features.device, non_blocking=True))
        return self.log_probs([encoded], lengths)

    def encode(self, features: Tensor, lengths: Tensor) -> tuple[list[Tensor], Tensor]:
        """Features `[batch, frames, mels]` and lengths `[batch]`, as in `forward`, to the outputs of the encoder's layers.

        Returns:
            `[batch, frames', dim]` of each layer, the last one being the encoder's output; the output alone for an encoder
            without uniform layers. And frames' per utterance.
        """
        outputs: list[Tensor] = []
        captured = self.encoder.adapters[:-1] if self.encoder.has_uniform_layers else ()
        handles = [each.register_forward_hook(lambda _, __, output: outputs.append(output)) for each in captured]
        try:
            encoded, lengths = self.encoder(features, lengths.to(features.device, non_blocking=True))
        finally:
            for handle in handles:
                handle.remove()
        return [*outputs, encoded], lengths

    def log_probs(self, layers: Sequence[Tensor], lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities and lengths as from `forward`, of the outputs of the layers (see `encode`)."""
        *_, encoded = layers = self.apply_extra_layers(layers, lengths)
        if self.task == "classify":
            pooled = self.pooling(layers, lengths) if self.pooling else mean_frame(encoded, lengths)
            encoded, lengths = pooled, torch.ones_like(lengths)
        logits = self.head(encoded).float()
        if self.task == "classify":
            logits = logits.index_fill(-1, torch.zeros(1, dtype=torch.long, device=logits.device), float("-inf"))
        return logits.log_softmax(dim=-1), lengths

    def apply_extra_layers(self, layers: Sequence[Tensor], lengths: Tensor) -> list[Tensor]:
        """The outputs of the layers (see `encode`), the last one after the extra layers, if there are any."""
        return [*layers[:-1], self.extra(layers[-1], lengths)]

    def snapshot_head(self) -> ParentHead:
        """A copy of this model's head, for the `parents` of a model adapted from it."""
        weight, bias = (value.detach().cpu().clone() for value in (self.head.weight, self.head.bias))
        vocabulary = replace(self.vocabulary, letters={})  # needed to make heads, not to use them
        layers = self.architecture.extra_layers
        pooling = self.pooling.state_dict() if self.pooling else {}
        pooling = {name: value.detach().cpu().clone() for name, value in pooling.items()}
        return ParentHead(self.name, vocabulary, self.normalizer, self.task, layers, weight, bias, pooling)

    def as_parent(self) -> "AcousticModel":
        """The encoder as it is now with the head of the model it was adapted from; both models share the encoder's weights.

        Raises:
            InputError: the model was not adapted from another.
        """
        if not self.parents:
            raise InputError("the model has the head of no parent; a model trained from random weights has none")
        parent, *older = self.parents
        with torch.random.fork_rng(devices=[]):
            model = AcousticModel(
                replace(self.architecture, extra_layers=parent.extra_layers),
                parent.vocabulary,
                self.spec,
                parent.normalizer,
                parent.task,
                encoder=self.encoder,
                parents=tuple(older),
            )
        model.extra.layers = self.extra.layers[: parent.extra_layers]
        model.head.load_state_dict({"weight": parent.weight, "bias": parent.bias})
        if model.pooling:
            model.pooling.load_state_dict(parent.pooling_state)
            model.pooling.train(self.training)
        model.training = self.training  # not recursive: parts of the encoder may be frozen
        model.extra.training = model.head.training = self.training
        return model.to(self.head.weight.device)
