"""Rendering of a page: one HTML file that opens from disk, without any request, and shows every text as text.

Texts of transcripts, speakers and files are untrusted. The template escapes all of them (Jinja's autoescape), the browser's
data are JSON in which ``<``, ``>`` and ``&`` are written as escapes, and the script inserts them as text only. Besides, the
page's content-security policy permits its own script and style, by their hashes, and data URIs; nothing else is run or requested.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from speechxfer.decoding import Hypothesis
from speechxfer.reporting.content import Clip, Content, Run
from speechxfer.reporting.forecasts import MORE_HOURS, forecast_charts, forecast_rows
from speechxfer.reporting.tables import best_step, confusion_tables, group_tables, summarise_head, training_charts
from speechxfer.scoring import (
    ScoredUtterance,
    align,
    check_same_task,
    compare,
    edit_operation,
    format_counts,
    format_rate,
)

TEMPLATES = Path(__file__).parent / "templates"
MOST_BYTES = 20_000_000
MOST_LISTED = 5000  # utterances in the browser of the page
SCRIPT_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def render_page(content: Content) -> str:
    """The page as HTML.

    Raises:
        InputError: the runs are not of the same utterances, references, speakers and normaliser.
    """
    first, others = content.runs[0], content.runs[1:]
    comparisons = [compare(run.report, first.report, names=(run.name, first.name)) for run in others]
    style, script = (_read(name) for name in ("page.css", "page.js"))
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"format_rate": format_rate, "format_counts": format_counts, "best_step": best_step}
    return environment.get_template("page.html").render(
        content=content,
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        data=Markup(_script_json(browser_data(content))),
        comparisons=comparisons,
        groups=group_tables(content),
        charts=training_charts(content.runs),
        heads=[(run, summarise_head(run.head)) for run in content.runs if run.head],
        confusions=[(run, confusion_tables(run.report)) for run in content.runs],
        forecasts=forecast_rows(content.curves),
        forecast_charts=forecast_charts(content.curves),
        more_hours=MORE_HOURS,
        most_listed=MOST_LISTED,
    )


def room_for_clips(content: Content) -> int:
    """Bytes that clips may take in base64 so that the page is not larger than `MOST_BYTES`."""
    return max(0, MOST_BYTES - len(render_page(replace(content, clips={})).encode()))


def browser_data(content: Content) -> dict[str, Any]:
    """What the utterance browser shows, for its script: the utterances with the most errors, at most `MOST_LISTED`."""
    for run in content.runs[1:]:
        check_same_task(content.runs[0].report, run.report)
    rows = sorted(
        content.runs[0].report.utterances, key=lambda row: (-row.words.errors, -row.characters.errors, row.id)
    )
    ids = [row.id for row in rows[:MOST_LISTED]]
    of_runs = [_aligned(run, ids) for run in content.runs]
    utterances = []
    for id_, row in zip(ids, rows, strict=False):
        utterance = content.utterances.get(id_)
        utterances.append(
            {
                "id": id_,
                "speaker": row.speaker,
                "reference": row.reference,
                "words": row.words.total,
                "seconds": round(utterance.duration, 3) if utterance else None,
                "runs": [aligned[id_] for aligned in of_runs],
                "clip": _clip(content.clips.get(id_)),
            }
        )
    return {"runs": [run.name for run in content.runs], "utterances": utterances}


def _aligned(run: Run, ids: list[str]) -> dict[str, dict[str, Any]]:
    """By id, what one run recognised: errors, rates, confidence, and the scorer's pairs of words."""
    rows = {row.id: row for row in run.report.utterances}
    pairs = align([(rows[id_].normalized_reference, rows[id_].normalized_hypothesis) for id_ in ids], words=True)
    found = {}
    for id_, aligned in zip(ids, pairs, strict=True):
        row, hypothesis = rows[id_], run.hypotheses[id_] if run.hypotheses else None
        times = iter(_times(row, hypothesis))
        cells = [[*pair, edit_operation(pair), next(times) if pair[1] is not None else None] for pair in aligned]
        found[id_] = {
            "text": row.hypothesis,
            "errors": row.words.errors,
            "wer": _finite(row.words.rate),
            "cer": _finite(row.characters.rate),
            "confidence": round(hypothesis.confidence, 3) if hypothesis else None,
            "pairs": cells,
        }
    return found


def _times(row: ScoredUtterance, hypothesis: Hypothesis | None) -> list[list[float] | None]:
    """Begin, end and confidence of each normalised word; None where the words are not those that were recognised."""
    count = len(row.normalized_hypothesis.split())
    if hypothesis is None or len(hypothesis.words) != count:
        return [None] * count
    return [[round(value, 3) for value in (word.start_s, word.end_s, word.confidence)] for word in hypothesis.words]


def _finite(rate: float) -> float | None:
    """A rate rounded for JSON; None stands for infinity: words were recognised where the reference has none."""
    return None if rate == float("inf") else round(rate, 4)


def _clip(clip: Clip | None) -> dict[str, Any] | None:
    if clip is None:
        return None
    audio, picture = (base64.b64encode(content).decode() for content in (clip.audio, clip.picture))
    return {"seconds": round(clip.seconds, 3), "audio": audio, "type": clip.media_type, "picture": picture}


def _script_json(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element it is in, nor open a comment or another one."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character, escape in SCRIPT_ESCAPES.items():
        text = text.replace(character, escape)
    return text


def _policy(style: str, script: str) -> str:
    """A content-security policy that permits this style, this script and data URIs, and nothing else."""
    of_script, of_style = (
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in (script, style)
    )
    return (
        f"default-src 'none'; script-src {of_script}; style-src {of_style}; img-src data:; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _read(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
