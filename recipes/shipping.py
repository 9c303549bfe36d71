"""Models for shipping: a copy of a model with its measured figures on its card."""

from dataclasses import replace
from pathlib import Path

from speechxfer.checkpoints import load_model, read_card, resolve_source, save_model
from speechxfer.workflows import ResultRow, read_rows


def copy_model(
    name: Path | str,
    folder: Path | str,
    *,
    new_name: str = "",
    half: bool = False,
    results: str = "",
    limits: str = "",
) -> None:
    """Save a model elsewhere with its card, under another name or in half precision for shipping.

    Args:
        name: the model, as for `load_model`.
        folder: where to.
        new_name: for the card; empty: its present one. A shipped model's name ends in a version, such as ``english-2``.
        half: write weights in float16.
        results: a results.json; its error rates go onto the card, except those of models made from another source.
        limits: what users must not expect of the model; goes onto the card.

    Raises:
        InputError: no such model or results file, or `folder` has files that belong to no model.
    """
    source = resolve_source(name)
    card = read_card(source)
    rows = read_rows(Path(results)) if results else []
    figures = [_summary(row) for row in rows if row.source == Path(card.parent).name]
    details = {key: value for key, value in (("figures", figures), ("limits", limits)) if value}
    card = replace(card, name=new_name or card.name, details=card.details | details)
    save_model(load_model(source), folder, card, half=half)


def _summary(row: ResultRow) -> str:
    """One line for a model's card."""
    return (
        f"{row.split}: WER {row.wer:.1f} % [{row.wer_low:.1f}, {row.wer_high:.1f}], "
        f"CER {row.cer:.1f} % [{row.cer_low:.1f}, {row.cer_high:.1f}] ({row.name}, {row.decoder})"
    )
