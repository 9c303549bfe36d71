"""Runtime: files, processes, devices and progress; nothing specific to speech. Imports torch only when needed.

* Files: `write_atomically`, `atomic_file`, `atomic_folder`, `recover_folder`, `temporary_folder`; `run_lock` (a run's folder),
  `file_lock`.
* Files from outside, with bounds: `read_text`, `read_bytes`, `read_json`, `read_toml`, `check_file`; for texts
  `parse_json`, `parse_toml`, `parse_yaml`.
* Processes and devices: `default_device`, `runs_on_cpu_only`, `supports_bfloat16`, `rank_and_world_size`, `gather_items`,
  `is_main_process`, `check_process_environment`; `run_parallel` (calls in parallel processes); `keep_freed_memory`.
* Output: `log_info` (one line on stderr), `track`, `track_amount`, `progress_bar`, `ProgressLog`, `format_duration`, `console`,
  `escape_unencodable_output`, `without_messages`.
* Provenance of results: `command_line`, `commit`, `hardware`. Optional packages: `import_extra`.
"""

from speechxfer.runtime.devices import default_device as default_device
from speechxfer.runtime.devices import gather_items as gather_items
from speechxfer.runtime.devices import has_gpu as has_gpu
from speechxfer.runtime.devices import rank_and_world_size as rank_and_world_size
from speechxfer.runtime.devices import runs_on_cpu_only as runs_on_cpu_only
from speechxfer.runtime.devices import supports_bfloat16 as supports_bfloat16
from speechxfer.runtime.environment import command_line as command_line
from speechxfer.runtime.environment import commit as commit
from speechxfer.runtime.environment import hardware as hardware
from speechxfer.runtime.extras import import_extra as import_extra
from speechxfer.runtime.files import atomic_file as atomic_file
from speechxfer.runtime.files import atomic_folder as atomic_folder
from speechxfer.runtime.files import check_new_folder as check_new_folder
from speechxfer.runtime.files import check_not_existing as check_not_existing
from speechxfer.runtime.files import check_not_input as check_not_input
from speechxfer.runtime.files import file_lock as file_lock
from speechxfer.runtime.files import recover_folder as recover_folder
from speechxfer.runtime.files import run_lock as run_lock
from speechxfer.runtime.files import temporary_folder as temporary_folder
from speechxfer.runtime.files import write_atomically as write_atomically
from speechxfer.runtime.memory import keep_freed_memory as keep_freed_memory
from speechxfer.runtime.parallel import run_parallel as run_parallel
from speechxfer.runtime.parsing import check_file as check_file
from speechxfer.runtime.parsing import parse_json as parse_json
from speechxfer.runtime.parsing import parse_toml as parse_toml
from speechxfer.runtime.parsing import parse_yaml as parse_yaml
from speechxfer.runtime.parsing import read_bytes as read_bytes
from speechxfer.runtime.parsing import read_json as read_json
from speechxfer.runtime.parsing import read_text as read_text
from speechxfer.runtime.parsing import read_toml as read_toml
from speechxfer.runtime.processes import check_process_environment as check_process_environment
from speechxfer.runtime.processes import is_main_process as is_main_process
from speechxfer.runtime.progress import ProgressLog as ProgressLog
from speechxfer.runtime.progress import console as console
from speechxfer.runtime.progress import escape_unencodable_output as escape_unencodable_output
from speechxfer.runtime.progress import format_duration as format_duration
from speechxfer.runtime.progress import log_info as log_info
from speechxfer.runtime.progress import progress_bar as progress_bar
from speechxfer.runtime.progress import track as track
from speechxfer.runtime.progress import track_amount as track_amount
from speechxfer.runtime.progress import without_messages as without_messages
