"""The command line, ``speechxfer VERB``: results on stdout, progress and errors on stderr.

* `main` runs a verb. The verbs are in `verbs`, `decoding_verbs`, `language_model_verbs` and `report_verbs` (one verb, one
  function, no logic), their options in `options`, exit codes and messages in `program`.
* `app`: the verbs and their options, for the reference.
* `DEFAULT_SOURCE`: the model that `adapt` starts from if no other is named.
"""

from speechxfer.cli.application import app as app
from speechxfer.cli.options import DEFAULT_SOURCE as DEFAULT_SOURCE
from speechxfer.cli.program import main as main
