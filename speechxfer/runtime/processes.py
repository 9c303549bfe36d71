"""The processes of a run, as torchrun describes them in their environment (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT)."""

import os

from speechxfer.errors import InputError


def world_size() -> int:
    """Number of processes of this run; 1 without torchrun.

    Raises:
        InputError: WORLD_SIZE is not a whole number above 0.
    """
    text = os.environ.get("WORLD_SIZE", "1")
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"WORLD_SIZE={text}: expected the number of processes; unset it, or start with torchrun")
    return int(text)


def is_main_process() -> bool:
    """Whether this is the only process of a run or the first of several; known from the environment alone."""
    return world_size() == 1 or os.environ.get("RANK", "0") == "0"


def check_process_environment() -> None:
    """Refuse an environment that names several processes but not how they connect, or in which a restart would hang.

    Raises:
        InputError: WORLD_SIZE is above 1, and RANK, MASTER_ADDR or MASTER_PORT is missing; or torchrun is to restart processes,
            and the store through which they connect keeps the addresses of those that ended.
    """
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if world_size() > 1 and missing:
        raise InputError(
            f"WORLD_SIZE={world_size()} without {' and '.join(missing)}: unset WORLD_SIZE, or start the processes with torchrun"
        )
    restarts = os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")
    if restarts != "0" and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        raise InputError(
            f"torchrun --max-restarts {restarts}: processes that are restarted would wait for ever for those before them "
            "(https://github.com/pytorch/pytorch/issues/135712); set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1, and start torchrun "
            "with --rdzv-backend c10d --rdzv-endpoint HOST:PORT"
        )
