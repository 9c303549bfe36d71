"""TODO-DOOR"""

from speechxfer.export.transformers_models import export

__all__ = ["export"]
