"""Low-rank updates of an encoder (LoRA): added, merged into the encoder's weights, and separated from them.

Source: Hu et al., 'LoRA' (arXiv:2106.09685), as implemented by the `peft` library (extra ``lora``, imported when used). The
encoder's own weights are frozen; what is trained is a product of two narrow matrices for each layer that the encoder
names in `lora_modules`. The files of language packs are read and written in ``checkpoints``.
"""

import copy
from typing import Any

from torch import Tensor, nn

from speechxfer.errors import InputError
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.models.architecture import MAX_LORA_RANK, check_range


def with_lora(model: AcousticModel, rank: int = 8, alpha: float | None = None) -> AcousticModel:
    """A copy of the model with a low-rank update of the encoder, which starts at zero; the argument is not changed.

    Args:
        rank: inner dimension of the update, 1 to 1024.
        alpha: the update is multiplied by ``alpha / rank``; None: twice the rank.

    Raises:
        InputError: the rank is out of range, the model has such an update already, or `peft` is not installed.
    """
    check_range("the rank of a low-rank update (transfer.lora_rank)", rank, 1, MAX_LORA_RANK)
    if has_lora(model):
        raise InputError("the encoder has a low-rank update already; merge it first (`merge_lora`)")
    try:
        import peft
    except ImportError as error:
        raise InputError("low-rank updates need the library peft; pip install 'speechxfer[lora]'") from error
    copied = copy.deepcopy(model)
    options: dict[str, Any] = {"r": rank, "lora_alpha": 2 * rank if alpha is None else alpha}
    settings = peft.LoraConfig(**options, target_modules=list(copied.encoder.lora_modules))
    encoder: Any = copied.encoder
    copied.encoder = peft.get_peft_model(encoder, settings)
    return copied.train(model.training)


def merge_lora(model: AcousticModel) -> AcousticModel:
    """A copy of the model with the update added to the encoder's weights: the same outputs without an update."""
    copied = copy.deepcopy(model)
    if has_lora(copied):
        encoder: Any = copied.encoder  # the wrapper of peft, whose type is known only where the extra is installed
        copied.encoder = encoder.merge_and_unload()
        copied.requires_grad_(True)
    return copied.train(model.training)


def has_lora(model: AcousticModel) -> bool:
    """Whether the encoder has an update that is not merged."""
    return hasattr(model.encoder, "peft_config")


def lora_rank_and_alpha(model: AcousticModel) -> tuple[int, float]:
    """Inner dimension and scale of the model's low-rank update, as for `with_lora`."""
    encoder: Any = model.encoder
    return encoder.peft_config["default"].r, encoder.peft_config["default"].lora_alpha


def base_weights(model: AcousticModel) -> dict[str, Tensor]:
    """The encoder's weights and buffers without the update, under their names in an encoder without one."""
    named = model.encoder.state_dict().items()
    return {
        name.removeprefix("base_model.model.").replace(".base_layer.", "."): value
        for name, value in named
        if ".lora_" not in name
    }


def lora_modules(model: AcousticModel) -> list[nn.Module]:
    """The modules of the update, which are trained while the rest of the encoder is frozen."""
    return [module for name, module in model.encoder.named_modules() if name.endswith(("lora_A", "lora_B"))]
