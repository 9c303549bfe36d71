"""Language models: n-grams over words or characters, trained, read, and queried as tensors.

* `read_language_model` opens an ARPA file (also .gz) or a compact binary one as an `NgramModel`, whose `advance`, `score` and
  `finish` take batches of states.
* `NgramTables`: a model as arrays; `read_arpa`, `write_arpa`.
* `WORD_BOUNDARY` is the space of a character model.
"""

from speechxfer.language_models.arpa import read_arpa as read_arpa
from speechxfer.language_models.arpa import write_arpa as write_arpa
from speechxfer.language_models.model import NgramModel as NgramModel
from speechxfer.language_models.reading import read_language_model as read_language_model
from speechxfer.language_models.tables import WORD_BOUNDARY as WORD_BOUNDARY
from speechxfer.language_models.tables import NgramTables as NgramTables
from speechxfer.language_models.tables import Unit as Unit
