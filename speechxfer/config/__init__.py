"""Settings of a run: `Config` and its sections, read from TOML and overrides, validated.

- `load_config`, `parse_config`: from a TOML file and ``section.key=value`` overrides; from a dump.
- `change_settings`, `settings_from_scratch`: validated copies with other values.
- `Config`, `DataConfig`, `TextConfig`, `ModelConfig`, `TransferConfig`, `FinetuneConfig`: the settings; `check_lora`: one check.
"""

from speechxfer.config.loading import change_settings as change_settings
from speechxfer.config.loading import load_config as load_config
from speechxfer.config.loading import parse_config as parse_config
from speechxfer.config.loading import settings_from_scratch as settings_from_scratch
from speechxfer.config.settings import Config as Config
from speechxfer.config.settings import DataConfig as DataConfig
from speechxfer.config.settings import FinetuneConfig as FinetuneConfig
from speechxfer.config.settings import ModelConfig as ModelConfig
from speechxfer.config.settings import TextConfig as TextConfig
from speechxfer.config.settings import TransferConfig as TransferConfig
from speechxfer.config.settings import check_lora as check_lora
