"""What the page shows: the state of a project as plain data."""

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

from speechxfer import __version__
from speechxfer.runtime import read_json
from speechxfer.server.actions import untranscribed
from speechxfer.server.jobs import Job, Jobs
from speechxfer.server.project import USED, Project
from speechxfer.server.review import SKIPPED, corrected_utterances, read_transcript, suggestions

SHOWN_JOBS = 12
SHOWN_FILES = 200
SHOWN_FINDINGS = 500
SHOWN_SUGGESTIONS = 50
SHIPPED = ("multilingual-small", "english")  # speechxfer.checkpoints would tell, but takes seconds to import


def describe_project(project: Project, jobs: Jobs) -> dict[str, Any]:
    """Everything but the suggestions to correct."""
    every = jobs.all()
    data = _describe_data(project, every)
    trained = [_describe_model(project, job) for job in every if job.kind == "train"]
    finished = [model["name"] for model in trained if model["finished"]]
    return {
        "version": __version__,
        "folder": str(project.folder),
        "kinds": [*USED],
        "sources": _describe_sources(project, jobs),
        "data": data,
        "models": trained,
        "usable": [*finished, *SHIPPED],
        "source_models": [*SHIPPED, *finished],
        "tries": [_describe_try(project, job) for job in every if job.kind == "try"][:5],
        "corrected": len(corrected_utterances(project)),
        "skipped": len(project.manifest(SKIPPED)),
        "transcripts": _newest(every, "transcribe", "transcripts"),
        "exports": _describe_exports(project, every),
        "jobs": {kind: _describe_job(job) for kind, job in _latest_of_kinds(every).items()},
        "running": any(job.status == "running" for job in every),
    }


def describe_suggestions(project: Project, jobs: Jobs) -> dict[str, Any]:
    """The utterances to correct next, the least certain first."""
    transcripts = _newest(jobs.all(), "transcribe", "transcripts")
    found = suggestions(project, transcripts) if transcripts else []
    rows = [
        {
            "id": one.utterance.id,
            "recording": project.name_of(one.utterance.audio_filepath),
            "start": one.utterance.offset,
            "end": one.utterance.offset + one.utterance.duration,
            "text": one.utterance.text,
            "confidence": round(one.confidence, 3),
        }
        for one in found[:SHOWN_SUGGESTIONS]
    ]
    return {"transcripts": transcripts, "total": len(found), "utterances": rows}


def _describe_sources(project: Project, jobs: Jobs) -> dict[str, Any]:
    tiers = project.tiers()
    recordings, documents = project.recordings(), project.documents()
    without = {*untranscribed(project, jobs)}
    return {
        "folders": list(project.settings.folders),
        "documents": [project.name_of(path) for path in documents[:SHOWN_FILES]],
        "document_count": len(documents),
        "recordings": [
            {"name": project.name_of(path), "transcribed": path not in without} for path in recordings[:SHOWN_FILES]
        ],
        "recording_count": len(recordings),
        "untranscribed_count": len(without),
        "tiers": [
            {"pattern": one.pattern, "documents": one.documents, "texts": one.texts, "example": one.example}
            for one in tiers.groups
        ],
        "chosen": list(tiers.chosen),
        "faults": list(tiers.faults),
        "language": project.settings.language,
    }


def _describe_data(project: Project, every: list[Job]) -> dict[str, Any] | None:
    """The latest imported data with what `check` found; None if there are none."""
    job = next((job for job in every if job.kind == "prepare" and job.status == "done"), None)
    if job is None:
        return None
    folder = project.folder / job.about["data"]
    found = _read_json(folder / "findings.json")
    errors = [finding for finding in found["findings"] if finding["severity"] == "error"]
    removed = folder / "clean" / "removed.jsonl"
    clean = [json.loads(line) for line in removed.read_text("utf-8").splitlines()] if removed.exists() else []
    return {
        "name": job.about["data"],
        "splits": found["splits"],
        "errors": len({(finding["split"], finding["line"]) for finding in errors}),
        "findings": found["findings"][:SHOWN_FINDINGS],
        "finding_count": len(found["findings"]),
        "fixed": removed.exists(),
        "removed": len(clean),
        "notes": _read_notes(project.folder / "jobs" / f"{job.number:04d}" / "log.txt"),
    }


