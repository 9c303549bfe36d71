"""Whole runs, one function per verb: train or adapt a model, evaluate models, transcribe files.

This is what the command line calls: it ties manifests, settings, model, training loop and files together. What it is
not: any of those. A run's folder holds ``run.json`` (what was asked), ``head.tsv`` (where each row of the head comes
from), ``metrics.jsonl``, ``state``, ``best``, ``lock`` and, at the end, ``model``.
"""

import datetime
import hashlib
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import soundfile
import torch

from speechxfer import __version__
from speechxfer.check import CheckReport, check_manifests, fix
from speechxfer.checkpoint import Card, find_model, load_model, read_card, save_model, save_pack, weights_hash
from speechxfer.config import Config, TransferConfig
from speechxfer.decode import evaluate, file_as_utterances, own_device, transcribe
from speechxfer.errors import InputError
from speechxfer.features import feature_preset, read_audio
from speechxfer.finetune import alone_in, finetune, training_cost
from speechxfer.foreign import is_foreign
from speechxfer.lora import with_lora
from speechxfer.manifest import Utterance, read_manifest, read_several, read_together, write_whole
from speechxfer.models import AcousticModel, Architecture
from speechxfer.progress import is_main_process, say
from speechxfer.report import (
    Forgetting,
    ResultRow,
    add_forgetting,
    add_row,
    commit,
    hardware,
    plot_curves,
    read_rows,
    render_results,
    rows_of_model,
)
from speechxfer.scoring import PooledScore, WerReport, pool
from speechxfer.text import Normalizer, Vocabulary, checked_letters
from speechxfer.transfer import (
    HeadRow,
    head_between,
    head_summary,
    head_table,
    plan_head,
    read_symbol_map,
    spelling_summary,
    transfer,
    with_new_layers,
)

PAUSE_BELOW_PEAK_DB = 35
ROW_DETAILS = ("train_hours", "seed", "steps", "command", "commit", "date", "hardware", "wall_s")


def check_run(
    manifests: Sequence[Path],
    config: Config,
    *,
    fix_dir: Path | None = None,
    model: str = "",
    flags: Sequence[str] = (),
) -> CheckReport:
    """Check manifests for what `config` would train, from random weights or from `model`; print what is found.

    With `fix_dir`, clean manifests are written there, and what they leave out is printed too. `flags` are the options of
    the command line that the commands suggested by the report have to repeat.

    Raises:
        InputError: a manifest cannot be opened, or `fix_dir` would overwrite one.
    """
    loaded = load_model(model) if model else None
    spec = loaded.spec if loaded else feature_preset(config.model.features)
    report = check_manifests(
        manifests,
        sample_rate_hz=spec.sample_rate_hz,
        subsampling=config.model.subsampling,
        frames_of_samples=spec.frames,
        encoder_frames=(lambda frames: int(loaded.output_lengths(torch.tensor(frames)))) if loaded else None,
        normalizer=normalizer_of(config),
        vocabulary_kind=config.text.vocabulary,
        bpe_size=config.text.bpe_size,
        classify=config.text.task == "classify",
        resample=config.data.resample,
        mono=config.data.mono,
        max_duration_s=config.data.max_duration_s,
        flags=flags,
    )
    print(report)
    if fix_dir:
        fix(report, fix_dir)
    return report


def normalizer_of(config: Config) -> Normalizer:
    """How transcripts are normalised, by the settings in [text]."""
    text = config.text
    return Normalizer(form=text.form, lowercase=text.lowercase, punctuation=text.punctuation)


def vocabulary_of(config: Config, utterances: Sequence[Utterance]) -> Vocabulary:
    """The symbols that these utterances' texts need, by the settings in [text]."""
    text = config.text
    vocabulary = Vocabulary.from_texts(
        (u.text for u in utterances), text.vocabulary, normalizer=normalizer_of(config), bpe_size=text.bpe_size
    )
    return replace(vocabulary, letters=read_letters(Path(text.letters))) if text.letters else vocabulary


