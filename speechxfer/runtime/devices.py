"""Devices and processes: which GPU or CPU this process uses, and which of several processes it is."""

from functools import cache
from typing import TYPE_CHECKING, TypeVar

from speechxfer.runtime.processes import world_size
from speechxfer.runtime.progress import log_info

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")


def default_device() -> "torch.device":
    """The device on which this process computes: its CUDA GPU if there is one, else the CPU."""
    from accelerate import PartialState

    device: torch.device = PartialState(cpu=runs_on_cpu_only()).device
    return device


def has_gpu() -> bool:
    """Whether there is a CUDA GPU."""
    import torch

    return torch.cuda.is_available()


def runs_on_cpu_only() -> bool:
    """Whether Accelerate needs ``cpu=True``.

    Several processes on CPUs would not communicate without it, and a single one would choose Apple's GPU (MPS), on which this
    package is not tested.
    """
    import torch

    if torch.cuda.is_available():
        return False
    if torch.backends.mps.is_available():
        _log_mps()
        return True
    return world_size() > 1


@cache
def _log_mps() -> None:
    log_info("Apple's GPU (MPS) is not supported: computing on the CPU")


def rank_and_world_size() -> tuple[int, int]:
    """Which of the processes of this run this one is, and how many there are."""
    if world_size() == 1:
        return 0, 1
    from accelerate import PartialState

    state = PartialState(cpu=runs_on_cpu_only())
    return state.process_index, state.num_processes


def gather_items(own: list[Item]) -> list[Item]:
    """The items of all processes of this run, in each of them, in the order of the processes; every process has to call this."""
    if rank_and_world_size()[1] == 1:
        return own
    from accelerate.utils import gather_object

    items: list[Item] = gather_object(own)
    return items


def supports_bfloat16(device: "torch.device") -> bool:
    """Whether the hardware multiplies bfloat16 natively; on a CPU it may be slower than float32 all the same."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
