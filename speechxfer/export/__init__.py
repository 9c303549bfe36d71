"""Export of models to other toolkits.

`export` writes a model in another format: a folder for the transformers library or for sherpa-onnx, or one ONNX graph.
"""

from speechxfer.export.formats import export as export
