"""Workflows: what the verbs of the command line do, one function for each, with the same defaults in Python.

- `adapt`, `train_from_scratch`, `Adapted`: training runs.
- `average_models`: the mean of models that differ in their seeds.
- `evaluate_models`, `RowTarget`: models by name, scored on a manifest.
- `transcribe_inputs`, `write_transcripts`, `ReadingOptions`, `TranscriptFormat`: models by name, applied to recordings.
- `find_keywords`, `write_found`, `Found`, `split_arguments`: words and phrases in untranscribed recordings.
- `import_files`, `ImportOptions`: annotations and data folders of other toolkits as a manifest; `copy_tiers`: tiers added to a
  TextGrid or ELAN document.
- `split_manifest`: a manifest divided into train, dev and test.
- `score_files`: transcripts in files against references.
- `train_language_model`, `score_language_model`: the verbs ``lm train`` and ``lm score``.
- `DecodingOptions`, `choose_language_models`, `open_decoder`: language models, boosted phrases and beam; `tune_models`, `Tuning`:
  their weights, tuned on development data.
- `LanguageModelFiles`, `build_beam_decoder`, `read_stored_weights`: the steps of `open_decoder`; `OWN_FILES`, `WEIGHTS_FILE`,
  `own_files`, `StoredWeights`, `weights_key`, `write_tuned_weights`: a model's own language models and their weights.
- `align_inputs`, `AlignmentSummary`: recordings and their texts to annotation files.
- `write_page`, `PageOptions`: runs as one HTML page.
- `check_run`, `describe`, `embed`: the verbs ``check``, ``info`` and ``embed``.
- `StudySettings`, `Splits`: how the runs of a study are trained and on what; `cross_validate`, `learning_curve`,
  `compare_with_baseline`, `self_train`: the studies.
- `select`, `SelectionOptions`, `Selection`: which untranscribed speech to transcribe next.
- `rank_sources`: which source model suits a target best.
- `ResultRow`, `Forgetting`, `read_rows`, `add_row`: the ``results.json`` of recipes.
"""

from speechxfer.workflows.alignment_runs import AlignmentSummary as AlignmentSummary
from speechxfer.workflows.alignment_runs import align_inputs as align_inputs
from speechxfer.workflows.averaging import average_models as average_models
from speechxfer.workflows.baselines import compare_with_baseline as compare_with_baseline
from speechxfer.workflows.checking_runs import check_run as check_run
from speechxfer.workflows.cross_validation import cross_validate as cross_validate
from speechxfer.workflows.decoders import OWN_FILES as OWN_FILES
from speechxfer.workflows.decoders import WEIGHTS_FILE as WEIGHTS_FILE
from speechxfer.workflows.decoders import DecodingOptions as DecodingOptions
from speechxfer.workflows.decoders import LanguageModelFiles as LanguageModelFiles
from speechxfer.workflows.decoders import StoredWeights as StoredWeights
from speechxfer.workflows.decoders import build_beam_decoder as build_beam_decoder
from speechxfer.workflows.decoders import choose_language_models as choose_language_models
from speechxfer.workflows.decoders import open_decoder as open_decoder
from speechxfer.workflows.decoders import own_files as own_files
from speechxfer.workflows.decoders import read_stored_weights as read_stored_weights
from speechxfer.workflows.decoders import weights_key as weights_key
from speechxfer.workflows.decoders import write_tuned_weights as write_tuned_weights
from speechxfer.workflows.embeddings import embed as embed
from speechxfer.workflows.evaluation_runs import RowTarget as RowTarget
from speechxfer.workflows.evaluation_runs import evaluate_models as evaluate_models
from speechxfer.workflows.import_runs import ImportOptions as ImportOptions
from speechxfer.workflows.import_runs import import_files as import_files
from speechxfer.workflows.language_model_runs import score_language_model as score_language_model
from speechxfer.workflows.language_model_runs import train_language_model as train_language_model
from speechxfer.workflows.learning_curves import learning_curve as learning_curve
from speechxfer.workflows.manifest_splits import split_manifest as split_manifest
from speechxfer.workflows.model_description import describe as describe
from speechxfer.workflows.ranking import rank_sources as rank_sources
from speechxfer.workflows.report_pages import PageOptions as PageOptions
from speechxfer.workflows.report_pages import write_page as write_page
from speechxfer.workflows.results import Forgetting as Forgetting
from speechxfer.workflows.results import ResultRow as ResultRow
from speechxfer.workflows.results import add_row as add_row
from speechxfer.workflows.results import read_rows as read_rows
from speechxfer.workflows.scoring_runs import score_files as score_files
from speechxfer.workflows.search_runs import Found as Found
from speechxfer.workflows.search_runs import find_keywords as find_keywords
from speechxfer.workflows.search_runs import split_arguments as split_arguments
from speechxfer.workflows.search_runs import write_found as write_found
from speechxfer.workflows.selection_runs import Selection as Selection
from speechxfer.workflows.selection_runs import SelectionOptions as SelectionOptions
from speechxfer.workflows.selection_runs import select as select
from speechxfer.workflows.self_training import self_train as self_train
from speechxfer.workflows.studies import Splits as Splits
from speechxfer.workflows.studies import StudySettings as StudySettings
from speechxfer.workflows.tier_copies import copy_tiers as copy_tiers
from speechxfer.workflows.training_runs import Adapted as Adapted
from speechxfer.workflows.training_runs import adapt as adapt
from speechxfer.workflows.training_runs import train_from_scratch as train_from_scratch
from speechxfer.workflows.transcription_runs import ReadingOptions as ReadingOptions
from speechxfer.workflows.transcription_runs import transcribe_inputs as transcribe_inputs
from speechxfer.workflows.transcription_runs import write_transcripts as write_transcripts
from speechxfer.workflows.transcripts import TranscriptFormat as TranscriptFormat
from speechxfer.workflows.tuning import Tuning as Tuning
from speechxfer.workflows.tuning import tune_models as tune_models