def train_run(
    config: Config,
    train: Sequence[Path],
    dev: Sequence[Path],
    out: Path,
    *,
    source: str = "",
    language: str = "",
    licence: str = "",
) -> Path:
    """Train from random weights, or from `source` if one is named; resume or recognise what is already in `out`.

    Returns:
        The folder of the finished model.

    Raises:
        InputError: bad manifests, settings or source; or `out` holds a run with other settings or data, or another
            process trains there.
    """
    manifests = read_several(train)
    train_utterances, dev_utterances = [u for manifest in manifests for u in manifest], read_together(dev)
    replayed = read_together([Path(path) for path in config.transfer.source_manifests])
    if not source and config.transfer != TransferConfig():
        say("note: random weights are no transfer: the settings in [transfer] are not used")
    heard = _heard(manifests, config.data.repeats)
    asked = _asked(config, train, dev, source)
    if _is_finished(out, asked):
        say(f"{out / 'model'}: this run is already finished; nothing to do")
        return out / "model"
    language = language or train_utterances[0].lang
    pretrained = load_model(source) if source else None
    model, rows = _starting_model(config, train_utterances, pretrained, language)
    with alone_in(out):
        _write_once(out, asked, rows)
        say(
            f"{len(train_utterances)} training and {len(dev_utterances)} dev utterances, {_parameters(model):.2f} M parameters"
        )
        say(head_summary(rows) if rows else f"head: {len(model.vocabulary.symbols)} rows, all new")
        if pretrained and any(row.how in ("phone", "roman") for row in rows):
            say(f"{spelling_summary(pretrained.vocabulary.letters, language)} (see {out / 'head.tsv'})")
        finetune(
            model,
            heard,
            dev_utterances,
            config.finetune,
            out=out,
            data=config.data,
            transfer=config.transfer if source else TransferConfig(),
            source=pretrained,
            replayed=replayed,
        )
        if is_main_process():
            details = _details(config, train_utterances, dev_utterances, out)
            if source and is_foreign(source):
                details |= {f"source {key}": value for key, value in read_card(source)["details"].items()}
            card = Card(out.name, source, language, licence, details)
            _plot(out)
            if source and config.transfer.lora_rank:
                save_pack(model, out / "pack", card, base=source)
            save_model(model, out / "model", card)
    say(f"wrote {out / 'model'}; next: speechxfer evaluate {out} --on TEST.jsonl --out {out}/test")
    return out / "model"


def _heard(manifests: Sequence[Sequence[Utterance]], repeats: Sequence[int]) -> list[Utterance]:
    """What one pass over the training data hears: every manifest, as often as `data.repeats` says."""
    if repeats and len(repeats) != len(manifests):
        raise InputError(
            f"data.repeats has {len(repeats)} numbers for {len(manifests)} training manifests; give one for each, in their "
            "order"
        )
    times = repeats or [1] * len(manifests)
    return [u for manifest, often in zip(manifests, times, strict=True) for _ in range(often) for u in manifest]


def _asked(config: Config, train: Sequence[Path], dev: Sequence[Path], source: str) -> dict[str, Any]:
    return {
        "config": config.model_dump(mode="json"),
        "train": [hashlib.sha256(path.read_bytes()).hexdigest() for path in train],
        "dev": [hashlib.sha256(path.read_bytes()).hexdigest() for path in dev],
        "source": source and weights_hash(source),
        "source_data": [
            hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in config.transfer.source_manifests
        ],
    }


