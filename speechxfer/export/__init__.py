"""Export of models to other toolkits.

`export` writes a model in a format of `EXPORT_FORMATS`: a folder for the transformers library, or one ONNX graph.
"""

from speechxfer.export.formats import EXPORT_FORMATS, export

__all__ = ["EXPORT_FORMATS", "export"]
