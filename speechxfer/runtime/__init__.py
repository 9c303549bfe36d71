"""TODO-DOOR"""

from speechxfer.runtime.devices import default_device, is_distributed_on_cpu, rank_and_world_size, uses_bfloat16
from speechxfer.runtime.environment import command_line, commit, hardware
from speechxfer.runtime.files import write_atomically
from speechxfer.runtime.locks import run_lock
from speechxfer.runtime.output import escape_unencodable_output
from speechxfer.runtime.parallel import run_parallel
from speechxfer.runtime.progress import console, is_main_process, log_info, progress_bar, track

__all__ = [
    "command_line",
    "commit",
    "console",
    "default_device",
    "escape_unencodable_output",
    "hardware",
    "is_distributed_on_cpu",
    "is_main_process",
    "log_info",
    "progress_bar",
    "rank_and_world_size",
    "run_lock",
    "run_parallel",
    "track",
    "uses_bfloat16",
    "write_atomically",
]
