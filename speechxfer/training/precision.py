"""The number format of a run's arithmetic: as set, or whichever of float32 and bfloat16 trains faster on this machine.

A processor may have instructions for bfloat16 and yet train slower with it: with the same flag, `avx512_bf16`, it was 1.4 times
as fast as float32 on an AMD EPYC and 0.75 times on an Intel Xeon. So both are timed, once; the choice is written to
``precision.json`` in the run's folder before the first step, and a run that is started again there follows it.
"""

import json
import time
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from speechxfer.errors import InputError
from speechxfer.features import Batch
from speechxfer.models import AcousticModel
from speechxfer.runtime import log_info, read_json, supports_bfloat16, write_atomically
from speechxfer.training.losses import utterance_losses
from speechxfer.training.metrics import FIX
from speechxfer.training.state import has_state, training_precision

LEAST_GAIN = 1.05  # of bfloat16; where both are as fast, float32 is used
ROUNDS, MOST_SECONDS = 3, 4.0


def choose_bfloat16(
    precision: str, model: AcousticModel, batch: Batch, out: Path, first_weights: str, accelerator: Accelerator
) -> bool:
    """Whether the network computes in bfloat16; the same on all processes.

    Args:
        precision: the setting: fp32, bf16 or auto.
        model: on its device; its weights, buffers and training state are unchanged afterwards.
        batch: utterances of about one step.
        out: folder of the run, where an earlier choice is recorded.
        first_weights: hash of the weights that the run starts from; a record of other weights does not count.

    Raises:
        InputError: the record is damaged.
    """
    if precision != "auto" or not supports_bfloat16(accelerator.device):
        return precision == "bf16"
    if accelerator.device.type != "cpu":
        return True
    choice = [_recorded_or_timed(model, batch, out, first_weights, records=accelerator.is_main_process)]
    return bool(broadcast_object_list(choice)[0])


def _recorded_or_timed(model: AcousticModel, batch: Batch, out: Path, first_weights: str, *, records: bool) -> bool:
    """The earlier choice, else that of timing, which only the process whose choice is broadcast records."""
    if has_state(out):
        return training_precision(out) == "bf16"
    path = out / "precision.json"
    if path.exists():
        recorded = read_json(path, fix=FIX)
        if not isinstance(recorded, dict) or type(recorded.get("bf16")) is not bool:
            raise InputError(f"{path}: damaged (expected an object with 'bf16', true or false); {FIX}")
        if recorded.get("first weights") == first_weights:
            return bool(recorded["bf16"])
    single_s, half_s = time_steps(model, batch)
    chosen = single_s > LEAST_GAIN * half_s
    if not records:
        return chosen
    record = {"bf16": chosen, "fp32 step s": single_s, "bf16 step s": half_s, "first weights": first_weights}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(record) + "\n")
    log_info(
        f"precision: {'bf16' if chosen else 'fp32'} (forward and backward of a step: fp32 {single_s:.2f} s, bf16 {half_s:.2f} s)"
    )
    return chosen


def time_steps(model: AcousticModel, batch: Batch) -> tuple[float, float]:
    """Seconds of forward and backward pass in float32 and in bfloat16: the least of some alternating rounds after a first one.

    Statistics of batch norms, random state, gradients and training flags are as before.
    """
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    flags = [(module, module.training) for module in model.modules()]
    seconds: dict[bool, list[float]] = {False: [], True: []}
    started = time.perf_counter()
    with torch.random.fork_rng(devices=[]):
        for number in range(1 + ROUNDS):
            for bfloat16, found in seconds.items():
                found.append(_time_step(model.train(), batch, bfloat16))
            if number and time.perf_counter() - started > MOST_SECONDS:
                break
    with torch.no_grad():
        for name, value in model.named_buffers():
            value.copy_(buffers[name])
    for module, training in flags:
        module.training = training
    return min(seconds[False][1:]), min(seconds[True][1:])


def _time_step(model: AcousticModel, batch: Batch, bfloat16: bool) -> float:
    started = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        layers, lengths = model.encode(batch.features, batch.lengths)
        losses = utterance_losses(model, *model.log_probs(layers, lengths), batch)
    torch.autograd.backward(losses.sum())
    seconds = time.perf_counter() - started
    model.zero_grad(set_to_none=True)
    return seconds
