"""Cross-validation: every utterance is scored by a model that was not trained on its speaker or sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from speechxfer.data import (
    GroupKey,
    Utterance,
    check_disjoint,
    choose_group_key,
    count_shared_sentences,
    read_concatenated,
    split_into_folds,
    split_train_dev,
    total_duration_s,
    write_manifest,
)
from speechxfer.runtime import log_info, write_atomically
from speechxfer.scoring import WerReport, join, render_report
from speechxfer.workflows.evaluation_runs import RowTarget, record_pooled_row
from speechxfer.workflows.studies import Splits, StudyRun, StudySettings, run_study

MAX_SPEAKER_FOLDS = 10
DEFAULT_FOLDS = 5


@dataclass(frozen=True)
class CrossValidation:
    """Scores of a cross-validation.

    Attributes:
        report: of all utterances.
        group_by: what no two folds share.
        folds: report of each fold.
        shared_sentences: number of test utterances whose sentence another speaker says in training.
    """

    report: WerReport
    group_by: GroupKey
    folds: tuple[WerReport, ...]
    shared_sentences: int

    def __str__(self) -> str:
        lines = [f"pooled over {len(self.folds)} folds by {self.group_by}:", str(self.report)]
        if self.shared_sentences:
            of_all = f"{self.shared_sentences} of {len(self.report.utterances)} test utterances"
            lines.append(f"{of_all} have a sentence that is also in their training data")
        rates = ", ".join(f"{100 * fold.wer:.1f}" for fold in self.folds)
        return "\n".join([*lines, f"WER by fold: {rates}"])


def cross_validate(
    settings: StudySettings,
    manifests: Sequence[Path],
    out: Path,
    *,
    extra_train: Sequence[Path] = (),
    folds: int | None = None,
    group_by: GroupKey | None = None,
    jobs: int | None = None,
    results: Path | None = None,
) -> CrossValidation:
    """For each fold, train on the other folds (a tenth of them as dev) and score on the fold; pool all utterances.

    Args:
        manifests: the whole corpus.
        out: the study's folder.
        extra_train: manifests that are trained on in every fold and never scored, such as synthetic speech.
        folds: number of folds; None: one for each speaker, but at most 10, where every utterance names one, else 5.
        group_by: what no two folds share; None: speakers, where that leaves every fold at least half of the speech for
            training (see `choose_group_key`), else sentences.
        jobs: runs in parallel; None: one for each core.
        results: a results.json that gets a row of the pooled score.

    Raises:
        InputError: the corpus cannot be cut so, or `extra_train` shares a speaker (or sentence) with it.
    """
    utterances = read_concatenated(manifests)
    group_by = group_by or choose_group_key(utterances, folds or 2)
    check_disjoint(read_concatenated(extra_train), utterances, group_by)
    if folds is None:
        speakers = {utterance.speaker for utterance in utterances}
        folds = min(len(speakers), MAX_SPEAKER_FOLDS) if group_by == "speaker" else DEFAULT_FOLDS
    runs, shared = [], 0
    for number, test in enumerate(split_into_folds(utterances, folds, group_by), start=1):
        test_ids = {utterance.id for utterance in test}
        others = [utterance for utterance in utterances if utterance.id not in test_ids]
        shared += count_shared_sentences(others, test)
        folder = out / f"fold{number}"
        runs.append(StudyRun(settings, _write_fold(folder, others, test, extra_train), folder))
    reports = run_study(runs, jobs, f"{folds} folds by {group_by}")
    pooled = join(reports)
    write_atomically(out / "report.json", pooled.to_json())
    write_atomically(out / "report.txt", render_report(pooled))
    if results:
        target = RowTarget(results, "crossval", f"{folds} folds by {group_by}")
        record_pooled_row([str(run.out) for run in runs], pooled, target)
    log_info(f"wrote {out / 'report.txt'}; the folders of the folds contain models and logs")
    return CrossValidation(pooled, group_by, tuple(reports), shared)


def _write_fold(
    folder: Path, others: Sequence[Utterance], test: Sequence[Utterance], extra_train: Sequence[Path]
) -> Splits:
    """Write the manifests of a fold, with a tenth of the other folds as dev."""
    train, dev = split_train_dev(others)
    parts = {"train": train, "dev": dev, "test": test}
    sizes = ", ".join(f"{total_duration_s(part) / 60:.1f} min {name}" for name, part in parts.items())
    log_info(f"{folder.name}: {sizes}")
    paths = {name: folder / "data" / f"{name}.jsonl" for name in parts}
    for name, part in parts.items():
        write_manifest(paths[name], part)
    return Splits((paths["train"], *extra_train), (paths["dev"],), paths["test"])
