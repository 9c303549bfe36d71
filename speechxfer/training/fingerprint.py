"""The fingerprint of a run: everything that must be equal for a stopped run to go on."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from accelerate import Accelerator
from torch import nn

from speechxfer.data import Utterance
from speechxfer.models import AcousticModel


def run_fingerprint(
    model: AcousticModel, utterances: Sequence[Utterance], targets: Sequence[Sequence[int]], accelerator: Accelerator
) -> dict[str, Any]:
    """What a run starts from, as plain values and hashes."""
    rows = json.dumps([[[u.id, u.offset, u.duration, u.text] for u in utterances], list(map(list, targets))])
    parts = (model.architecture, model.spec, model.normalizer)
    heads = hashlib.sha256()
    for parent in model.parents:
        heads.update(parent.weight.numpy().tobytes() + parent.bias.numpy().tobytes())
    return {
        "source heads": heads.hexdigest(),
        "model": [*(part.to_dict() for part in parts), model.task, list(model.vocabulary.symbols)],
        "first weights": _hash_weights(model),
        "utterances": hashlib.sha256(rows.encode()).hexdigest(),
        "processes": accelerator.num_processes,
    }


def hash_utterances(utterances: Sequence[Utterance]) -> str:
    """Hash of what of these utterances a run uses."""
    rows = json.dumps([[u.id, u.offset, u.duration, u.text] for u in utterances])
    return hashlib.sha256(rows.encode()).hexdigest()


def _hash_weights(model: nn.Module) -> str:
    weights = hashlib.sha256()
    for value in model.state_dict().values():
        weights.update(value.detach().cpu().contiguous().numpy().tobytes())
    return weights.hexdigest()
