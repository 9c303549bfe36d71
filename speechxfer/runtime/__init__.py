"""TODO-DOOR"""

from speechxfer.runtime.devices import own_device, rank_and_world_size, several_without_gpu, uses_bfloat16
from speechxfer.runtime.environment import command_line, commit, hardware
from speechxfer.runtime.files import write_whole
from speechxfer.runtime.locks import run_lock
from speechxfer.runtime.output import escape_unencodable_output
from speechxfer.runtime.parallel import run_parallel
from speechxfer.runtime.progress import bar, console, is_main_process, say, track

__all__ = [
    "bar",
    "command_line",
    "commit",
    "console",
    "escape_unencodable_output",
    "hardware",
    "is_main_process",
    "own_device",
    "rank_and_world_size",
    "run_lock",
    "run_parallel",
    "say",
    "several_without_gpu",
    "track",
    "uses_bfloat16",
    "write_whole",
]
