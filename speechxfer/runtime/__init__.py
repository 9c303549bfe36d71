"""Runtime: files, processes, devices and progress; nothing specific to speech. Imports torch only when needed.

* Files: `write_atomically`, `atomic_file`, `atomic_folder`, `recover_folder`; `run_lock` (a run's folder), `file_lock`.
* Files from outside, with bounds: `read_text`, `read_bytes`, `read_json`, `read_toml`, `read_yaml`, `decompress_gzip`; for texts
  `parse_json`, `parse_toml`, `parse_yaml`.
* Processes and devices: `default_device`, `runs_on_cpu_only`, `uses_bfloat16`, `world_size`, `rank_and_world_size`,
  `is_main_process`, `check_process_environment`; `run_parallel` (calls in parallel processes).
* Output: `log_info` (one line on stderr), `track`, `progress_bar`, `ProgressLog`, `format_duration`, `console`,
  `escape_unencodable_output`.
* Provenance of results: `command_line`, `commit`, `hardware`.
"""

from speechxfer.runtime.devices import default_device, rank_and_world_size, runs_on_cpu_only, uses_bfloat16
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
    "runs_on_cpu_only",
    "track",
    "uses_bfloat16",
    "world_size",
    "write_atomically",
]
