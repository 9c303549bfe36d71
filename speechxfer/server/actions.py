"""What the buttons of the page do: each is one job, a few commands of the command line.

Paths in commands are relative to the project's folder, in which they run.
"""

import os
import shutil
from pathlib import Path

from speechxfer.data import write_manifest
from speechxfer.errors import InputError
from speechxfer.server.jobs import Command, Job, Jobs
from speechxfer.server.project import BY_NAME, Project
from speechxfer.server.review import CORRECTED, corrected_utterances

CONVERT = ("--resample", "--mono")
SPLITS = ("train", "dev", "test")
FOUND_ERRORS = 1  # exit code of `check`
SOME_FAILED = 2  # exit code of `import` and `transcribe`, which go on with the other files


def prepare(project: Project, jobs: Jobs) -> Job:
    """Import all documents, divide the utterances into train, dev and test, and check them.

    Without documents, the corrected transcripts are divided and checked.

    Raises:
        InputError: there is no transcript, or this is running.
    """
    folder = Path("data", str(jobs.next_number()))
    whole = folder / "all.jsonl"
    commands = []
    inputs = _import_inputs(project)
    if inputs:
        tiers = [part for pattern in project.tiers().chosen for part in ("--tier", pattern)]
        language = ["--language", project.settings.language] if project.settings.language else []
        arguments = ["import", *inputs, *tiers, *language, "--out", str(whole)]
        commands.append(Command(tuple(arguments), SOME_FAILED, str(whole)))
    elif corrected_utterances(project):
        whole = Path(CORRECTED)
    else:
        raise InputError(
            "there is no transcript yet; add ELAN documents, TextGrids or subtitles, or correct some transcripts"
        )
    manifests = [str(folder / f"{split}.jsonl") for split in SPLITS]
    commands.append(Command(("split", str(whole), "--out", str(folder))))
    findings = str(folder / "findings.json")
    commands.append(Command(("check", *manifests, *CONVERT, "--json", findings), FOUND_ERRORS, findings))
    return jobs.start("prepare", commands, data=str(folder))


def fix(project: Project, jobs: Jobs, data: str) -> Job:
    """Write manifests without the utterances that have errors."""
    folder = _existing(project, data, "data")
    manifests = [str(folder / f"{split}.jsonl") for split in SPLITS]
    command = Command(("check", *manifests, *CONVERT, "--fix", str(folder / "clean")))
    return jobs.start("fix", [command], data=str(folder))


def train(project: Project, jobs: Jobs, data: str, source: str, steps: int | None) -> Job:
    """Adapt a source model to the data and the corrected transcripts, and score it on test.

    Raises:
        InputError: no such data, or a training is running.
    """
    _check_model_name(source)
    folder = _existing(project, data, "data")
    out = Path("models", str(jobs.next_number()))
    clean = folder / "clean"
    manifests = clean if (project.folder / clean / "train.jsonl").exists() else folder
    training = ["--train", str(manifests / "train.jsonl")]
    corrected = corrected_utterances(project)
    if corrected and (project.folder / folder / "all.jsonl").exists():  # else they are the data
        # Corrections go on; a run needs what it was started with.
        copy = project.folder / folder / f"corrected-{out.name}.jsonl"
        write_manifest(copy, corrected)
        training += ["--train", str(folder / copy.name)]
    language = ["--language", project.settings.language] if project.settings.language else []
    options = [*CONVERT, *language, *([f"--set=finetune.steps={steps}"] if steps else [])]
    dev, test = (str(manifests / f"{split}.jsonl") for split in ("dev", "test"))
    adapt = Command(("adapt", f"--source={source}", *training, "--dev", dev, "--out", str(out), *options))
    evaluate = Command(("evaluate", str(out), "--on", test, "--out", str(out / "test")))
    return jobs.start("train", [adapt, evaluate], model=str(out), test=test, source=source)


def transcribe(project: Project, jobs: Jobs, model: str) -> Job:
    """Transcribe the recordings without transcripts, to be corrected.

    Raises:
        InputError: there is none.
    """
    _check_model_name(model)
    recordings = untranscribed(project, jobs)
    if not recordings:
        raise InputError("all recordings have transcripts; add recordings without, to correct what the model writes")
    out = f"transcripts/{jobs.next_number()}"
    names = [project.name_of(path) for path in recordings]
    command = Command(("transcribe", model, *names, "--format", "json", "--out", out), SOME_FAILED, out)
    return jobs.start("transcribe", [command], model=model, transcripts=out, renew=out)


