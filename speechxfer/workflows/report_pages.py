"""The verb `report`: scores, training and errors of runs as one HTML page that opens from disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from speechxfer.adaptation import read_head_table
from speechxfer.checkpoints import Card, load_model, read_card
from speechxfer.data import Utterance, read_manifest
from speechxfer.decoding import score_hypotheses, transcribe
from speechxfer.errors import InputError, first_names
from speechxfer.reporting import Content, Run, choose_clips, make_clips, render_page, room_for_clips
from speechxfer.runtime import (
    check_not_input,
    default_device,
    format_duration,
    is_main_process,
    log_info,
    write_atomically,
)
from speechxfer.scoring import WerReport, align, check_same_task, count_errors, read_report
from speechxfer.training import read_metrics
from speechxfer.workflows.decoders import DecodingOptions, LanguageModelFiles, open_decoder
from speechxfer.workflows.learning_curves import read_curves
from speechxfer.workflows.run_inputs import trained_audio_options


@dataclass(frozen=True)
class PageOptions:
    """What a page shows besides the runs.

    Attributes:
        curve: error rates at several sizes of the training data, for the forecast: ``curve.tsv`` of `learning_curve`, or the
            ``results.json`` of a recipe.
        clips: how many utterances get audio and picture; half of them are those with the most errors. The page stays below
            20 MB, with fewer clips if need be.
        audio: False: pictures only.
    """

    curve: Path | None = None
    clips: int = 50
    audio: bool = True


def write_page(
    runs: Sequence[str],
    out: Path,
    *,
    manifest: Path | None = None,
    page: PageOptions | None = None,
    decoding: DecodingOptions | None = None,
    resample: bool | None = None,
    mono: bool | None = None,
) -> None:
    """Write one HTML page about one or several runs on the same utterances.

    What cannot be shown, such as the training curve of a model that is no run's folder, is stated on the page.

    Args:
        runs: models as for `load_model`, mostly folders of finished runs, which are scored on `manifest`; or the
            ``report.json`` of `evaluate`, or its folder, which have no training curve, head table or times of words.
        out: the HTML file.
        manifest: the utterances; needed for models, and for audio.
        page: curve and clips; None: the defaults.
        decoding: language models, phrases, phones; None: as for `evaluate_models`.
        resample, mono: permissions as in `read_audio`; None: as each model was trained.

    Raises:
        InputError: a model without a manifest, no such model or report, runs of different utterances, a manifest that
            differs from a report, or `out` is an input.

    >>> from pathlib import Path
    >>> from speechxfer.workflows import write_page
    >>> write_page(["english"], Path("report.html"), manifest=Path("data/test.jsonl"))
    """
    page, options = page or PageOptions(), decoding or DecodingOptions()
    check_not_input(out, [*map(Path, runs), *filter(None, (manifest, page.curve))])
    utterances = {one.id: one for one in read_manifest(manifest)} if manifest else {}
    curves = read_curves(page.curve) if page.curve else []
    files = LanguageModelFiles(options.language_models) if options.language_models else None
    scored = []
    for name in runs:
        report_json = _report_of(Path(name))
        if report_json:
            scored.append(_read_report(name, report_json, utterances))
        else:
            scored.append(_score_model(name, list(utterances.values()), resample, mono, options, files))
        check_same_task(scored[0].report, scored[-1].report)
    if not is_main_process():
        return
    title = first_names([run.name for run in scored], 3) + (f" on {manifest.name}" if manifest else "")
    content = Content(title, tuple(scored), utterances, curves=tuple(curves))
    content = _with_clips(content, page)
    html = render_page(content)
    write_atomically(out, html)
    log_info(f"wrote {out} ({len(html.encode()) / 1e6:.1f} MB, {len(content.clips)} clips)")


def _read_report(name: str, report_json: Path, utterances: Mapping[str, Utterance]) -> Run:
    report = read_report(report_json)
    _check_manifest(report, utterances, report_json)
    missing = ["a report.json has no training curve, head table, times or confidences; name the run's folder for these"]
    rows = report.utterances
    pairs = align([(row.normalized_reference, row.normalized_hypothesis) for row in rows], words=True)
    others = sum(count_errors(aligned) != row.words for aligned, row in zip(pairs, rows, strict=True))
    if others:  # a report of `speechxfer score` by sclite's conventions
        missing.append(f"the alignment of {others:,} utterances by which the report counts errors: it follows sclite's")
    return Run(name, report, missing=tuple(missing))


def _score_model(
    name: str,
    utterances: Sequence[Utterance],
    resample: bool | None,
    mono: bool | None,
    options: DecodingOptions,
    files: LanguageModelFiles | None,
) -> Run:
    """A model's hypotheses and scores, and of a run's folder its metrics and head table."""
    card = read_card(name)
    if not utterances:
        raise InputError(
            f"{name}: is a model, and no manifest is given to score it on; give --on MANIFEST, or a report.json"
        )
    model = load_model(name).to(default_device())
    audio = trained_audio_options(name, model.spec, resample, mono)
    inventory = options.phones.inventory_for(model, utterances, audio)
    decoder = open_decoder(name, model, options, inventory, files)
    hypotheses = transcribe(
        model, utterances, resample=audio.resample, mono=audio.mono, phones=inventory, decoder=decoder
    )
    report = score_hypotheses(model, utterances, hypotheses, inventory)
    report = replace(report, decoder=decoder.name) if decoder else report
    run = Run(name, report, hypotheses, facts=_facts(card))
    metrics, head = Path(name) / "metrics.jsonl", Path(name) / "head.tsv"
    if metrics.is_file():
        run = replace(run, metrics=tuple(read_metrics(metrics)))
    else:
        run = replace(run, missing=(*run.missing, f"no training curve: there is no {metrics}"))
    if head.is_file():
        return replace(run, head=read_head_table(head))
    return replace(run, missing=(*run.missing, f"no head table: there is no {head}"))


def _report_of(path: Path) -> Path | None:
    """The report that `path` names, itself or in its folder; None if it is a model."""
    if path.suffix == ".json":
        return path
    inside = path / "report.json"
    return inside if inside.is_file() and not (path / "run.json").exists() else None


def _check_manifest(report: WerReport, utterances: Mapping[str, Utterance], where: Path) -> None:
    """InputError unless the manifest, where there is one, has the report's utterances with their texts."""
    if not utterances:
        return
    rows = {row.id: row.reference for row in report.utterances}
    texts = {id_: utterance.text for id_, utterance in utterances.items()}
    differing = sorted(id_ for id_ in rows.keys() | texts.keys() if rows.get(id_) != texts.get(id_))
    if differing:
        raise InputError(
            f"{where}: {len(differing)} utterances are not those of the manifest, or have other texts there: "
            f"{first_names(differing)}; give the manifest that was scored"
        )


