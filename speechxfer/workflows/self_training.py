"""Self-training on the model's own transcripts of untranscribed speech."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from speechxfer.config import Config, change_settings
from speechxfer.data import Utterance, read_concatenated, read_manifest, total_duration_s, write_manifest
from speechxfer.errors import InputError
from speechxfer.runtime import log_info, write_atomically
from speechxfer.scoring import Comparison, WerReport, compare
from speechxfer.workflows.studies import StudyRun, run_trainings


@dataclass(frozen=True)
class SelfTraining:
    """What training on the model's own transcripts of unlabelled speech gained or cost against labelled speech alone."""

    labelled: WerReport
    rounds: tuple[WerReport, ...]
    kept: tuple[tuple[int, float], ...]
    """Of each round: utterances that were learned from, and their hours."""
    comparison: Comparison

    def __str__(self) -> str:
        lines = [f"labelled only: {str(self.labelled).splitlines()[1]}"]
        for number, (report, (count, hours)) in enumerate(zip(self.rounds, self.kept, strict=True), start=1):
            lines.append(
                f"round {number}, {count} of its own transcripts ({hours:.2f} h): {str(report).splitlines()[1]}"
            )
        return "\n".join([*lines, str(self.comparison)])


def self_train(
    training: StudyRun, unlabelled: Sequence[Path], *, rounds: int = 1, most_errors: float = 0.2
) -> SelfTraining:
    """Train on labelled speech, transcribe the unlabelled, keep what is likely right, train on both; again and again.

    What is kept is decided by the model's confidence in an utterance; which confidence is enough, by dev, where an
    isotonic regression says what error rate a confidence means. Every round starts from the source again and takes as many
    steps as labelled speech alone, so that both are compared fairly.

    Args:
        training: as for one run; its `out` is the study's folder (``labelled``, ``round1``, ...), all scored on `test`.
        unlabelled: manifests whose texts are not looked at.
        most_errors: expected character error rate above which an utterance is not learned from.

    Raises:
        InputError: no utterance is expected to be that good, or unlabelled ones are also in train, dev or test.
    """
    without_text = _untranscribed(read_concatenated(unlabelled), training)
    training = replace(training, config=_with_steps_of(training))
    first = replace(training, out=training.out / "labelled")
    reports = run_trainings([first], 1, "labelled speech alone")
    kept: list[tuple[int, float]] = []
    teacher = first.out
    for number in range(1, rounds + 1):
        folder = training.out / f"round{number}"
        chosen = _own_transcripts(str(teacher), training, without_text, most_errors)
        if not chosen:
            raise InputError(
                f"{teacher}: of {len(without_text)} unlabelled utterances none is expected to have at most "
                f"{100 * most_errors:g} % wrong characters; raise --most-errors, or transcribe more speech first"
            )
        manifest = folder / "data" / "own.jsonl"
        write_manifest(manifest, chosen)
        kept.append((len(chosen), total_duration_s(chosen) / 3600))
        log_info(f"round {number}: learning from {len(chosen)} of {len(without_text)} own transcripts")
        repeats = training.config.data.repeats
        config = change_settings(training.config, "data", repeats=[*repeats, 1] if repeats else [])
        both = replace(training, out=folder, train=(*training.train, manifest), config=config)
        reports += run_trainings([both], 1, f"round {number}")
        teacher = folder
    comparison = compare(reports[-1], reports[0], names=("with own transcripts", "labelled only"))
    found = SelfTraining(reports[0], tuple(reports[1:]), tuple(kept), comparison)
    write_atomically(training.out / "self-training.txt", f"{found}\n")
    log_info(f"wrote {training.out / 'self-training.txt'}")
    return found


def _with_steps_of(training: StudyRun) -> Config:
    """The settings with the number of steps that suits this training speech, if they leave it open."""
    from speechxfer.training import default_steps

    settings = training.config.finetune
    if settings.steps is not None:
        return training.config
    steps = default_steps(total_duration_s(read_concatenated(training.train)), settings.batch_s)
    return change_settings(training.config, "finetune", steps=steps)


def _untranscribed(unlabelled: Sequence[Utterance], training: StudyRun) -> list[Utterance]:
    """The unlabelled utterances without any text; those too long to train on are left out, and told.

    Raises:
        InputError: one of them has an id, or a stretch of a recording, that is also in train, dev or test.
    """
    parts = [*training.train, *training.dev, *([training.test] if training.test else [])]
    known = [utterance for path in parts for utterance in read_manifest(path)]
    ids = {utterance.id for utterance in known}
    stretches: dict[Path, list[Utterance]] = {}
    for utterance in known:
        stretches.setdefault(utterance.audio_filepath, []).append(utterance)
    for utterance in unlabelled:
        same = [other.id for other in stretches.get(utterance.audio_filepath, []) if _overlap(utterance, other)]
        if same or utterance.id in ids:
            raise InputError(
                f"{utterance.id}: the unlabelled speech holds what train, dev or test hold ({same[0] if same else 'its id'}), "
                "so the gain would flatter; leave it out, or rename it if it is another recording"
            )
    longest = training.config.data.max_duration_s
    kept = [replace(utterance, text="") for utterance in unlabelled if utterance.duration <= longest]
    if len(kept) < len(unlabelled):
        log_info(
            f"{len(unlabelled) - len(kept)} unlabelled utterances are longer than {longest:g} s and left out; cut them at pauses"
        )
    return kept


def _overlap(one: Utterance, other: Utterance) -> bool:
    return one.offset < other.offset + other.duration and other.offset < one.offset + one.duration


def _own_transcripts(
    teacher: str, training: StudyRun, unlabelled: Sequence[Utterance], most_errors: float
) -> list[Utterance]:
    """The utterances whose expected error rate, by their confidence, is at most `most_errors`, with the model's text."""
    from speechxfer.checkpoints import load_model
    from speechxfer.decoding import score_hypotheses, transcribe
    from speechxfer.runtime import default_device

    model = load_model(teacher).to(default_device())
    resample, mono = training.config.data.resample, training.config.data.mono
    dev = read_concatenated(training.dev)
    heard = transcribe(model, dev, resample=resample, mono=mono)
    report = score_hypotheses(model, dev, heard)
    expected = expected_errors(
        [heard[row.id].confidence for row in report.utterances],
        [row.characters.errors / max(1, row.characters.total) for row in report.utterances],
    )
    found = transcribe(model, unlabelled, resample=resample, mono=mono)
    errors = expected([found[utterance.id].confidence for utterance in unlabelled])
    return [
        replace(utterance, text=found[utterance.id].text)
        for utterance, error in zip(unlabelled, errors, strict=True)
        if error <= most_errors and model.normalizer(found[utterance.id].text)
    ]


def expected_errors(confidences: Sequence[float], errors: Sequence[float]) -> Callable[[Sequence[float]], list[float]]:
    """The error rate to be expected at a confidence, never rising with it, as learned from pairs of both."""
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(increasing=False, out_of_bounds="clip").fit(list(confidences), list(errors))
    return lambda asked: [float(value) for value in fitted.predict(list(asked))]
