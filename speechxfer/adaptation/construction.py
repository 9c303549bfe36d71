"""Construction of the adapted model: the source's encoder with a new output layer, adapters and extra layers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from speechxfer.adaptation.partial_loading import load_matching
from speechxfer.adaptation.symbol_mapping import HeadRow, HeadTable, plan_head
from speechxfer.config import ModelConfig
from speechxfer.errors import InputError
from speechxfer.models import AcousticModel, Task, has_lora
from speechxfer.text import Normalizer, Vocabulary

NEW_ROW_SPREAD = 0.1  # standard deviation of new rows around the mean row, relative to that of the source's rows


@dataclass(frozen=True)
class Transferred:
    """What `transfer` returns: the adapted model, before training, and its head table."""

    model: AcousticModel
    head: HeadTable
    """Where each output symbol was initialised from; print it, or its `summary()`."""


def transfer(
    source: AcousticModel,
    vocabulary: Vocabulary,
    *,
    head: Literal["symbols", "random"] | Mapping[str, str] = "symbols",
    language: str = "",
    normalizer: Normalizer | None = None,
    task: Task | None = None,
    dropout: float | None = ModelConfig().dropout,
    seed: int = 0,
) -> Transferred:
    """A new model with the source's encoder and features and a new head for `vocabulary`; the source is not changed.

    The new model is in the source's mode (training or evaluation) and on its device. It keeps the source's head among its
    `parents`.

    Args:
        source: the pretrained model.
        vocabulary: the target's symbols; the blank is symbol 0 in both.
        head: 'symbols' initialises rows by the rules of `plan_head`, new ones near the mean row; a mapping of target symbols
            to source symbols takes precedence over the rules; 'random' initialises all rows at random.
        language: code of the target language; selects the letter-to-phone table, if the source's symbols are phones.
        normalizer: of the new model; None: the source's.
        task: of the new model; None: the source's. If it differs from the source's, all rows are random.
        dropout: of the new model, by default that of the command line; None: the source's.
        seed: of random and new rows.

    Raises:
        InputError: a symbol map with unknown symbols or for another task than the source's, or the source has a low-rank
            update that is not merged.

    Example:
        >>> import speechxfer as sx
        >>> target = sx.Vocabulary.from_texts(["mwana", "ómbá"])
        >>> adapted = sx.transfer(sx.load_model("english"), target)
        >>> adapted.head.summary()
        'head: 8 rows (1 blank, 5 exact, 2 base)'
    """
    _refuse_update(source)
    architecture = source.architecture if dropout is None else replace(source.architecture, dropout=dropout)
    table = _plan(source, vocabulary, head, language, task or source.task)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AcousticModel(
            architecture,
            vocabulary,
            source.spec,
            normalizer or source.normalizer,
            task or source.task,
            parents=(source.snapshot_head(), *source.parents),
        )
        model.encoder.load_state_dict(source.encoder.state_dict())
        model.extra.load_state_dict(source.extra.state_dict())
        _fill_head(model.head, source.head, source.vocabulary, table)
        if model.pooling and source.pooling:
            model.pooling.load_state_dict(source.pooling.state_dict())
    return Transferred(model.to(source.head.weight.device).train(source.training), table)


def _plan(
    source: AcousticModel,
    vocabulary: Vocabulary,
    head: Literal["symbols", "random"] | Mapping[str, str],
    language: str,
    task: Task,
) -> HeadTable:
    """The head table; between two tasks all rows are random, since their heads have different inputs."""
    symbol_map = head if isinstance(head, Mapping) else {}
    if task != source.task and symbol_map:
        raise InputError(
            f"the symbol map is unusable: the source's task is {source.task} and the target's {task}, whose heads have "
            "different inputs; leave transfer.symbol_map empty"
        )
    if task != source.task or head == "random":
        return HeadTable(HeadRow(symbol, "random") for symbol in vocabulary.symbols)
    return plan_head(source.vocabulary, vocabulary, symbol_map, language)


def _refuse_update(model: AcousticModel) -> None:
    if has_lora(model):
        raise InputError("the model has a low-rank update that is not merged into its weights; use merge_lora first")


@torch.no_grad()
def _fill_head(new: nn.Linear, old: nn.Linear, vocabulary: Vocabulary, rows: HeadTable) -> None:
    index = {symbol: i for i, symbol in enumerate(vocabulary.symbols)}
    if len(index) == 1:
        return  # the source had no head: all rows stay random
    weight, bias = old.weight.detach().cpu(), old.bias.detach().cpu()
    spread = weight[1:].std(dim=0, correction=0) * NEW_ROW_SPREAD
    for i, row in enumerate(rows):
        if row.how == "new":
            new.weight[i] = weight[1:].mean(dim=0) + torch.randn_like(spread) * spread
            new.bias[i] = bias[1:].mean()
        elif row.how != "random":
            new.weight[i] = weight[index[row.source]]
            new.bias[i] = bias[index[row.source]]


def with_new_layers(
    model: AcousticModel, *, adapter_dim: int = 0, extra_layers: int = 0, seed: int = 0
) -> AcousticModel:
    """A copy of the model with bottleneck adapters after each encoder layer, or layers between encoder and head.

    New adapters initially return their input; new layers initially apply layer normalisation only.

    Args:
        model: not changed.
        adapter_dim: width of the bottlenecks; 0: no new adapters.
        extra_layers: how many Conformer layers to add on top of those that the model has.
        seed: of the new weights.

    Raises:
        InputError: the model has adapters of another width, or a low-rank update that is not merged.
    """
    _refuse_update(model)
    present = model.architecture
    if adapter_dim and present.adapter_dim not in (0, adapter_dim):
        raise InputError(
            f"transfer.adapter_dim = {adapter_dim}, but the source has adapters of width {present.adapter_dim}; set that, "
            "or 0 to keep them"
        )
    architecture = replace(
        present, adapter_dim=adapter_dim or present.adapter_dim, extra_layers=present.extra_layers + extra_layers
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        extended = AcousticModel(
            architecture, model.vocabulary, model.spec, model.normalizer, model.task, parents=model.parents
        )
    extended.name = model.name
    load_matching(extended, model.state_dict())
    return extended.to(model.head.weight.device).train(model.training)
