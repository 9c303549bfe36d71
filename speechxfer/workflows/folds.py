"""Cross-validation: every utterance scored by a model that was not trained on its speaker or sentence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from speechxfer.data import (
    GroupKey,
    check_disjoint,
    choose_group_key,
    cut_into_folds,
    hold_out,
    read_concatenated,
    shared_sentences,
    total_duration_s,
    write_manifest,
)
from speechxfer.runtime import log_info, write_atomically
from speechxfer.scoring import WerReport, join, render_report
from speechxfer.workflows.evaluation_runs import RowTarget, record_pooled_row
from speechxfer.workflows.studies import StudyRun, run_trainings

MOST_FOLDS = 10


@dataclass(frozen=True)
class CrossValidation:
    """Every utterance scored by a model that has not heard its speaker (or sentence)."""

    report: WerReport
    apart: GroupKey
    folds: tuple[WerReport, ...]
    shared: int
    """Test utterances whose sentence some training utterance of another speaker has too."""

    def __str__(self) -> str:
        lines = [f"pooled over {len(self.folds)} folds by {self.apart}:", str(self.report)]
        if self.shared:
            lines.append(
                f"{self.shared} of {len(self.report.utterances)} test utterances say what others said in training"
            )
        rates = ", ".join(f"{100 * fold.wer:.1f}" for fold in self.folds)
        return "\n".join([*lines, f"WER by fold: {rates}"])


def cross_validate(
    training: StudyRun,
    manifests: Sequence[Path],
    *,
    folds: int = 0,
    apart: GroupKey | None = None,
    jobs: int = 0,
    results: Path | None = None,
) -> CrossValidation:
    """Train once a fold on all other folds (a tenth of them for choosing), score on the fold, and pool all utterances.

    Args:
        training: what every fold shares; its `train` is heard in every fold besides and never scored, such as synthetic
            voices, and its `out` is the study's folder.
        manifests: the whole corpus.
        folds: how many; 0: one a speaker, but at most 10, where every utterance names one, else 5.
        apart: what no two folds share; None: speakers, where that leaves every fold at least half of the speech to learn from
            (see also `choose_group_key`), else sentences.
        results: a results.json that gets a row of the pooled score.

    Raises:
        InputError: the corpus cannot be cut so, or `training.train` shares a speaker (or sentence) with it.
    """

    utterances = read_concatenated(manifests)
    apart = apart or choose_group_key(utterances, folds or 2)
    check_disjoint(read_concatenated(training.train), utterances, apart)
    if not folds:
        speakers = {utterance.speaker for utterance in utterances}
        folds = min(len(speakers), MOST_FOLDS) if apart == "speaker" else 5
    trainings, shared = [], 0
    for number, test in enumerate(cut_into_folds(utterances, folds, apart), start=1):
        tested = {utterance.id for utterance in test}
        rest = [utterance for utterance in utterances if utterance.id not in tested]
        train, dev = hold_out(rest)
        told = ", ".join(
            f"{total_duration_s(part) / 60:.1f} min {name}"
            for name, part in (("train", train), ("dev", dev), ("test", test))
        )
        log_info(f"fold {number}: {told}")
        shared += shared_sentences(rest, test)
        folder = training.out / f"fold{number}"
        paths = [folder / "data" / f"{part}.jsonl" for part in ("train", "dev", "test")]
        for path, part in zip(paths, (train, dev, test), strict=True):
            write_manifest(path, part)
        trainings.append(
            replace(training, train=(paths[0], *training.train), dev=(paths[1],), test=paths[2], out=folder)
        )
    reports = run_trainings(trainings, jobs, f"{folds} folds by {apart}")
    pooled = join(reports)
    write_atomically(training.out / "report.json", pooled.to_json())
    write_atomically(training.out / "report.txt", render_report(pooled))
    if results:
        target = RowTarget(results, "crossval", f"{folds} folds by {apart}")
        record_pooled_row([str(each.out) for each in trainings], pooled, target)
    log_info(f"wrote {training.out / 'report.txt'}; every fold's model and log lie beside it")
    return CrossValidation(pooled, apart, tuple(reports), shared)
