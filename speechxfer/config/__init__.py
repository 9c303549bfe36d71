"""Settings of a run: `Config` and its sections, read from TOML and overrides, validated.

- `load_config`, `parse_config`: from a TOML file and ``section.key=value`` overrides; from a dump.
- `change_settings`, `settings_from_scratch`: validated copies with other values.
- `Config`, `DataConfig`, `TextConfig`, `ModelConfig`, `TransferConfig`, `FinetuneConfig`: the settings; `check_lora`: one check.
"""

from speechxfer.config.loading import change_settings, load_config, parse_config, settings_from_scratch
from speechxfer.config.settings import (
    DEFAULT_L2_SP,
    Config,
    DataConfig,
    FinetuneConfig,
    ModelConfig,
    TextConfig,
    TransferConfig,
    check_lora,
)

__all__ = [
    "DEFAULT_L2_SP",
    "Config",
    "DataConfig",
    "FinetuneConfig",
    "ModelConfig",
    "TextConfig",
    "TransferConfig",
    "change_settings",
    "check_lora",
    "load_config",
    "parse_config",
    "settings_from_scratch",
]
