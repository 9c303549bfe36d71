"""The verb `evaluate`: error rates of one model, or of one model trained with several seeds, as reports and rows of results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechxfer.checkpoints import Card, load_model, read_card
from speechxfer.data import Utterance, read_manifest
from speechxfer.decoding import evaluate
from speechxfer.errors import InputError
from speechxfer.features import AudioOptions
from speechxfer.runtime import default_device, is_main_process, log_info, write_atomically
from speechxfer.scoring import PooledScore, WerReport, pool, render_report
from speechxfer.workflows.audio_permissions import trained_audio_options
from speechxfer.workflows.results import Forgetting, add_forgetting, add_row, read_rows, rows_of_model
from speechxfer.workflows.row_building import result_row, row_key, training_cards

Score = WerReport | PooledScore


@dataclass(frozen=True)
class RowTarget:
    """Where a score is recorded: a results file, the name of the row and of the split.

    Attributes:
        path: the ``results.json``.
        row: name of the row, such as scratch or finetuned; empty: the model's name.
        split: name of what was scored; empty: the manifest's name.
    """

    path: Path
    row: str = ""
    split: str = ""


def evaluate_models(
    models: Sequence[str],
    manifest: Path,
    out: Path,
    *,
    resample: bool | None = None,
    mono: bool | None = None,
    results: RowTarget | None = None,
    as_parent: bool = False,
) -> Score:
    """Score one model, or the same model trained with several seeds, on a manifest.

    Writes ``report.json`` and ``report.txt`` to `out`, for several models to numbered folders in it.

    Args:
        models: names as for `load_model`; several have to differ in nothing but the seed.
        resample, mono: permissions as in `read_audio`; None: as each model was trained.
        results: also add a row to this results file.
        as_parent: the manifest is of the source's own task; score the adapted encoder with the source's output layer, which
            shows what was forgotten. With `results`, error rates before and after are added to the model's existing rows.

    Raises:
        InputError: bad manifest or model, models that are not one model with several seeds, a model without a training
            record where `results` are asked for, or no row to add forgetting to.
    """
    utterances = read_manifest(manifest)
    cards = [read_card(name) for name in models]
    if len(models) > 1:
        check_same_training(models, cards)
    if results:
        _check_recordable(models, cards, results, as_parent)
    reports = []
    for number, name in enumerate(models, start=1):
        model = load_model(name)
        audio = trained_audio_options(name, model.spec, resample, mono)
        scored = model.as_parent() if as_parent else model
        report = evaluate(scored.to(default_device()), utterances, resample=audio.resample, mono=audio.mono)
        if is_main_process():
            _write_report(report, out if len(models) == 1 else out / str(number))
        reports.append(report)
    summary = reports[0] if len(reports) == 1 else pool(reports)
    if results:
        _record(
            results, cards, reports, summary, _score_source(cards, utterances, audio) if as_parent else None, manifest
        )
    log_info(f"wrote {out}" + (f" and a row of {results.path}" if results else ""))
    return summary


def check_same_training(models: Sequence[str], cards: Sequence[Card]) -> None:
    """InputError unless the models differ in the seed and in nothing else: same source, data and settings."""
    first = _training(models[0], cards[0])
    for name, card in zip(models[1:], cards[1:], strict=True):
        training = _training(name, card)
        differing = [key for key in first if training[key] != first[key]]
        if differing:
            raise InputError(
                f"{models[0]} and {name} are not one model with several seeds ({', '.join(differing)} differ); evaluate them "
                "separately, and compare their reports with `speechxfer compare`"
            )
    seeds = [card.details["config"].get("finetune", {}).get("seed") for card in cards]
    repeated = next((number for number, seed in enumerate(seeds) if seed in seeds[:number]), None)
    if repeated is not None:
        first_of_seed = models[seeds.index(seeds[repeated])]
        raise InputError(
            f"{first_of_seed} and {models[repeated]} were trained with the same seed ({seeds[repeated]}), so they show no spread "
            "between seeds; name each model once, or train with another finetune.seed"
        )


def _training(name: str, card: Card) -> dict[str, Any]:
    """What a model was trained on and how, but for the seed."""
    details = card.details
    if not isinstance(details.get("config"), dict):
        raise InputError(
            f"{name}: its card does not state how it was trained, so it cannot be pooled; evaluate it separately"
        )
    settings = {
        f"{section}.{key}": value
        for section, values in details["config"].items()
        for key, value in values.items()
        if (section, key) != ("finetune", "seed")
    }
    data = {key: details.get(key) for key in ("train_utterances", "train_hours", "train_data", "dev_hours")}
    return {"source": card.parent, **data, **settings}


def _check_recordable(models: Sequence[str], cards: Sequence[Card], results: RowTarget, as_parent: bool) -> None:
    """Raise before decoding what would fail after it."""
    training_cards(models, cards)
    if as_parent:
        rows_of_model(results.path, *row_key(cards, results.row))
    elif results.path.exists():
        read_rows(results.path)


def _score_source(cards: Sequence[Card], utterances: Sequence[Utterance], audio: AudioOptions) -> WerReport:
    source = load_model(cards[0].parent).to(default_device())
    return evaluate(source, utterances, resample=audio.resample, mono=audio.mono)


def _record(
    results: RowTarget,
    cards: Sequence[Card],
    reports: Sequence[WerReport],
    summary: Score,
    before: WerReport | None,
    manifest: Path,
) -> None:
    if not is_main_process():
        return
    split = results.split or manifest.stem
    if before:
        rates = (before.wer, summary.wer, before.cer, summary.cer)
        forgetting = Forgetting(split, *(round(100 * rate, 2) for rate in rates))
        add_forgetting(results.path, *row_key(cards, results.row), forgetting)
    else:
        add_row(results.path, result_row(cards, reports, results.row, split))


def record_pooled_row(models: Sequence[str], report: WerReport, results: RowTarget) -> None:
    """Add a row for models that share one report, as the folds of a cross-validation do."""
    cards = training_cards(models, [read_card(name) for name in models])
    add_row(results.path, result_row(cards, [report], results.row, results.split))


def _write_report(report: WerReport, folder: Path) -> None:
    write_atomically(folder / "report.json", report.to_json())
    write_atomically(folder / "report.txt", render_report(report))
