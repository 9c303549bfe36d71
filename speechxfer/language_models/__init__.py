"""Language models: n-grams over words or characters, trained, read, and queried as tensors.

* `read_language_model` opens an ARPA file (also .gz) or a compact binary one as an `NgramModel`, whose `advance`, `score` and
  `finish` take batches of states.
* `train_ngrams` with `NgramSettings`: interpolated modified Kneser-Ney; `TrainedNgrams` says what was trained on.
* `NgramTables`: a model as arrays; `read_arpa`, `write_arpa`, `read_binary`, `write_binary`.
* `measure_perplexity` of a text, as a `PerplexityReport`.
* `WORD_BOUNDARY` is the space of a character model; `SPECIAL` are the first three words of every model.
"""

from speechxfer.language_models.arpa import read_arpa as read_arpa
from speechxfer.language_models.arpa import write_arpa as write_arpa
from speechxfer.language_models.binary import read_binary as read_binary
from speechxfer.language_models.binary import write_binary as write_binary
from speechxfer.language_models.model import NgramModel as NgramModel
from speechxfer.language_models.perplexity import PerplexityReport as PerplexityReport
from speechxfer.language_models.perplexity import measure_perplexity as measure_perplexity
from speechxfer.language_models.reading import read_language_model as read_language_model
from speechxfer.language_models.tables import SPECIAL as SPECIAL
from speechxfer.language_models.tables import WORD_BOUNDARY as WORD_BOUNDARY
from speechxfer.language_models.tables import NgramTables as NgramTables
from speechxfer.language_models.tables import Unit as Unit
from speechxfer.language_models.training import NgramSettings as NgramSettings
from speechxfer.language_models.training import TrainedNgrams as TrainedNgrams
from speechxfer.language_models.training import train_ngrams as train_ngrams
