"""Annotations as JSON, with all that an `Annotation` holds, and as a table (TSV)."""

import json
from collections.abc import Iterable
from typing import Any

from speechxfer.annotations.tiers import Annotation, Interval, Tier, check_annotation, one_line

COLUMNS = ("recording", "tier", "speaker", "start", "end", "text", "score")


def annotation_to_dict(annotation: Annotation) -> dict[str, Any]:
    """The annotation as plain data; times in seconds. Fields without a value are absent."""
    return {
        "media": annotation.media.as_posix(),
        "duration": round(annotation.duration_s, 6),
        "tiers": [_tier_to_dict(tier) for tier in check_annotation(annotation).tiers],
    }


def render_json(annotation: Annotation) -> str:
    """The annotation as a JSON object."""
    return json.dumps(annotation_to_dict(annotation), ensure_ascii=False, indent=1) + "\n"


def render_tsv(annotations: Iterable[Annotation]) -> str:
    """All intervals that have a text, one a line: recording, tier, speaker, start and end in seconds, text, score; a header."""
    lines = ["\t".join(COLUMNS)]
    for annotation in annotations:
        for tier in check_annotation(annotation).tiers:
            for interval in tier.intervals:
                if interval.text.strip():
                    lines.append("\t".join(_row(annotation, tier, interval)))
    return "\n".join(lines) + "\n"


def _row(annotation: Annotation, tier: Tier, interval: Interval) -> list[str]:
    return [
        one_line(annotation.media.name),
        one_line(tier.name),
        one_line(tier.speaker),
        f"{interval.start_s:.3f}",
        f"{interval.end_s:.3f}",
        one_line(interval.text),
        "" if interval.score is None else f"{interval.score:.4f}",
    ]


def _tier_to_dict(tier: Tier) -> dict[str, Any]:
    names = {"speaker": tier.speaker, "type": tier.type, "parent": tier.parent}
    return {
        "name": tier.name,
        **{key: value for key, value in names.items() if value},
        "intervals": [_interval_to_dict(interval) for interval in tier.intervals],
    }


def _interval_to_dict(interval: Interval) -> dict[str, Any]:
    row: dict[str, Any] = {
        "start": round(interval.start_s, 6),
        "end": round(interval.end_s, 6),
        "text": interval.text,
    }
    return row if interval.score is None else row | {"score": round(interval.score, 6)}
