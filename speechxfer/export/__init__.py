"""Export of models to other toolkits.

`export` writes a model in another format: a folder for the transformers library, for sherpa-onnx or for
browsers, or one ONNX graph.
"""

from speechxfer.export.formats import export as export
