"""Rows of a results file from models' cards and score reports."""

from collections.abc import Sequence
from pathlib import Path

from speechxfer.checkpoints import Card
from speechxfer.errors import InputError
from speechxfer.scoring import WerReport, pool
from speechxfer.workflows.results import ResultRow

ROW_DETAILS = ("train_hours", "seed", "steps", "command", "commit", "date", "hardware", "wall_s")


def training_cards(models: Sequence[str], cards: Sequence[Card]) -> Sequence[Card]:
    """The cards; InputError if one does not state how its model was trained, which a row of results needs."""
    for name, card in zip(models, cards, strict=True):
        missing = [key for key in ROW_DETAILS if key not in card.details]
        if missing:
            raise InputError(
                f"{name}: its card does not state {missing[0]!r}, which a row of results needs; "
                "name a model that `speechxfer train` or `adapt` made, or omit --results"
            )
    return cards


def row_key(cards: Sequence[Card], row: str) -> tuple[str, str, float]:
    """Name, source and training hours, by which a model's rows are found; InputError if the models differ in source."""
    sources = {card.parent for card in cards}
    if len(sources) > 1:
        raise InputError(
            f"models of several sources ({', '.join(sorted(sources))}) cannot share a row; score them separately"
        )
    return row or cards[0].name, Path(cards[0].parent).name, round(cards[0].details["train_hours"], 2)


def result_row(cards: Sequence[Card], reports: Sequence[WerReport], row: str, split: str) -> ResultRow:
    """The row of one model, or of one model with several seeds, whose rates are then pooled."""
    details = [card.details for card in cards]
    score = pool(reports) if len(reports) > 1 else reports[0]
    name, source, hours = row_key(cards, row)
    first = details[0]
    phones = reports[0].phones
    counts = None if len(reports) > 1 else reports[0].word_counts
    return ResultRow(
        name=name,
        source=source,
        train_hours=hours,
        split=split,
        decoder=f"greedy, {len(phones)} phones" if phones else "greedy",
        seeds=sorted({d["seed"] for d in details}),
        steps=first["steps"],
        wer=100 * score.wer,
        wer_low=100 * score.wer_interval[0],
        wer_high=100 * score.wer_interval[1],
        cer=100 * score.cer,
        cer_low=100 * score.cer_interval[0],
        cer_high=100 * score.cer_interval[1],
        command=first["command"],
        commit=first["commit"],
        date=first["date"],
        hardware=first["hardware"],
        wall_s=sum(d["wall_s"] for d in details),
        substitutions=counts.substitutions if counts else None,
        deletions=counts.deletions if counts else None,
        insertions=counts.insertions if counts else None,
        words=reports[0].words,
    )
