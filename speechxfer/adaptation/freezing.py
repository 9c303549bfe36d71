"""Freezing and gradual unfreezing of encoder layers (Howard and Ruder, arXiv:1801.06146)."""

from collections.abc import Iterable, Sequence

from torch import nn

from speechxfer.config import FinetuneConfig
from speechxfer.errors import InputError
from speechxfer.models import AcousticModel, has_lora, lora_modules


def unfreeze_step(config: FinetuneConfig, group: int, groups: int) -> int | None:
    """The step from which layer group `group` of `groups` (0 is next to the input) is trained; None: never.

    Gradual unfreezing goes from the top down (Howard & Ruder, 'ULMFiT', arXiv:1801.06146): the head alone, then one more
    group every so many steps.
    """
    if config.unfreeze_every_steps:
        return (groups - group) * config.unfreeze_every_steps
    lowest = {"none": 0, "encoder": groups}.get(str(config.freeze), config.freeze)
    return 0 if group >= int(lowest) else None


def frozen_modules(model: AcousticModel, config: FinetuneConfig, step: int = 0) -> list[nn.Module]:
    """The modules of the encoder that are frozen at `step` (from 0): none, all of it, or some of its layer groups.

    Raises:
        InputError: `config.freeze` is more than the number of the encoder's groups.
    """
    groups = model.encoder.layer_groups()
    if has_lora(model):
        return [model.get_submodule("encoder")]
    if config.freeze not in ("none", "encoder") and int(config.freeze) > len(groups):
        raise InputError(
            f'finetune.freeze = {config.freeze}, but the encoder has {len(groups)} layer groups; set fewer or "encoder"'
        )
    starts = [unfreeze_step(config, number, len(groups)) for number in range(len(groups))]
    frozen = [group for group, start in zip(groups, starts, strict=True) if start is None or step < start]
    return [model.get_submodule("encoder")] if len(frozen) == len(groups) else frozen


def set_frozen(model: AcousticModel, frozen: Sequence[nn.Module], config: FinetuneConfig = FinetuneConfig()) -> None:
    """Training mode with these modules frozen: no gradients, and evaluation mode, so that buffers do not change either.

    Adapters and a low-rank update inside the encoder are trained in any case, and so is everything above the encoder. With
    `config.batch_norm` "frozen", all batch norms of the encoder keep the source's statistics; their scales and shifts are
    trained.
    """
    model.train()
    model.requires_grad_(not has_lora(model))
    if config.batch_norm == "frozen":
        for module in model.encoder.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
    for module in frozen:
        module.eval()
        module.requires_grad_(False)
        for parameter in module.parameters():
            parameter.grad = None
    adapters: Iterable[nn.Module] = model.encoder.adapters if model.architecture.adapter_dim else []
    for module in (model.extra, model.head, *adapters, *lora_modules(model)):
        module.train()
        module.requires_grad_(True)
