"""Construction of the adapted model: the source's encoder with a new output layer, adapters and extra layers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import nn

from speechxfer.adaptation.partial_loading import load_matching
from speechxfer.adaptation.symbol_mapping import Head, HeadRow, head_mode_between_tasks, plan_head
from speechxfer.errors import InputError
from speechxfer.models import AcousticModel, has_lora
from speechxfer.text import Normalizer, Vocabulary

NEW_ROW_SPREAD = 0.1  # deviation of a new row's weights, as a share of the source rows' own


def transfer(
    source: AcousticModel,
    vocabulary: Vocabulary,
    *,
    head: Head = "symbols",
    symbol_map: Mapping[str, str] | None = None,
    language: str = "",
    normalizer: Normalizer | None = None,
    task: Literal["ctc", "classify"] | None = None,
    dropout: float | None = None,
    seed: int = 0,
) -> AcousticModel:
    """A new model with the source's encoder and features and a head for `vocabulary`; the source stays untouched.

    The new model is in the source's mode (training or evaluation), on its device. It keeps the source's head among its
    `parents`.

    Args:
        source: the pretrained model.
        vocabulary: the target's symbols; the blank is symbol 0 in both.
        head: 'symbols' and 'position' fill rows as `plan_head` says, new ones small around the mean row; 'random' draws all.
        symbol_map: target symbol to source symbol, the user's own.
        language: code of the target's language, by which a source of phones reads letters.
        normalizer, task, dropout: of the new model; None: as the source's. For another task than the source's all rows are drawn.
        seed: of the new rows.

    Raises:
        InputError: from `plan_head`, a symbol map for another task than the source's, or the source has a low-rank update that
            is not merged.
    """
    _refuse_update(source)
    architecture = source.architecture if dropout is None else replace(source.architecture, dropout=dropout)
    head = head_mode_between_tasks(source, task or source.task, head, symbol_map)
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
        rows = plan_head(source.vocabulary, vocabulary, symbol_map, language, head=head)
        _fill_head(model.head, source.head, source.vocabulary, rows)
        if model.pooling and source.pooling:
            model.pooling.load_state_dict(source.pooling.state_dict())
    return model.to(source.head.weight.device).train(source.training)


def _refuse_update(model: AcousticModel) -> None:
    if has_lora(model):
        raise InputError("the model has a low-rank update that is not merged into its weights; use merge_lora first")


@torch.no_grad()
def _fill_head(new: nn.Linear, old: nn.Linear, vocabulary: Vocabulary, rows: Sequence[HeadRow]) -> None:
    index = {symbol: i for i, symbol in enumerate(vocabulary.symbols)}
    if len(index) == 1:
        return  # an encoder that came without a head: nothing to start from
    weight, bias = old.weight.detach().cpu(), old.bias.detach().cpu()
    spread = weight[1:].std(dim=0, correction=0) * NEW_ROW_SPREAD
    for i, row in enumerate(rows):
        if row.how == "new":
            new.weight[i] = weight[1:].mean(dim=0) + torch.randn_like(spread) * spread
            new.bias[i] = bias[1:].mean()
        else:
            new.weight[i] = weight[index[row.source]]
            new.bias[i] = bias[index[row.source]]


def with_new_layers(
    model: AcousticModel, *, adapter_dim: int = 0, extra_layers: int = 0, seed: int = 0
) -> AcousticModel:
    """A copy of the model with bottleneck adapters after each encoder layer, or layers between encoder and head.

    Fresh adapters pass their input on; fresh layers norm it.

    Args:
        adapter_dim: width of the bottlenecks; 0: adapters as they are.
        extra_layers: how many Conformer layers are added on top of any that the model has.
        seed: of the new weights.

    Raises:
        InputError: the model has adapters of another width, or a low-rank update that is not merged.
    """
    _refuse_update(model)
    old = model.architecture
    if adapter_dim and old.adapter_dim not in (0, adapter_dim):
        raise InputError(
            f"transfer.adapter_dim = {adapter_dim}, but the source has adapters of width {old.adapter_dim}; set that, or 0 to "
            "keep them"
        )
    architecture = replace(
        old, adapter_dim=adapter_dim or old.adapter_dim, extra_layers=old.extra_layers + extra_layers
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        grown = AcousticModel(
            architecture, model.vocabulary, model.spec, model.normalizer, model.task, parents=model.parents
        )
    grown.name = model.name
    load_matching(grown, model.state_dict())
    return grown.to(model.head.weight.device).train(model.training)
