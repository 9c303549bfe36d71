"""Low-rank updates of an encoder: made, merged into plain weights, and told apart from the weights they update.

Source: Hu et al., 'LoRA' (arXiv:2106.09685), as the `peft` library implements it (extra ``lora``, imported when used). The
encoder's own weights rest; what is learned is a product of two narrow matrices beside each layer that the encoder names in
`lora_modules`. What it is not: the file of a language pack (see ``checkpoint.py``).
"""

import copy
from typing import Any

from torch import Tensor, nn

from speechxfer.errors import InputError
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.models.encoder import Encoder


def with_lora(model: AcousticModel, rank: int = 8, alpha: float | None = None) -> AcousticModel:
    """A copy of the model whose encoder learns only a low-rank update, which starts at zero; the argument stays untouched.

    Args:
        rank: inner dimension of the update.
        alpha: the update is multiplied by ``alpha / rank``; None: twice the rank.

    Raises:
        InputError: the rank is below 1, the model has such an update already, or `peft` is not installed.
    """
    if rank < 1:
        raise InputError(f"a low-rank update has rank 1 or more, not {rank}; set transfer.lora_rank")
    if has_lora(model):
        raise InputError("the encoder has a low-rank update already; merge it first (`merge_lora`)")
    peft = _peft()
    copied = copy.deepcopy(model)
    settings = peft.LoraConfig(
        r=rank, lora_alpha=2 * rank if alpha is None else alpha, target_modules=list(copied.encoder.lora_modules)
    )
    copied.encoder = peft.get_peft_model(copied.encoder, settings)
    return copied.train(model.training)


def merge_lora(model: AcousticModel) -> AcousticModel:
    """A copy of the model with the update added to the encoder's own weights: a plain model of the same outputs."""
    copied = copy.deepcopy(model)
    if has_lora(copied):
        copied.encoder = _lora_encoder(copied).merge_and_unload()
        copied.requires_grad_(True)
    return copied.train(model.training)


def has_lora(model: AcousticModel) -> bool:
    """Whether the encoder carries an update that is not merged."""
    return hasattr(model.encoder, "peft_config")


def lora_rank_and_alpha(model: AcousticModel) -> tuple[int, float]:
    """Inner dimension and scale of the model's low-rank update, as for `with_lora`."""
    settings = _lora_encoder(model).peft_config["default"]
    return settings.r, settings.lora_alpha


def base_encoder(model: AcousticModel) -> Encoder:
    """The encoder itself, without the wrapper that a low-rank update puts around it."""
    encoder: Encoder = _lora_encoder(model).get_base_model() if has_lora(model) else model.encoder
    return encoder


def own_weights(model: AcousticModel) -> dict[str, Tensor]:
    """The encoder's weights and buffers without the update, under the names that they have in a plain model's encoder."""
    named = model.encoder.state_dict().items()
    return {
        name.removeprefix("base_model.model.").replace(".base_layer.", "."): value
        for name, value in named
        if ".lora_" not in name
    }


def lora_modules(model: AcousticModel) -> list[nn.Module]:
    """The parts of the update, for training them while the rest of the encoder rests."""
    return [module for name, module in model.encoder.named_modules() if name.endswith(("lora_A", "lora_B"))]


def _lora_encoder(model: AcousticModel) -> Any:
    """The wrapper of `peft` around the encoder, whose type is known only where the extra is installed."""
    return model.encoder


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise InputError("low-rank updates need the library peft; pip install 'speechxfer[lora]'") from error
    return peft