def _read_notes(log: Path) -> list[str]:
    """What `import` printed about files and intervals that it did not use."""
    lines = log.read_text("utf-8", "replace").splitlines()
    return [line for line in lines if line.startswith(("not imported:", "skipped:", "changed:", "excluded:"))][
        :SHOWN_FILES
    ]


def _describe_model(project: Project, job: Job) -> dict[str, Any]:
    folder = project.folder / job.about["model"]
    return {
        "name": job.about["model"],
        "job": job.number,
        "source": job.about["source"],
        "finished": (folder / "model" / "model.json").exists(),
        "scores": _read_scores(folder / "test" / "report.json"),
        "curve": _read_curve(folder / "metrics.jsonl"),
    }


def _read_scores(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    report = _read_json(path)
    rates = {name: _finite(report[name]) for name in ("wer", "cer")}
    return rates | {f"{name}_interval": [_finite(end) for end in report[f"{name}_interval"]] for name in rates}


def _read_json(path: Path) -> Any:
    """A JSON file that a command wrote; it is read once."""
    status = path.stat()
    return _read_unchanged(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _read_unchanged(path: Path, _changed_ns: int, _size: int) -> Any:
    return read_json(path, fix="let the page run its command again")


def _read_curve(path: Path) -> list[dict[str, float | None]]:
    """Step and character error rate on dev of each evaluation so far; a last line that is not whole is not used."""
    rows = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        if line.endswith("}"):
            row = json.loads(line)
            if "dev_cer" in row:
                rows.append({"step": row["step"], "cer": _finite(row["dev_cer"])})
    return rows


def _finite(rate: float) -> float | None:
    """A rate for JSON; None stands for infinity: words were recognised where the reference has none."""
    return rate if math.isfinite(rate) else None


def _describe_try(project: Project, job: Job) -> dict[str, Any]:
    files = sorted((project.folder / job.about["transcripts"]).glob("*.json")) if job.status == "done" else []
    tiers = read_transcript(files[0])["tiers"] if files else []
    of_kind = {
        kind: [i for tier in tiers if tier["name"].startswith(kind) for i in tier["intervals"]]
        for kind in ("utterances", "words")
    }
    return {
        "job": _describe_job(job),
        "recording": job.about["recording"],
        "model": job.about["model"],
        "text": " ".join(interval["text"] for interval in of_kind["utterances"]),
        "words": [{"text": one["text"], "confidence": one.get("score")} for one in of_kind["words"]],
    }


def _describe_exports(project: Project, every: list[Job]) -> list[dict[str, Any]]:
    """Finished tiers and reports, the latest first, with the paths to download."""
    found = []
    for job in every:
        if job.kind in ("export", "report") and job.status == "done":
            folder = project.folder / job.about["exports"]
            found += [
                {"kind": job.kind, "path": project.name_of(path)}
                for path in sorted(folder.iterdir())
                if path.name != "corrected"
            ]
    return found


def _newest(every: list[Job], kind: str, name: str) -> str:
    return next((job.about[name] for job in every if job.kind == kind and job.status == "done"), "")


def _latest_of_kinds(every: list[Job]) -> dict[str, Job]:
    latest: dict[str, Job] = {}
    for job in every[: 20 * SHOWN_JOBS]:
        latest.setdefault(job.kind, job)
    return latest


def _describe_job(job: Job) -> dict[str, Any]:
    return {
        "number": job.number,
        "kind": job.kind,
        "status": job.status,
        "done": job.done,
        "commands": [command.shown for command in job.commands],
        "progress": job.progress if job.status == "running" else None,
        "message": job.message,
        "stopping": job.stopping,
        "log": list(job.log),
    }
