"""The verb `evaluate`: error rates of one model, or of one model trained with several seeds, as reports and rows of results."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from speechxfer.checkpoints import Card, load_model, read_card
from speechxfer.config import Config
from speechxfer.data import read_manifest
from speechxfer.decoding import evaluate
from speechxfer.errors import InputError
from speechxfer.runtime import default_device, is_main_process, log_info, write_atomically
from speechxfer.scoring import PooledScore, WerReport, pool, render_report
from speechxfer.training import RESOLVED_SETTINGS
from speechxfer.workflows.decoders import DecodingOptions, LanguageModelFiles, open_decoder
from speechxfer.workflows.results import Forgetting, ResultRow, add_forgetting, add_row, read_rows, rows_of_model
from speechxfer.workflows.run_inputs import trained_audio_options

Score = WerReport | PooledScore
ROW_DETAILS = ("train_hours", "seed", "steps", "command", "commit", "date", "hardware", "wall_s")


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
    out: Path | None = None,
    *,
    resample: bool | None = None,
    mono: bool | None = None,
    results: RowTarget | None = None,
    as_parent: bool = False,
    decoding: DecodingOptions | None = None,
) -> Score:
    """Score one model, or the same model trained with several seeds, on a manifest.

    Writes ``report.json`` and ``report.txt`` to `out`, if given; for several models to numbered folders in it.

    Args:
        models: names as for `load_model`; several have to differ in nothing but the seed.
        resample, mono: permissions as in `read_audio`; None: as each model was trained.
        results: also add a row to this results file.
        as_parent: the manifest is of the source's own task; score the adapted encoder with the source's output layer, which
            shows what was forgotten. With `results`, error rates before and after are added to the model's existing rows.
        decoding: language models, phrases, phones; None: the language models of each model's own training transcripts, if it
            has any, else greedy decoding. Recorded in the report.

    Raises:
        InputError: bad manifest or model, models that are not one model with several seeds, a model without a training
            record where `results` are asked for, no row to add forgetting to, or phones, language models or phrases that do not
            suit a model or are given with `as_parent`.
    """
    options = decoding or DecodingOptions()
    if as_parent and (options.phones or options.searches):
        raise InputError(
            "--as-parent measures forgetting with all symbols of the source and greedy decoding; omit --phones, --language, "
            "--lm, --beam and --boost"
        )
    if as_parent:
        options = DecodingOptions(language_models=())
    utterances = read_manifest(manifest)
    cards = check_same_training(models)
    _check_same_decoding(models, options)
    if results:
        _check_recordable(models, cards, results, as_parent)
    files = LanguageModelFiles(options.language_models) if options.language_models else None
    reports = []
    for number, name in enumerate(models, start=1):
        model = load_model(name)
        audio = trained_audio_options(name, model.spec, resample, mono)
        scored = model.as_parent() if as_parent else model
        scored = scored.to(default_device())
        inventory = options.phones.inventory_for(scored, utterances, audio)
        decoder = open_decoder(name, scored, options, inventory, files)
        report = evaluate(
            scored, utterances, resample=audio.resample, mono=audio.mono, phones=inventory, decoder=decoder
        )
        report = replace(report, decoder=decoder.name) if decoder else report
        if out and is_main_process():
            folder = out if len(models) == 1 else out / str(number)
            write_atomically(folder / "report.json", report.to_json())
            write_atomically(folder / "report.txt", render_report(report))
        reports.append(report)
    summary = reports[0] if len(reports) == 1 else pool(reports)
    if results:
        split, before = results.split or manifest.stem, None
        if as_parent:
            source = load_model(cards[0].parent).to(default_device())
            before = evaluate(source, utterances, resample=audio.resample, mono=audio.mono)
        if is_main_process():
            _record(RowTarget(results.path, results.row, split), cards, summary, before, reports[0])
    written = [*([str(out)] if out else []), *([f"a row of {results.path}"] if results else [])]
    if written:
        log_info(f"wrote {' and '.join(written)}")
    return summary


def _check_same_decoding(models: Sequence[str], options: DecodingOptions) -> None:
    """InputError if some of the models have language models of their own and some have none, so that they cannot be pooled."""
    having = [name for name in models if options.for_model(name).language_models]
    if having and len(having) < len(models):
        other = next(name for name in models if name not in having)
        raise InputError(
            f"{having[0]} decodes with language models of its transcripts and {other} has none, so their scores cannot be "
            "pooled; give --no-lm, or --lm for all"
        )


def check_same_training(models: Sequence[str]) -> list[Card]:
    """The models' cards; InputError if several differ in anything but the seed: source, data or settings."""
    cards = [read_card(name) for name in models]
    if len(models) == 1:
        return cards
    first = _training(models[0], cards[0])
    for name, card in zip(models[1:], cards[1:], strict=True):
        training = _training(name, card)
        differing = [key for key in first | training if training.get(key) != first.get(key)]
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
    return cards