def try_recording(project: Project, jobs: Jobs, model: str, recording: Path) -> Job:
    """Transcribe one recording that was made or chosen on the page."""
    _check_model_name(model)
    name = project.name_of(recording)
    out = f"{name}.texts"
    command = Command(("transcribe", model, name, "--format", "json", "--out", out))
    return jobs.start("try", [command], model=model, recording=name, transcripts=out, renew=out)


def export_tiers(project: Project, jobs: Jobs, model: str) -> Job:
    """Transcribe all recordings and add the texts, and the corrected ones, to copies of their documents as new tiers.

    Raises:
        InputError: there is no recording.
    """
    _check_model_name(model)
    recordings = [project.name_of(path) for path in project.recordings()]
    if not recordings:
        raise InputError("there is no recording; add some")
    out = Path("exports", str(jobs.next_number()))
    predicted, corrected = str(out / "predicted"), str(out / "corrected")
    commands = [
        Command(("transcribe", model, *recordings, "--format", "eaf", "--out", predicted), SOME_FAILED, predicted)
    ]
    targets = {predicted: {path.stem for path in project.recordings()}}
    for number, (source, names) in enumerate(_documents_by_folder(project).items(), start=1):
        if names & targets[predicted]:
            target = str(out / (f"tiers-{number}" if number > 1 else "tiers"))
            commands.append(Command(("add-tiers", source, predicted, "--prefix", "auto-", "--out", target)))
            targets[target] = names
    words = corrected_utterances(project)
    if words:
        options = ("--format", "eaf", "--unknown", "wildcard", "--forced")
        commands.append(Command(("align", model, CORRECTED, "--out", corrected, *options)))
    for target, names in targets.items():
        if names & {utterance.audio_filepath.stem for utterance in words}:
            commands.append(Command(("add-tiers", target, corrected, "--prefix", "corrected-")))
    return jobs.start("export", commands, exports=str(out), model=model, renew=str(out))


def write_report(project: Project, jobs: Jobs, models: list[str]) -> Job:
    """Write the page of some trained models, on the test utterances of the latest one."""
    trained = {job.about["model"]: job.about["test"] for job in jobs.all() if job.kind == "train"}
    unknown = [model for model in models if model not in trained]
    if unknown or not models:
        raise InputError(f"{', '.join(unknown) or 'no model'} is not trained here; train a model first")
    out = Path("exports", str(jobs.next_number()), "report.html")
    newest = max(models, key=lambda model: int(Path(model).name))
    command = Command(("report", *models, "--on", trained[newest], "--out", str(out)))
    return jobs.start("report", [command], exports=str(out.parent))


def untranscribed(project: Project, jobs: Jobs) -> list[Path]:
    """The recordings that the latest imported data have no utterance of."""
    latest = jobs.latest(["prepare"])
    known = (
        {utterance.audio_filepath for utterance in project.manifest(f"{latest.about['data']}/all.jsonl")}
        if latest
        else set()
    )
    names = {Path(os.path.realpath(path)) for path in known}
    return [path for path in project.recordings() if Path(os.path.realpath(path)) not in names]


def pack_folder(folder: Path, archive: Path) -> Path:
    """A folder as a ``.zip``."""
    return Path(shutil.make_archive(str(archive), "zip", folder.parent, folder.name))


def _check_model_name(name: str) -> None:
    """InputError for a name that the command line would take for an option."""
    if not name.strip() or name.startswith("-"):
        raise InputError(f"{name!r} is no name of a model; choose one of the list, or give a folder")


def _import_inputs(project: Project) -> list[str]:
    """What `import` is given: folders with documents, and uploaded text files and tables, which it takes by name only."""
    documents = project.documents()
    named = [project.name_of(path) for path in documents if path.suffix.lower() in BY_NAME]
    folders = [
        project.name_of(folder)
        for folder in project.sources()
        if any(path.is_relative_to(folder) and path.suffix.lower() not in BY_NAME for path in documents)
    ]
    return [*folders, *named]


def _documents_by_folder(project: Project) -> dict[str, set[str]]:
    """The folders with documents to which tiers can be added, and the names of these documents without suffix."""
    found: dict[str, set[str]] = {}
    for path in project.documents():
        if path.suffix.lower() in (".eaf", ".textgrid"):
            folder = next(one for one in project.sources() if path.is_relative_to(one))
            found.setdefault(project.name_of(folder), set()).add(path.stem)
    return found


def _existing(project: Project, name: str, parent: str) -> Path:
    """A folder ``PARENT/NUMBER`` of the project; InputError if there is none of that name."""
    path = Path(name)
    if path.parts[:-1] != (parent,) or not path.name.isdecimal() or not (project.folder / path).is_dir():
        raise InputError(f"{name!r}: no such {parent} in this project; reload the page")
    return path
