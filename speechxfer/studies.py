"""Questions that take several runs: did the transfer help, how good is it over all the data, how much data is enough?

Each study plans its runs, has them done side by side by processes of one thread each (so that any number of them gives the
same bytes), and puts the reports together. A study that was stopped and is started again keeps what is finished. What it
is not: training or scoring (``runs.py``, ``scoring.py``).
"""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from speechxfer.config import Config, TransferConfig
from speechxfer.errors import InputError
from speechxfer.manifest import Utterance, read_manifest, read_together, write_manifest, write_whole
from speechxfer.progress import say, track
from speechxfer.report import CurvePoint, curve_table, plot_data_curve
from speechxfer.scoring import Comparison, WerReport, compare, join, pool
from speechxfer.splits import (
    Apart,
    check_apart,
    cut_into_folds,
    hold_out,
    shared_sentences,
    take_seconds,
    total_s,
    what_keeps_apart,
)

Result = TypeVar("Result")
MOST_FOLDS = 10
SCRATCH_LR = 1e-3  # what random weights learn best with in our recipes, encoder and head alike, and without dropout


@dataclass(frozen=True)
class Training:
    """One run of a study: what `train_run` is asked, and what its model is scored on."""

    config: Config
    out: Path
    source: str = ""
    language: str = ""
    licence: str = ""
    train: tuple[Path, ...] = ()
    dev: tuple[Path, ...] = ()
    test: Path | None = None


def from_scratch(training: Training, out: Path) -> Training:
    """The same network, data and budget of steps from random weights, at the learning rates that suit those.

    Of a borrowed network, which random weights would need thousands of hours for, the network that [model] names.

    Raises:
        InputError: the source hears with features that are no preset, with which nothing can be trained from scratch.
    """
    from speechxfer.checkpoint import load_model
    from speechxfer.features import PRESETS
    from speechxfer.models.borrowed import KINDS

    source = load_model(training.source)
    asked: dict[str, Any] = {"dropout": 0.0}
    if source.architecture.encoder in KINDS:
        settings = training.config.model
        say(
            f"from scratch: the {settings.encoder} of size {settings.size} in place of the source's {source.architecture.encoder}"
        )
    elif PRESETS.get(source.spec.name) != source.spec:
        raise InputError(
            f"{training.source}: its features {source.spec.name} are none of the presets, so no baseline can hear with them; "
            "train one with `speechxfer train` and compare, or leave the baseline out"
        )
    else:
        asked |= {name: getattr(source.architecture, name) for name in ("encoder", "size", "subsampling")}
        asked["features"] = source.spec.name
    config = _changed(
        _changed(training.config, "model", **asked), "finetune", encoder_lr=SCRATCH_LR, head_lr=SCRATCH_LR
    )
    config = config.model_copy(update={"transfer": TransferConfig()})
    return replace(training, config=config, out=out, source="")


def do_all(trainings: Sequence[Training], jobs: int, what: str) -> list[WerReport]:
    """Train and score all, `jobs` at a time, each in a process of its own; the reports in the order of `trainings`.

    What a run has to say goes into ``log.txt`` of its folder. Errors are those of `side_by_side`.
    """
    return side_by_side(_train_and_score, [(training,) for training in trainings], jobs, what)


