"""The verbs `evaluate` and `transcribe`: scores of one model or of several seeds, transcripts of files and manifests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speechxfer.checkpoints import load_model, read_card
from speechxfer.data import Utterance, read_manifest
from speechxfer.decoding import evaluate, split_at_pauses, transcribe
from speechxfer.errors import InputError
from speechxfer.runtime import default_device, is_main_process, log_info
from speechxfer.scoring import PooledScore, WerReport, pool, render_report
from speechxfer.workflows.audio_flags import resolve_audio_flags
from speechxfer.workflows.results import Forgetting, ResultRow, add_forgetting, add_row, read_rows, rows_of_model
from speechxfer.workflows.results_pages import render_results

ROW_DETAILS = ("train_hours", "seed", "steps", "command", "commit", "date", "hardware", "wall_s")


def evaluate_run(
    models: Sequence[str],
    manifest: Path,
    out: Path,
    *,
    resample: bool | None = None,
    mono: bool | None = None,
    results: Path | None = None,
    row: str = "",
    split: str = "",
    as_parent: bool = False,
) -> WerReport | PooledScore:
    """Score one model, or the same model trained with several seeds, on a manifest; write everything to `out`.

    Files: per model ``report.json`` and ``report.txt`` (in a numbered folder where there are several). With `results`,
    also a row (`row`, `split`) in that results.json, and the RESULTS.md beside it.

    With `as_parent` the manifest is of the source's own task, scored by the adapted encoder under the source's head, which
    tells what was forgotten; with `results`, rates before and after then go into the rows that the model already has.
    """
    utterances = read_manifest(manifest)
    cards = _cards_of_runs(models) if results else []
    of_model = _row_of_model(cards, row) if cards else None
    if results and of_model and as_parent:
        rows_of_model(results, *of_model)  # what would fail after decoding fails before it
    elif results and results.exists():
        read_rows(results)
    if is_main_process():
        out.mkdir(parents=True, exist_ok=True)
    reports = []
    for number, name in enumerate(models, start=1):
        model = load_model(name)
        scored = model.as_parent() if as_parent else model
        flags = resolve_audio_flags(name, resample, mono)
        report = evaluate(scored.to(default_device()), utterances, **flags)
        folder = out if len(models) == 1 else out / str(number)
        if is_main_process():
            _write_report(report, folder)
        reports.append(report)
    summary = reports[0] if len(reports) == 1 else pool(reports)
    before = None
    if results and as_parent:
        flags = resolve_audio_flags(models[0], resample, mono)
        before = evaluate(load_model(cards[0]["parent"]).to(default_device()), utterances, **flags)
    if results and of_model and is_main_process():
        if before:
            add_forgetting(results, *of_model, _forgetting(before, summary, split or manifest.stem))
        else:
            add_row(results, _result_row(cards, reports, row, split or manifest.stem))
        render_results(results, results.with_name("RESULTS.md"))
    log_info(f"wrote {out}" + (f" and a row of {results}" if results else ""))
    return summary


def record_pooled_row(results: Path, models: Sequence[str], report: WerReport, row: str, split: str) -> None:
    """A row of results.json for models that share one report, as the folds of a cross-validation do; renders the page."""
    add_row(results, _result_row(_cards_of_runs(models), [report], row, split))
    render_results(results, results.with_name("RESULTS.md"))


def _row_of_model(cards: Sequence[dict[str, Any]], row: str) -> tuple[str, str, float]:
    """Name, source and training hours by which a model's rows are found; InputError if the seeds differ in source."""
    parents = {card["parent"] for card in cards}
    if len(parents) > 1:
        raise InputError(f"models of several sources ({', '.join(sorted(parents))}) make no one row; score them apart")
    return row or cards[0]["name"], Path(cards[0]["parent"]).name, round(cards[0]["details"]["train_hours"], 2)


def _forgetting(before: WerReport, after: WerReport | PooledScore, split: str) -> Forgetting:
    rates = (before.wer, after.wer, before.cer, after.cer)
    return Forgetting(split, *(round(100 * rate, 2) for rate in rates))


def _write_report(report: WerReport, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(report.to_json(), encoding="utf-8")
    (folder / "report.txt").write_text(render_report(report), encoding="utf-8")


def _cards_of_runs(models: Sequence[str]) -> list[dict[str, Any]]:
    """The models' cards; InputError if one does not say how its model was trained, which a row of results must."""
    cards = [read_card(name) for name in models]
    for name, card in zip(models, cards, strict=True):
        missing = [key for key in ROW_DETAILS if key not in card["details"]]
        if missing:
            raise InputError(
                f"{name}: its card does not state {missing[0]!r}, which a row of results needs; "
                "name a model that `speechxfer train` or `adapt` made, or leave out --results"
            )
    return cards


def _result_row(cards: Sequence[dict[str, Any]], reports: Sequence[WerReport], row: str, split: str) -> ResultRow:
    details = [card["details"] for card in cards]
    score = pool(reports) if len(reports) > 1 else reports[0]
    name, source, hours = _row_of_model(cards, row)
    first = details[0]
    counts = [report.word_counts for report in reports]
    several = len(reports) > 1
    return ResultRow(
        name=name,
        source=source,
        train_hours=hours,
        split=split,
        decoder="greedy",
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
        sub=None if several else counts[0].substitutions,
        del_=None if several else counts[0].deletions,
        ins=None if several else counts[0].insertions,
        words=reports[0].words,
    )


def transcribe_run(
    name: str, inputs: Sequence[Path], *, resample: bool | None = None, mono: bool | None = None
) -> list[tuple[str, str]]:
    """(id, text) for each utterance of the manifests (.jsonl) and each piece of the audio files among `inputs`."""
    model, flags = load_model(name).to(default_device()), resolve_audio_flags(name, resample, mono)
    utterances: list[Utterance] = []
    for path in inputs:
        utterances += read_manifest(path) if path.suffix == ".jsonl" else split_at_pauses(path, model, **flags)
    hypotheses = transcribe(model, utterances, **flags)
    return [(utterance.id, hypotheses[utterance.id].text) for utterance in utterances]