def _training(name: str, card: Card) -> dict[str, Any]:
    """What a model was trained on and how, but for the seed; a setting that the card lacks was added later: its default."""
    details, config = card.details, card.details.get("config")
    if not isinstance(config, dict) or not all(isinstance(values, dict) for values in config.values()):
        raise InputError(
            f"{name}: its card does not state how it was trained, so it cannot be pooled; evaluate it separately"
        )
    settings = {
        f"{section}.{key}": value
        for section, values in (*Config().model_dump(mode="json").items(), *config.items())
        for key, value in values.items()
        if (section, key) != ("finetune", "seed")
    }
    resolved = {f"finetune.{key}": details[key] for key in RESOLVED_SETTINGS if key in details}
    data = {key: details.get(key) for key in ("train_utterances", "train_hours", "train_data", "dev_hours")}
    return {"source": card.parent, **data, **settings, **resolved}


def _check_recordable(models: Sequence[str], cards: Sequence[Card], results: RowTarget, as_parent: bool) -> None:
    """Raise before decoding what would fail after it."""
    _check_training_record(models, cards)
    if as_parent:
        rows_of_model(results.path, *_row_key(cards, results.row))
    elif results.path.exists():
        read_rows(results.path)


def _check_training_record(models: Sequence[str], cards: Sequence[Card]) -> None:
    for name, card in zip(models, cards, strict=True):
        missing = [key for key in ROW_DETAILS if key not in card.details]
        if missing:
            raise InputError(
                f"{name}: its card does not state {missing[0]!r}, which a row of results needs; "
                "name a model that `speechxfer train` or `adapt` made, or omit --results"
            )


def record_pooled_row(models: Sequence[str], report: WerReport, results: RowTarget) -> None:
    """Add a row for models that share one report, as the folds of a cross-validation do."""
    cards = [read_card(name) for name in models]
    _check_training_record(models, cards)
    _record(results, cards, report, None, report)


def _record(
    results: RowTarget,
    cards: Sequence[Card],
    score: Score,
    before: WerReport | None,
    first_report: WerReport,
) -> None:
    """Add a row with the score or, where there is a report of the source, what was forgotten, to the model's rows.

    The first report states the decoder and the phones.
    """
    name, source, hours = _row_key(cards, results.row)
    if before:
        rates = (before.wer, score.wer, before.cer, score.cer)
        forgetting = Forgetting(results.split, *(round(100 * rate, 2) for rate in rates))
        add_forgetting(results.path, name, source, hours, forgetting)
        return
    details = [card.details for card in cards]
    first = details[0]
    counts = score.word_counts if isinstance(score, WerReport) else None
    row = ResultRow(
        name=name,
        source=source,
        train_hours=hours,
        split=results.split,
        decoder=first_report.decoder + (f", phones {' '.join(first_report.phones)}" if first_report.phones else ""),
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
        words=score.words,
        precision=first.get("precision"),
    )
    add_row(results.path, row)


def _row_key(cards: Sequence[Card], row: str) -> tuple[str, str, float]:
    """Name, source and training hours, by which a model's rows are found; InputError if the models differ in source."""
    sources = {card.parent for card in cards}
    if len(sources) > 1:
        raise InputError(
            f"models of several sources ({', '.join(sorted(sources))}) cannot share a row; score them separately"
        )
    return row or cards[0].name, Path(cards[0].parent).name, round(cards[0].details["train_hours"], 2)
