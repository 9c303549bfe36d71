"""Freezing and gradual unfreezing of encoder layers (Howard and Ruder, arXiv:1801.06146)."""

from collections.abc import Iterable, Sequence

from torch import nn

from speechxfer.config import TransferConfig
from speechxfer.errors import InputError
from speechxfer.models import AcousticModel, has_lora, lora_modules


def unfreeze_step(settings: TransferConfig, group: int, groups: int) -> int | None:
    """The step at which layer group `group` of `groups` (0 is next to the input) begins to learn; None: never.

    Gradual unfreezing goes from the top down (Howard & Ruder, 'ULMFiT', arXiv:1801.06146): the head alone, then one more
    group every so many steps.
    """
    if settings.lora_rank:
        return None
    if settings.unfreeze_every_steps:
        return (groups - group) * settings.unfreeze_every_steps
    lowest = {"none": 0, "encoder": groups}.get(str(settings.freeze), settings.freeze)
    if group >= int(lowest):
        return 0
    return None if settings.freeze_steps < 0 else settings.freeze_steps


def frozen_modules(model: AcousticModel, settings: TransferConfig, step: int = 0) -> list[nn.Module]:
    """The modules of the encoder that rest at `step` (from 0): none, it whole, or some of its layer groups.

    Raises:
        InputError: `settings.freeze` is more than the groups that the encoder has.
    """
    groups = model.encoder.layer_groups()
    if settings.freeze not in ("none", "encoder") and int(settings.freeze) > len(groups):
        raise InputError(
            f'transfer.freeze = {settings.freeze}, but the encoder has {len(groups)} layer groups; set fewer or "encoder"'
        )
    thaws = [unfreeze_step(settings, number, len(groups)) for number in range(len(groups))]
    resting = [group for group, thaw in zip(groups, thaws, strict=True) if thaw is None or step < thaw]
    return [model.get_submodule("encoder")] if len(resting) == len(groups) else resting


def set_frozen(model: AcousticModel, frozen: Sequence[nn.Module], settings: TransferConfig = TransferConfig()) -> None:
    """Training mode with these modules frozen: no gradients, and evaluation mode, so that buffers and dropout rest too.

    What `settings` added inside the encoder (adapters, a low-rank update) learns in any case, and so does all above the
    encoder. With `settings.batch_norm` "frozen", batch norms everywhere in the encoder go on norming by the source's
    statistics; their scales and shifts learn.
    """
    model.train()
    model.requires_grad_(not has_lora(model))
    if settings.batch_norm == "frozen":
        for module in model.encoder.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
    for module in frozen:
        module.eval()
        module.requires_grad_(False)
        for parameter in module.parameters():
            parameter.grad = None
    adapters: Iterable[nn.Module] = model.encoder.adapters if settings.adapter_dim else []
    for module in (model.extra, model.head, *adapters, *lora_modules(model)):
        module.train()
        module.requires_grad_(True)
