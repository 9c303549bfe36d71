"""Devices and processes: which GPU or CPU this process uses, and which of several processes it is."""

from typing import TYPE_CHECKING

from speechxfer.runtime.processes import world_size

if TYPE_CHECKING:
    import torch


def default_device() -> "torch.device":
    """Where this process computes: its GPU, if there is one."""
    from accelerate import PartialState

    device: torch.device = PartialState(cpu=is_distributed_on_cpu()).device
    return device


def is_distributed_on_cpu() -> bool:
    """Whether Accelerate needs ``cpu=True``: without it, processes on CPUs would each work for themselves."""
    if world_size() == 1:
        return False
    import torch

    return not torch.cuda.is_available()


def rank_and_world_size() -> tuple[int, int]:
    """Which of the processes of this run this one is, and how many there are."""
    if world_size() == 1:
        return 0, 1
    from accelerate import PartialState

    state = PartialState(cpu=is_distributed_on_cpu())
    return state.process_index, state.num_processes


def uses_bfloat16(choice: str, device: "torch.device") -> bool:
    """Whether the network computes in bfloat16; 'auto' says so where the hardware multiplies it natively."""
    if choice != "auto":
        return choice == "bf16"
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