def _with_clips(content: Content, page: PageOptions) -> Content:
    """The content with clips, and the reasons for those that are missing."""
    if not content.utterances:
        return replace(content, missing=("no audio, pictures or durations: no manifest is given (--on MANIFEST)",))
    chosen = choose_clips(content.runs[0].report, page.clips)
    made = make_clips([content.utterances[id_] for id_ in chosen], room_for_clips(content), audio=page.audio)
    missing = []
    total = len(content.utterances)
    if not page.audio:
        missing.append("no audio, as asked for (--no-audio)")
    if len(made.clips) < total:
        what = "audio and pictures" if page.audio else "pictures"
        missing.append(
            f"{what} of {total - len(made.clips):,} of {total:,} utterances (--clips {total} embeds all that fit)"
        )
    if made.omitted:
        missing.append(f"{made.omitted} of {len(chosen)} clips, since the page would be larger than 20 MB")
    if made.unreadable:
        missing.append(f"clips of {len(made.unreadable)} utterances whose audio cannot be read: {made.unreadable[0]}")
    return replace(content, clips=made.clips, missing=tuple(missing))


def _facts(card: Card) -> tuple[tuple[str, str], ...]:
    """What a reader of the page asks about a model: source, language, licence, training and its cost."""
    details = card.details
    facts = {
        "Source": card.parent,
        "Language": card.language,
        "Licence": card.licence,
        "Training speech": f"{details['train_hours']:.2f} h" if _is_number(details.get("train_hours")) else "",
        "Steps": f"{details['steps']:,}" if _is_number(details.get("steps")) else "",
        "Time": format_duration(details["wall_s"]) if _is_number(details.get("wall_s")) else "",
        "Hardware": details.get("hardware", ""),
        "Commit, date": ", ".join(str(details[key]) for key in ("commit", "date") if details.get(key)),
        "Command": details.get("command", ""),
    }
    return tuple((name, str(value)) for name, value in facts.items() if value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
