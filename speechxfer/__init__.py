"""speechxfer adapts a pretrained acoustic model to a new language or vocabulary and measures how well that worked.

The public names, in the order of the work. They are imported when first used, so that ``import speechxfer`` is quick and
reading or scoring text does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_PACKAGES = {
    "InputError": "errors",
    "Utterance": "data",
    "read_manifest": "data",
    "write_manifest": "data",
    "read_audio": "data",
    "Normalizer": "text",
    "Vocabulary": "text",
    "filterbank": "features",
    "FeatureSpec": "features",
    "AcousticModel": "models",
    "load_model": "checkpoints",
    "save_model": "checkpoints",
    "save_pack": "checkpoints",
    "Card": "checkpoints",
    "copy_model": "workflows",
    "transfer": "adaptation",
    "load_matching": "adaptation",
    "with_new_layers": "adaptation",
    "with_lora": "models",
    "merge_lora": "models",
    "DataConfig": "config",
    "FinetuneConfig": "config",
    "TransferConfig": "config",
    "finetune": "training",
    "transcribe": "decoding",
    "evaluate": "decoding",
    "score": "scoring",
    "compare": "scoring",
    "rank_sources": "workflows",
    "embed": "workflows",
    "StudyRun": "workflows",
    "adapt": "workflows",
    "Adapted": "workflows",
    "train_from_scratch": "workflows",
    "cross_validate": "workflows",
    "learning_curve": "workflows",
    "self_train": "workflows",
}
__all__ = sorted(_PACKAGES)

if TYPE_CHECKING:
    from speechxfer.adaptation import load_matching as load_matching
    from speechxfer.adaptation import transfer as transfer
    from speechxfer.adaptation import with_new_layers as with_new_layers
    from speechxfer.checkpoints import Card as Card
    from speechxfer.checkpoints import load_model as load_model
    from speechxfer.checkpoints import save_model as save_model
    from speechxfer.checkpoints import save_pack as save_pack
    from speechxfer.config import DataConfig as DataConfig
    from speechxfer.config import FinetuneConfig as FinetuneConfig
    from speechxfer.config import TransferConfig as TransferConfig
    from speechxfer.data import Utterance as Utterance
    from speechxfer.data import read_audio as read_audio
    from speechxfer.data import read_manifest as read_manifest
    from speechxfer.data import write_manifest as write_manifest
    from speechxfer.decoding import evaluate as evaluate
    from speechxfer.decoding import transcribe as transcribe
    from speechxfer.errors import InputError as InputError
    from speechxfer.features import FeatureSpec as FeatureSpec
    from speechxfer.features import filterbank as filterbank
    from speechxfer.models import AcousticModel as AcousticModel
    from speechxfer.models import merge_lora as merge_lora
    from speechxfer.models import with_lora as with_lora
    from speechxfer.scoring import compare as compare
    from speechxfer.scoring import score as score
    from speechxfer.text import Normalizer as Normalizer
    from speechxfer.text import Vocabulary as Vocabulary
    from speechxfer.training import finetune as finetune
    from speechxfer.workflows import Adapted as Adapted
    from speechxfer.workflows import StudyRun as StudyRun
    from speechxfer.workflows import adapt as adapt
    from speechxfer.workflows import copy_model as copy_model
    from speechxfer.workflows import cross_validate as cross_validate
    from speechxfer.workflows import embed as embed
    from speechxfer.workflows import learning_curve as learning_curve
    from speechxfer.workflows import rank_sources as rank_sources
    from speechxfer.workflows import self_train as self_train
    from speechxfer.workflows import train_from_scratch as train_from_scratch


def __getattr__(name: str) -> object:
    if name not in _PACKAGES:
        raise AttributeError(f"module 'speechxfer' has no attribute {name!r}")
    value = getattr(import_module(f"speechxfer.{_PACKAGES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PACKAGES])
