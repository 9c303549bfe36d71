"""Self-training: adapt on labelled speech and on the model's own transcripts of unlabelled speech.

Source: Kahn, Lee and Hannun, 'Self-training for end-to-end speech recognition' (ICASSP 2020), with confidence filtering.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from speechxfer.checkpoints import load_model
from speechxfer.data import Utterance, read_concatenated, read_manifest, total_duration_s, write_manifest
from speechxfer.decoding import score_hypotheses, transcribe
from speechxfer.errors import InputError
from speechxfer.runtime import default_device, log_info, write_atomically
from speechxfer.scoring import Comparison, WerReport, compare
from speechxfer.training import planned_steps
from speechxfer.workflows.studies import Splits, StudyRun, StudySettings, run_study


@dataclass(frozen=True)
class SelfTraining:
    """What training on own transcripts of unlabelled speech gained or cost, compared with labelled speech alone.

    Attributes:
        labelled: report of the model trained on labelled speech alone.
        rounds: report after each round.
        selected: for each round, number of selected utterances and their hours.
        comparison: of the last round with labelled speech alone.
    """

    labelled: WerReport
    rounds: tuple[WerReport, ...]
    selected: tuple[tuple[int, float], ...]
    comparison: Comparison

    def __str__(self) -> str:
        lines = [f"labelled only: {str(self.labelled).splitlines()[1]}"]
        for number, (report, (count, hours)) in enumerate(zip(self.rounds, self.selected, strict=True), start=1):
            rates = str(report).splitlines()[1]
            lines.append(f"round {number}, {count} of its own transcripts ({hours:.2f} h): {rates}")
        return "\n".join([*lines, str(self.comparison)])


def self_train(
    settings: StudySettings,
    splits: Splits,
    unlabelled: Sequence[Path],
    out: Path,
    *,
    rounds: int = 1,
    max_error_rate: float = 0.2,
) -> SelfTraining:
    """Train on labelled speech, transcribe the unlabelled speech, select transcripts, and train on both; repeatedly.

    Transcripts are selected by the model's confidence in an utterance: an isotonic regression on dev gives the expected
    character error rate at a confidence. Every round starts from the source again and takes as many steps as labelled speech
    alone, so that the comparison is fair.

    Args:
        splits: labelled speech, and the test set that all models are scored on.
        unlabelled: manifests; their texts are not read.
        out: the study's folder (``labelled``, ``round1``, ...).
        max_error_rate: expected character error rate above which an utterance is not selected.

    Raises:
        InputError: no utterance is selected, or unlabelled speech is also in train, dev or test.
    """
    candidates = _unlabelled_utterances(read_concatenated(unlabelled), splits, settings.config.data.max_duration_s)
    teacher = out / "labelled"
    reports = run_study([StudyRun(settings, splits, teacher)], 1, "labelled speech alone")
    settings = settings.with_settings("finetune", steps=planned_steps(teacher))
    selected: list[tuple[int, float]] = []
    for number in range(1, rounds + 1):
        folder = out / f"round{number}"
        chosen = _select_transcripts(str(teacher), settings, splits, candidates, max_error_rate)
        write_manifest(folder / "data" / "own.jsonl", chosen)
        selected.append((len(chosen), total_duration_s(chosen) / 3600))
        log_info(f"round {number}: training on {len(chosen)} of {len(candidates)} own transcripts")
        repeats = settings.config.data.repeats
        both = replace(splits, train=(*splits.train, folder / "data" / "own.jsonl"))
        with_own = settings.with_settings("data", repeats=[*repeats, 1] if repeats else [])
        reports += run_study([StudyRun(with_own, both, folder)], 1, f"round {number}")
        teacher = folder
    comparison = compare(reports[-1], reports[0], names=("with own transcripts", "labelled only"))
    result = SelfTraining(reports[0], tuple(reports[1:]), tuple(selected), comparison)
    write_atomically(out / "self-training.txt", f"{result}\n")
    log_info(f"wrote {out / 'self-training.txt'}")
    return result


def _unlabelled_utterances(unlabelled: Sequence[Utterance], splits: Splits, max_duration_s: float) -> list[Utterance]:
    """The unlabelled utterances without texts; those that are too long to train on are excluded, with a message.

    Raises:
        InputError: one of them has an id, or a segment of a recording, that is also in train, dev or test.
    """
    paths = [*splits.train, *splits.dev, *([splits.test] if splits.test else [])]
    labelled = [utterance for path in paths for utterance in read_manifest(path)]
    ids = {utterance.id for utterance in labelled}
    by_recording: dict[Path, list[Utterance]] = {}
    for utterance in labelled:
        by_recording.setdefault(utterance.audio_filepath, []).append(utterance)
    for utterance in unlabelled:
        begin, end = utterance.offset, utterance.offset + utterance.duration
        others = by_recording.get(utterance.audio_filepath, [])
        same = [one.id for one in others if begin < one.offset + one.duration and one.offset < end]
        if same or utterance.id in ids:
            raise InputError(
                f"{utterance.id}: the unlabelled speech is also in train, dev or test ({same[0] if same else 'its id'}), so the "
                "gain would be overestimated; remove it, or rename it if it is another recording"
            )
    short = [replace(utterance, text="") for utterance in unlabelled if utterance.duration <= max_duration_s]
    if len(short) < len(unlabelled):
        count = len(unlabelled) - len(short)
        log_info(f"{count} unlabelled utterances are longer than {max_duration_s:g} s and excluded; cut them at pauses")
    return short


def _select_transcripts(
    teacher: str, settings: StudySettings, splits: Splits, candidates: Sequence[Utterance], max_error_rate: float
) -> list[Utterance]:
    """The candidates whose expected error rate, by their confidence, is at most `max_error_rate`, with the model's texts."""
    model = load_model(teacher).to(default_device())
    resample, mono = settings.config.data.resample, settings.config.data.mono
    dev = read_concatenated(splits.dev)
    of_dev = transcribe(model, dev, resample=resample, mono=mono)
    report = score_hypotheses(model, dev, of_dev)
    expected = expected_errors(
        [of_dev[row.id].confidence for row in report.utterances],
        [row.characters.errors / max(1, row.characters.total) for row in report.utterances],
    )
    hypotheses = transcribe(model, candidates, resample=resample, mono=mono)
    errors = expected([hypotheses[utterance.id].confidence for utterance in candidates])
    chosen = [
        replace(utterance, text=hypotheses[utterance.id].text)
        for utterance, error in zip(candidates, errors, strict=True)
        if error <= max_error_rate and model.normalizer(hypotheses[utterance.id].text)
    ]
    if not chosen:
        raise InputError(
            f"{teacher}: for none of {len(candidates)} unlabelled utterances the expected character error rate is at most "
            f"{100 * max_error_rate:g} %; raise --max-error-rate, or transcribe more speech first"
        )
    return chosen


def expected_errors(confidences: Sequence[float], errors: Sequence[float]) -> Callable[[Sequence[float]], list[float]]:
    """A function from confidences to expected error rates, not increasing, fitted to pairs of both."""
    from sklearn.isotonic import IsotonicRegression  # slow to import

    fitted = IsotonicRegression(increasing=False, out_of_bounds="clip").fit(list(confidences), list(errors))
    return lambda asked: [float(value) for value in fitted.predict(list(asked))]