def _is_finished(out: Path, asked: dict[str, Any]) -> bool:
    """Whether `out` holds this very run, finished; InputError if it holds another one."""
    path = out / "run.json"
    begun = (out / "state" / "current.json").exists() or (out / "model" / "model.json").exists()
    if begun and not path.exists():
        raise InputError(
            f"{out}: holds a model or a run, but no run.json that says what it learned from; choose another --out, so that it "
            "is not lost"
        )
    if not begun:
        return False  # a start that failed or was stopped before anything was learned holds nothing to lose
    try:
        since_added = _flat(
            {"config": Config().model_dump(mode="json"), "source_data": []}
        )  # an older run had these at their defaults
        earlier = since_added | _flat(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, AttributeError) as error:
        raise InputError(f"{path}: damaged ({error}); choose another --out, or delete that folder") from error
    differing = [key for key, value in _flat(asked).items() if earlier.get(key) != value]
    if differing:
        raise InputError(
            f"{out}: holds a run with other settings or data ({', '.join(differing[:5])} differ); choose another --out, "
            "or delete that folder to start anew"
        )
    return (out / "model" / "model.json").exists()


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _starting_model(
    config: Config, train: Sequence[Utterance], pretrained: AcousticModel | None, language: str
) -> tuple[AcousticModel, tuple[HeadRow, ...]]:
    normalizer, vocabulary, task = normalizer_of(config), vocabulary_of(config, train), config.text.task
    if pretrained is None:
        torch.manual_seed(config.finetune.seed)
        architecture = Architecture(
            config.model.encoder, config.model.size, config.model.subsampling, config.model.dropout
        )
        return AcousticModel(architecture, vocabulary, feature_preset(config.model.features), normalizer, task), ()
    symbol_map = read_symbol_map(config.transfer.symbol_map) if config.transfer.symbol_map else None
    head = head_between(pretrained, task, config.transfer.head, symbol_map)
    rows = plan_head(pretrained.vocabulary, vocabulary, symbol_map, language, head=head)
    model = transfer(
        pretrained,
        vocabulary,
        head=head,
        symbol_map=symbol_map,
        language=language,
        normalizer=normalizer,
        task=task,
        dropout=config.model.dropout,
        seed=config.finetune.seed,
    )
    settings = config.transfer
    if settings.adapter_dim or settings.extra_layers:
        model = with_new_layers(
            model,
            adapter_dim=settings.adapter_dim,
            extra_layers=settings.extra_layers,
            seed=config.finetune.seed,
        )
    if settings.lora_rank:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.finetune.seed)
            model = with_lora(model, settings.lora_rank, settings.lora_alpha)
    return model, rows


def read_letters(path: Path) -> dict[str, dict[str, str]]:
    """The JSON file that `text.letters` names: language to letter to phone; InputError if it is missing or damaged."""
    try:
        return checked_letters(json.loads(path.read_text(encoding="utf-8-sig")))
    except (OSError, ValueError, InputError) as error:
        raise InputError(f"{path}: no letter tables ({error}); write them anew, or leave text.letters empty") from error


def _write_once(out: Path, asked: dict[str, Any], rows: Sequence[HeadRow]) -> None:
    if not is_main_process():
        return
    if rows:
        write_whole(out / "head.tsv", head_table(rows))
    write_whole(out / "run.json", json.dumps(asked, indent=1) + "\n")


def _parameters(model: torch.nn.Module) -> float:
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


def _details(config: Config, train: Sequence[Utterance], dev: Sequence[Utterance], out: Path) -> dict[str, Any]:
    steps, wall_s = training_cost(out)
    return {
        "train_utterances": len(train),
        "train_hours": round(sum(u.duration for u in train) / 3600, 3),
        "train_languages": " ".join(sorted({u.lang or "not stated" for u in train})),
        "dev_hours": round(sum(u.duration for u in dev) / 3600, 3),
        "steps": steps,
        "seed": config.finetune.seed,
        "config": config.model_dump(mode="json"),
        "command": command_line(),
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
        "hardware": hardware(),
        "wall_s": round(wall_s, 1),
        "version": __version__,
    }


def command_line() -> str:
    """The command that is running, as one would type it."""
    arguments = [Path(sys.argv[0]).name, *sys.argv[1:]]
    if arguments[0] == "__main__.py":
        arguments[0] = "speechxfer"
    return shlex.join(arguments)