def side_by_side(
    function: Callable[..., Result], calls: Sequence[tuple[Any, ...]], jobs: int, what: str
) -> list[Result]:
    """`function(*call)` for each call, `jobs` at a time in processes of one thread; the results in the order of `calls`.

    With 0 jobs as many as there are processor cores, or one where a GPU does the work.

    Raises:
        InputError: under torchrun; and whatever a call raises, once those that have begun are finished.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("a study starts its own processes; call it without torchrun, and say how many with --jobs")
    results: dict[int, Result] = {}
    context = multiprocessing.get_context("spawn")
    workers = min(jobs or default_jobs(), len(calls))
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as processes:
        futures = {processes.submit(function, *call): number for number, call in enumerate(calls)}
        try:
            for future in track(as_completed(futures), what, total=len(futures)):
                results[futures[future]] = future.result()
        except BaseException:
            processes.shutdown(cancel_futures=True)
            raise
    return [results[number] for number in range(len(calls))]


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _train_and_score(training: Training) -> WerReport:
    from speechxfer.runs import evaluate_run, train_run

    if training.test is None:
        raise InputError(f"{training.out}: a study scores its runs, and no test manifest is named; give one")
    training.out.mkdir(parents=True, exist_ok=True)
    with (training.out / "log.txt").open("a", encoding="utf-8") as log, redirect_stderr(log), redirect_stdout(log):
        train_run(
            training.config,
            training.train,
            training.dev,
            training.out,
            source=training.source,
            language=training.language,
            licence=training.licence,
        )
        data = training.config.data
        report = evaluate_run(
            [str(training.out)], training.test, training.out / "scored", resample=data.resample, mono=data.mono
        )
    if not isinstance(report, WerReport):
        raise TypeError("one model has one report")
    return report


def default_jobs() -> int:
    """As many runs side by side as there are processor cores; one where a GPU does the work."""
    import torch

    return 1 if torch.cuda.is_available() else (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)


# -------------------------------------------------------------------------------------------------------- did it help?
@dataclass(frozen=True)
class AgainstBaseline:
    """An adapted model against the same network from random weights."""

    comparison: Comparison

    def __str__(self) -> str:
        return f"{verdict(self.comparison)}\n{self.comparison}"


def against_baseline(training: Training, jobs: int) -> AgainstBaseline:
    """Adapt, train the same network from random weights at the same budget beside it, and test the difference.

    Both are scored on `training.test`, or on dev where there is none (then both have been chosen by what they are scored on).

    The baseline lies in ``baseline`` of the run's folder; the verdict is also written to ``baseline.txt``.
    """
    if training.test is None:
        path = training.out / "baseline" / "data" / "dev.jsonl"
        write_manifest(path, read_together(training.dev))
        training = replace(training, test=path)
    baseline = from_scratch(training, training.out / "baseline")
    adapted, scratch = do_all([training, baseline], jobs, "adapting, and training the baseline")
    found = AgainstBaseline(compare(adapted, scratch, names=("adapted", "from scratch")))
    write_whole(training.out / "baseline.txt", f"{found}\n")
    return found


def verdict(comparison: Comparison) -> str:
    """Whether the transfer helped, in a sentence; characters decide, being many more than words."""
    difference = comparison.cer
    if not difference.significant:
        return (
            "The transfer made no difference that the data can show: from scratch is as good at this budget, or there is too "
            "little to score on."
        )
    if difference.difference < 0:
        return "The transfer helped, with this seed (`speechxfer curve` takes several)."
    return (
        "The transfer hurt, with this seed (`speechxfer curve` takes several): from scratch is better at this budget. Try "
        "another source, or a higher encoder_lr."
    )


# ------------------------------------------------------------------------------------------------------ cross-validation
@dataclass(frozen=True)
class CrossValidation:
    """Every utterance scored by a model that has not heard its speaker (or sentence)."""

    report: WerReport
    apart: Apart
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
    training: Training,
    manifests: Sequence[Path],
    *,
    folds: int = 0,
    apart: Apart | None = None,
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
            (see also `what_keeps_apart`), else sentences.
        results: a results.json that gets a row of the pooled score.

    Raises:
        InputError: the corpus cannot be cut so, or `training.train` shares a speaker (or sentence) with it.
    """
    from speechxfer.runs import record

    utterances = read_together(manifests)
    apart = apart or what_keeps_apart(utterances, folds or 2)
    check_apart(read_together(training.train), utterances, apart)
    if not folds:
        speakers = {utterance.speaker for utterance in utterances}
        folds = min(len(speakers), MOST_FOLDS) if apart == "speaker" else 5
    trainings, shared = [], 0
    for number, test in enumerate(cut_into_folds(utterances, folds, apart), start=1):
        tested = {utterance.id for utterance in test}
        rest = [utterance for utterance in utterances if utterance.id not in tested]
        train, dev = hold_out(rest)
        told = ", ".join(
            f"{total_s(part) / 60:.1f} min {name}" for name, part in (("train", train), ("dev", dev), ("test", test))
        )
        say(f"fold {number}: {told}")
        shared += shared_sentences(rest, test)
        folder = training.out / f"fold{number}"
        paths = [folder / "data" / f"{part}.jsonl" for part in ("train", "dev", "test")]
        for path, part in zip(paths, (train, dev, test), strict=True):
            write_manifest(path, part)
        trainings.append(
            replace(training, train=(paths[0], *training.train), dev=(paths[1],), test=paths[2], out=folder)
        )
    reports = do_all(trainings, jobs, f"{folds} folds by {apart}")
    pooled = join(reports)
    write_whole(training.out / "report.json", pooled.to_json())
    write_whole(training.out / "report.txt", pooled.text())
    if results:
        record(results, [str(each.out) for each in trainings], pooled, "crossval", f"{folds} folds by {apart}")
    say(f"wrote {training.out / 'report.txt'}; every fold's model and log lie beside it")
    return CrossValidation(pooled, apart, tuple(reports), shared)


# ------------------------------------------------------------------------------------------------------- how much data?
@dataclass(frozen=True)
class LearningCurve:
    """How good adapted models and models from scratch are by hours of training speech."""

    points: tuple[CurvePoint, ...]

    def __str__(self) -> str:
        return curve_table(self.points).rstrip("\n")


