"""Models for shipping: a copy of a model with its measured figures on its card."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from recipes.phone_errors import ALL, read_measurements
from speechxfer.checkpoints import load_model, read_card, resolve_source, save_model
from speechxfer.errors import InputError
from speechxfer.workflows import ResultRow, own_files, read_rows


def copy_model(
    name: Path | str,
    folder: Path | str,
    *,
    new_name: str = "",
    half: bool = False,
    results: str = "",
    phone_results: str = "",
    limits: str = "",
) -> None:
    """Save a model elsewhere with its card and its language models, under another name or in half precision for shipping.

    Args:
        name: the model, as for `load_model`.
        folder: where to.
        new_name: for the card; empty: its present one. A shipped model's name ends in a version, such as ``english-2``.
        half: write weights in float16.
        results: a results.json; its error rates go onto the card, except those of models made from another source.
        phone_results: a phone_results.json; the model's phone and feature error rates by group of speakers go onto the card.
        limits: what users must not expect of the model; goes onto the card.

    Raises:
        InputError: no such model or results file, a model that `phone_results` lacks, or `folder` has files that belong to no
            model.
    """
    source = resolve_source(name)
    card = read_card(source)
    rows = read_rows(Path(results)) if results else []
    figures = [_summary(row) for row in rows if row.source == Path(card.parent).name]
    if phone_results:
        figures += _phone_figures(Path(phone_results), Path(source.name).name)
    details = {key: value for key, value in (("figures", figures), ("limits", limits)) if value}
    card = replace(card, name=new_name or card.name, details=card.details | details)
    save_model(load_model(source), folder, card, half=half, decoding=own_files(source.path))


def _phone_figures(path: Path, model: str) -> list[str]:
    """A line for each decoder and group of speakers, of all its languages."""
    measurements = [one for one in read_measurements(path) if one.model == model]
    if not measurements:
        raise InputError(f"{path}: has no errors of {model}; run stage `evaluate` of the recipe first")
    lines = []
    for measured in measurements:
        counts = Counter(row.group for row in measured.rows)
        for row in measured.rows:
            if row.language == ALL or counts[row.group] == 1:
                languages = row.name if row.language != ALL else f"{counts[row.group] - 1} languages"
                lines.append(
                    f"{row.group} ({languages}, {row.speakers} speakers; {measured.decoder}): PER {row.per} %, PFER {row.pfer} %"
                )
    return lines


def _summary(row: ResultRow) -> str:
    """One line for a model's card."""
    return (
        f"{row.split}: WER {row.wer:.1f} % [{row.wer_low:.1f}, {row.wer_high:.1f}], "
        f"CER {row.cer:.1f} % [{row.cer_low:.1f}, {row.cer_high:.1f}] ({row.name}, {row.decoder})"
    )
