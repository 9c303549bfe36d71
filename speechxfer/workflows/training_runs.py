"""Whole runs, one function per verb: train or adapt a model, evaluate models, transcribe files.

This is what the command line calls: it ties manifests, settings, model, training loop and files together. What it is
not: any of those. A run's folder holds ``run.json`` (what was asked), ``head.tsv`` (where each row of the head comes
from), ``metrics.jsonl``, ``state``, ``best``, ``lock`` and, at the end, ``model``.
"""

import datetime
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from speechxfer import __version__
from speechxfer.adaptation import (
    HeadRow,
    head_mode_between_tasks,
    head_summary,
    head_table,
    plan_head,
    read_symbol_map,
    transfer,
    with_new_layers,
)
from speechxfer.checkpoints import Card, is_external, load_model, read_card, save_model, save_pack, weights_hash
from speechxfer.config import Config, TransferConfig
from speechxfer.data import Utterance, read_concatenated, read_manifests
from speechxfer.errors import InputError
from speechxfer.features import feature_preset
from speechxfer.models import AcousticModel, Architecture, with_lora
from speechxfer.runtime import command_line, commit, hardware, is_main_process, log_info, run_lock, write_atomically
from speechxfer.text import letter_table_summary
from speechxfer.training import finetune, training_cost
from speechxfer.workflows.plots import plot_curves
from speechxfer.workflows.settings import normalizer_of, vocabulary_of


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
    manifests = read_manifests(train)
    train_utterances, dev_utterances = [u for manifest in manifests for u in manifest], read_concatenated(dev)
    source_data = read_concatenated([Path(path) for path in config.finetune.source_manifests])
    if not source and config.transfer != TransferConfig():
        raise InputError("the settings in [transfer] need a source model; remove them, or use `adapt`")
    heard = _repeat_manifests(manifests, config.data.repeats)
    asked = _requested_run(config, train, dev, source)
    if _is_finished(out, asked):
        log_info(f"{out / 'model'}: this run is already finished; nothing to do")
        return out / "model"
    language = language or train_utterances[0].lang
    pretrained = load_model(source) if source else None
    model, rows = _starting_model(config, train_utterances, pretrained, language)
    with run_lock(out):
        _write_once(out, asked, rows)
        log_info(
            f"{len(train_utterances)} training and {len(dev_utterances)} dev utterances, {millions_of_parameters(model):.2f} M parameters"
        )
        log_info(head_summary(rows) if rows else f"head: {len(model.vocabulary.symbols)} rows, all new")
        if pretrained and any(row.how in ("phone", "roman") for row in rows):
            log_info(f"{letter_table_summary(pretrained.vocabulary.letters, language)} (see {out / 'head.tsv'})")
        finetune(
            model,
            heard,
            dev_utterances,
            config.finetune,
            out=out,
            data=config.data,
            source_data=source_data,
        )
        if is_main_process():
            details = _details(config, train_utterances, dev_utterances, out)
            if source and is_external(source):
                details |= {f"source {key}": value for key, value in read_card(source)["details"].items()}
            card = Card(out.name, source, language, licence, details)
            _plot(out)
            if source and config.transfer.lora_rank:
                save_pack(model, out / "pack", card, base=source)
            save_model(model, out / "model", card)
    log_info(f"wrote {out / 'model'}; next: speechxfer evaluate {out} --on TEST.jsonl --out {out}/test")
    return out / "model"


def _repeat_manifests(manifests: Sequence[Sequence[Utterance]], repeats: Sequence[int]) -> list[Utterance]:
    """What one pass over the training data hears: every manifest, as often as `data.repeats` says."""
    if repeats and len(repeats) != len(manifests):
        raise InputError(
            f"data.repeats has {len(repeats)} numbers for {len(manifests)} training manifests; give one for each, in their "
            "order"
        )
    times = repeats or [1] * len(manifests)
    return [u for manifest, often in zip(manifests, times, strict=True) for _ in range(often) for u in manifest]


def _requested_run(config: Config, train: Sequence[Path], dev: Sequence[Path], source: str) -> dict[str, Any]:
    return {
        "config": config.model_dump(mode="json"),
        "train": [hashlib.sha256(path.read_bytes()).hexdigest() for path in train],
        "dev": [hashlib.sha256(path.read_bytes()).hexdigest() for path in dev],
        "source": source and weights_hash(source),
        "source_data": [
            hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in config.finetune.source_manifests
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
    head = head_mode_between_tasks(pretrained, task, config.transfer.head, symbol_map)
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
            model = with_lora(model, settings.lora_rank)
    return model, rows


def _write_once(out: Path, asked: dict[str, Any], rows: Sequence[HeadRow]) -> None:
    if not is_main_process():
        return
    if rows:
        write_atomically(out / "head.tsv", head_table(rows))
    write_atomically(out / "run.json", json.dumps(asked, indent=1) + "\n")


def millions_of_parameters(model: torch.nn.Module) -> float:
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


def _plot(out: Path) -> None:
    try:
        plot_curves(out / "metrics.jsonl", out / "curves.png")
    except InputError as error:
        log_info(f"no curves.png: {error}")
