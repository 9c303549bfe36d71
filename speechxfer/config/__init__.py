"""TODO-DOOR"""

from speechxfer.config.loading import load_config, parse_config
from speechxfer.config.settings import Config, DataConfig, FinetuneConfig, TransferConfig

__all__ = ["Config", "DataConfig", "FinetuneConfig", "TransferConfig", "load_config", "parse_config"]
