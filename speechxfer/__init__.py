"""speechxfer adapts a pretrained acoustic model to a new language or vocabulary and measures how well that worked.

The public names, in the order in which they are used; each has an example in its docstring. What is needed less often is in
the packages, such as ``from speechxfer.workflows import cross_validate``. Names are imported when they are first used, so that
``import speechxfer`` is quick and reading or scoring text does not import torch.
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
    "filterbank": "features",
    "Normalizer": "text",
    "Vocabulary": "text",
    "Config": "config",
    "load_model": "checkpoints",
    "save_model": "checkpoints",
    "transfer": "adaptation",
    "load_matching": "adaptation",
    "finetune": "training",
    "adapt": "workflows",
    "transcribe": "decoding",
    "evaluate": "decoding",
    "score": "scoring",
    "compare": "scoring",
    "rank_sources": "workflows",
    "select": "workflows",
}
__all__ = sorted(_PACKAGES)

if TYPE_CHECKING:
    from speechxfer.adaptation import load_matching as load_matching
    from speechxfer.adaptation import transfer as transfer
    from speechxfer.checkpoints import load_model as load_model
    from speechxfer.checkpoints import save_model as save_model
    from speechxfer.config import Config as Config
    from speechxfer.data import Utterance as Utterance
    from speechxfer.data import read_audio as read_audio
    from speechxfer.data import read_manifest as read_manifest
    from speechxfer.data import write_manifest as write_manifest
    from speechxfer.decoding import evaluate as evaluate
    from speechxfer.decoding import transcribe as transcribe
    from speechxfer.errors import InputError as InputError
    from speechxfer.features import filterbank as filterbank
    from speechxfer.scoring import compare as compare
    from speechxfer.scoring import score as score
    from speechxfer.text import Normalizer as Normalizer
    from speechxfer.text import Vocabulary as Vocabulary
    from speechxfer.training import finetune as finetune
    from speechxfer.workflows import adapt as adapt
    from speechxfer.workflows import rank_sources as rank_sources
    from speechxfer.workflows import select as select


def __getattr__(name: str) -> object:
    if name not in _PACKAGES:
        raise AttributeError(f"module 'speechxfer' has no attribute {name!r}")
    value = getattr(import_module(f"speechxfer.{_PACKAGES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PACKAGES])