def learning_curve(
    training: Training, *, minutes: Sequence[float] = (10.0, 30.0, 60.0), seeds: int = 3, jobs: int = 0
) -> LearningCurve:
    """Adapt and train from scratch on growing parts of a corpus, each with several seeds, and score all on one test set.

    Writes ``curve.tsv`` and, where matplotlib is there, ``curve.png`` to the study's folder.

    Args:
        training: what the runs share; its `out` is the study's folder.
        minutes: sizes of the parts, smaller ones inside larger ones; parts that would be all of it or more are left out, and
            all of it comes last.
        seeds: 1 to this many.
    """
    kinds = {"adapted": training, "scratch": from_scratch(training, training.out)}
    utterances = read_together(training.train)
    parts = {f"{size:g}min": take_seconds(utterances, 60 * size, "curve") for size in sorted(set(minutes))}
    parts = {name: part for name, part in parts.items() if 0 < len(part) < len(utterances)} | {"all": list(utterances)}
    trainings: list[Training] = []
    for name, part in parts.items():
        path = training.out / "data" / f"{name}.jsonl"
        write_manifest(path, part)
        for kind, asked in kinds.items():
            for seed in range(1, seeds + 1):
                out = training.out / name / f"{kind}-{seed}"
                trainings.append(
                    replace(asked, config=_changed(asked.config, "finetune", seed=seed), train=(path,), out=out)
                )
    reports = iter(do_all(trainings, jobs, f"{len(trainings)} runs"))
    points = []
    for name, part in parts.items():
        for kind in kinds:
            scored = pool([next(reports) for _ in range(seeds)])
            hours = round(total_s(part) / 3600, 3)
            points.append(
                CurvePoint(kind, name, hours, scored.wer, scored.wer_interval, scored.cer, scored.cer_interval)
            )
    write_whole(training.out / "curve.tsv", curve_table(points))
    plot_data_curve(points, training.out / "curve.png")
    say(f"wrote {training.out / 'curve.tsv'} and {training.out / 'curve.png'}")
    return LearningCurve(tuple(points))


def _changed(config: Config, section: str, **values: Any) -> Config:
    """The settings with other values in one section."""
    return config.model_copy(update={section: getattr(config, section).model_copy(update=values)})


# ------------------------------------------------------------------------------------------------------ unlabelled audio
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
    training: Training, unlabelled: Sequence[Path], *, rounds: int = 1, most_errors: float = 0.2
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
    without_text = _unheard(read_together(unlabelled), training)
    training = replace(training, config=_with_steps_of(training))
    first = replace(training, out=training.out / "labelled")
    reports = do_all([first], 1, "labelled speech alone")
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
        kept.append((len(chosen), total_s(chosen) / 3600))
        say(f"round {number}: learning from {len(chosen)} of {len(without_text)} own transcripts")
        repeats = training.config.data.repeats
        config = _changed(training.config, "data", repeats=[*repeats, 1] if repeats else [])
        both = replace(training, out=folder, train=(*training.train, manifest), config=config)
        reports += do_all([both], 1, f"round {number}")
        teacher = folder
    comparison = compare(reports[-1], reports[0], names=("with own transcripts", "labelled only"))
    found = SelfTraining(reports[0], tuple(reports[1:]), tuple(kept), comparison)
    write_whole(training.out / "self-training.txt", f"{found}\n")
    say(f"wrote {training.out / 'self-training.txt'}")
    return found


def _with_steps_of(training: Training) -> Config:
    """The settings with the number of steps that suits this training speech, if they leave it open."""
    from speechxfer.finetune import usual_steps

    settings = training.config.finetune
    if settings.steps > 0:
        return training.config
    steps = usual_steps(total_s(read_together(training.train)), settings.batch_s)
    return _changed(training.config, "finetune", steps=steps)


def _unheard(unlabelled: Sequence[Utterance], training: Training) -> list[Utterance]:
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
        say(
            f"{len(unlabelled) - len(kept)} unlabelled utterances are longer than {longest:g} s and left out; cut them at pauses"
        )
    return kept


def _overlap(one: Utterance, other: Utterance) -> bool:
    return one.offset < other.offset + other.duration and other.offset < one.offset + one.duration


def _own_transcripts(
    teacher: str, training: Training, unlabelled: Sequence[Utterance], most_errors: float
) -> list[Utterance]:
    """The utterances whose expected error rate, by their confidence, is at most `most_errors`, with the model's text."""
    from speechxfer.checkpoint import load_model
    from speechxfer.decode import own_device, score_hypotheses, transcribe

    model = load_model(teacher).to(own_device())
    resample, mono = training.config.data.resample, training.config.data.mono
    dev = read_together(training.dev)
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
