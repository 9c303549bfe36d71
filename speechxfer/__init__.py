"""speechxfer: take a pretrained acoustic model to a new language or vocabulary, and say honestly how well it went.

The public names, in the order of the work. They are imported when first used, so that ``import speechxfer`` is quick and
reading or scoring text never waits for torch.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "Utterance": "manifest",
    "read_manifest": "manifest",
    "write_manifest": "manifest",
    "Normalizer": "text",
    "Vocabulary": "text",
    "FeatureSpec": "features",
    "filterbank": "features",
    "read_audio": "features",
    "AcousticModel": "models",
    "load_model": "checkpoint",
    "save_model": "checkpoint",
    "copy_model": "checkpoint",
    "save_pack": "checkpoint",
    "Card": "checkpoint",
    "transfer": "transfer",
    "load_matching": "transfer",
    "with_new_layers": "transfer",
    "with_lora": "lora",
    "merge_lora": "lora",
    "DataConfig": "config",
    "FinetuneConfig": "config",
    "TransferConfig": "config",
    "finetune": "finetune",
    "transcribe": "decode",
    "evaluate": "decode",
    "score": "scoring",
    "compare": "scoring",
    "rank_sources": "sources",
    "embed": "embed",
    "Training": "studies",
    "cross_validate": "studies",
    "learning_curve": "studies",
    "self_train": "studies",
    "InputError": "errors",
}
__all__ = sorted(_HOMES)

if TYPE_CHECKING:
    from speechxfer.checkpoint import Card as Card
    from speechxfer.checkpoint import copy_model as copy_model
    from speechxfer.checkpoint import load_model as load_model
    from speechxfer.checkpoint import save_model as save_model
    from speechxfer.checkpoint import save_pack as save_pack
    from speechxfer.config import DataConfig as DataConfig
    from speechxfer.config import FinetuneConfig as FinetuneConfig
    from speechxfer.config import TransferConfig as TransferConfig
    from speechxfer.decode import evaluate as evaluate
    from speechxfer.decode import transcribe as transcribe
    from speechxfer.errors import InputError as InputError
    from speechxfer.features import FeatureSpec as FeatureSpec
    from speechxfer.features import filterbank as filterbank
    from speechxfer.features import read_audio as read_audio
    from speechxfer.lora import merge_lora as merge_lora
    from speechxfer.lora import with_lora as with_lora
    from speechxfer.manifest import Utterance as Utterance
    from speechxfer.manifest import read_manifest as read_manifest
    from speechxfer.manifest import write_manifest as write_manifest
    from speechxfer.models import AcousticModel as AcousticModel
    from speechxfer.scoring import compare as compare
    from speechxfer.scoring import score as score
    from speechxfer.sources import rank_sources as rank_sources
    from speechxfer.studies import Training as Training
    from speechxfer.studies import cross_validate as cross_validate
    from speechxfer.studies import learning_curve as learning_curve
    from speechxfer.studies import self_train as self_train
    from speechxfer.text import Normalizer as Normalizer
    from speechxfer.text import Vocabulary as Vocabulary


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'speechxfer' has no attribute {name!r}")
    value = getattr(import_module(f"speechxfer.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


class _Package(ModuleType):
    """Keeps `sx.transfer` and `sx.finetune` the functions: the import system binds a submodule to the same name."""

    def __setattr__(self, name: str, value: object) -> None:
        public = name in _HOMES and isinstance(value, ModuleType)
        super().__setattr__(name, getattr(value, name) if public else value)


sys.modules[__name__].__class__ = _Package
