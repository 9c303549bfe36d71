"""TODO-DOOR"""

from speechxfer.runtime.devices import default_device, is_distributed_on_cpu, rank_and_world_size, uses_bfloat16
from speechxfer.runtime.environment import command_line, commit, hardware
from speechxfer.runtime.files import atomic_file, atomic_folder, recover_folder, write_atomically
from speechxfer.runtime.locks import file_lock, run_lock
from speechxfer.runtime.output import escape_unencodable_output
from speechxfer.runtime.parallel import run_parallel
from speechxfer.runtime.parsing import (
    decompress_gzip,
    parse_json,
    parse_toml,
    parse_yaml,
    read_bytes,
    read_json,
    read_text,
    read_toml,
    read_yaml,
)
from speechxfer.runtime.processes import check_process_environment, is_main_process, world_size
from speechxfer.runtime.progress import ProgressLog, console, format_duration, log_info, progress_bar, track

__all__ = [
    "ProgressLog",
    "atomic_file",
    "atomic_folder",
    "check_process_environment",
    "command_line",
    "commit",
    "console",
    "decompress_gzip",
    "default_device",
    "escape_unencodable_output",
    "file_lock",
    "format_duration",
    "hardware",
    "is_distributed_on_cpu",
    "is_main_process",
    "log_info",
    "parse_json",
    "parse_toml",
    "parse_yaml",
    "progress_bar",
    "rank_and_world_size",
    "read_bytes",
    "read_json",
    "read_text",
    "read_toml",
    "read_yaml",
    "recover_folder",
    "run_lock",
    "run_parallel",
    "track",
    "uses_bfloat16",
    "world_size",
    "write_atomically",
]