def _plot(out: Path) -> None:
    try:
        plot_curves(out / "metrics.jsonl", out / "curves.png")
    except InputError as error:
        say(f"no curves.png: {error}")


def evaluate_run(
    models: Sequence[str],
    manifest: Path,
    out: Path,
    *,
    resample: bool = False,
    mono: bool = False,
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
        report = evaluate(scored.to(own_device()), utterances, resample=resample, mono=mono)
        folder = out if len(models) == 1 else out / str(number)
        if is_main_process():
            _write_report(report, folder)
        reports.append(report)
    summary = reports[0] if len(reports) == 1 else pool(reports)
    before = None
    if results and as_parent:
        before = evaluate(load_model(cards[0]["parent"]).to(own_device()), utterances, resample=resample, mono=mono)
    if results and of_model and is_main_process():
        if before:
            add_forgetting(results, *of_model, _forgetting(before, summary, split or manifest.stem))
        else:
            add_row(results, _result_row(cards, reports, row, split or manifest.stem))
        render_results(results, results.with_name("RESULTS.md"))
    say(f"wrote {out}" + (f" and a row of {results}" if results else ""))
    return summary


def record(results: Path, models: Sequence[str], report: WerReport, row: str, split: str) -> None:
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
    (folder / "report.txt").write_text(report.text(), encoding="utf-8")


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
    name: str, inputs: Sequence[Path], *, resample: bool = False, mono: bool = False
) -> list[tuple[str, str]]:
    """(id, text) for each utterance of the manifests (.jsonl) and each piece of the audio files among `inputs`."""
    model = load_model(name).to(own_device())
    utterances: list[Utterance] = []
    for path in inputs:
        utterances += (
            read_manifest(path) if path.suffix == ".jsonl" else _pieces(path, model, resample=resample, mono=mono)
        )
    hypotheses = transcribe(model, utterances, resample=resample, mono=mono)
    return [(utterance.id, hypotheses[utterance.id].text) for utterance in utterances]


def _pieces(path: Path, model: AcousticModel, *, resample: bool, mono: bool) -> list[Utterance]:
    """A recording cut at its pauses (librosa's energy rule)."""
    import librosa

    rate = model.spec.sample_rate_hz
    samples = read_audio(path, sample_rate_hz=rate, resample=resample, mono=mono)
    speech = librosa.effects.split(samples, top_db=PAUSE_BELOW_PEAK_DB)
    pauses = [(float(end) / rate, float(start) / rate) for (_, end), (start, _) in pairwise(speech)]
    info = soundfile.info(str(path))  # of resampled samples the last one may lie beyond the end of the file
    return file_as_utterances(path, duration_s=info.frames / info.samplerate, pauses_s=pauses)


def describe(name: str) -> str:
    """The card of a model as readable text."""
    card, model = read_card(name), load_model(name)
    encoder = model.architecture
    lines = [
        f"{card['name'] or name}: {find_model(name)}",
        f"language: {card['language'] or 'not stated'}; parent: {card['parent'] or 'none'}",
        f"licence: {card['licence'] or 'not stated'}",
        f"encoder: {encoder.encoder} {encoder.size}, subsampling {encoder.subsampling}, "
        f"{_parameters(model):.2f} M parameters; task {model.task}",
        f"features: {model.spec.name} version {model.spec.version}, {model.spec.dim} values every "
        f"{1000 / model.spec.frames_per_s:g} ms at {model.spec.sample_rate_hz} Hz",
        f"symbols ({len(model.vocabulary.symbols)}, {model.vocabulary.kind}): {' '.join(model.vocabulary.symbols)[:400]}",
    ]
    for key, value in card["details"].items():
        if key != "config":
            lines += [f"{key}: {one}" for one in (value if isinstance(value, list) else [value])]
    return "\n".join(lines)
