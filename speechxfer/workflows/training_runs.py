"""Training runs: adapt a source model to a new language or vocabulary, or train from random weights.

`adapt` and `train_from_scratch` are what the command line and Python call, with the same defaults. A run's folder contains
``run.json`` (the fingerprint of the request), ``train_ids.txt``, ``head.tsv`` (how each row of the output layer was initialised),
``metrics.jsonl``, ``state`` (for resuming), ``best`` (the best evaluations' weights), ``lock`` and, at the end, ``model``, with
language models of the transcripts.
"""

import datetime
import hashlib
import json
import shlex
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import wait_for_everyone

from speechxfer import __version__
from speechxfer.adaptation import HeadRow, HeadTable, read_head_table, read_symbol_map, transfer, with_new_layers
from speechxfer.checkpoints import Card, Source, load_model, read_card, resolve_source, save_model, save_pack
from speechxfer.config import Config, TransferConfig
from speechxfer.data import Utterance, read_concatenated
from speechxfer.errors import InputError
from speechxfer.features import AudioOptions, feature_preset, front_end_version
from speechxfer.models import AcousticModel, Architecture, with_lora
from speechxfer.runtime import (
    command_line,
    commit,
    hardware,
    is_main_process,
    log_info,
    read_bytes,
    read_json,
    run_lock,
    write_atomically,
)
from speechxfer.text import describe_letter_tables
from speechxfer.training import (
    compare_fingerprints,
    finetune,
    has_state,
    hash_source,
    hash_utterances,
    is_streamed,
    resolved_settings,
    training_cost,
    training_precision,
)
from speechxfer.workflows.decoders import OWN_FILES, WEIGHTS_FILE, DecodingOptions
from speechxfer.workflows.plots import plot_curves
from speechxfer.workflows.run_inputs import (
    TRAIN_IDS,
    Manifests,
    RunData,
    build_normalizer,
    build_vocabulary,
    read_run_data,
)
from speechxfer.workflows.run_language_models import run_language_models


@dataclass(frozen=True)
class Adapted:
    """A finished training run.

    Attributes:
        model: the trained model, on the CPU in evaluation mode.
        head: where each row of its output layer was initialised from.
        folder: the run's folder; the saved model is in its subfolder ``model``.
    """

    model: AcousticModel
    head: HeadTable
    folder: Path


def adapt(
    source: Path | str,
    train: Manifests,
    dev: Manifests,
    *,
    out: Path | str,
    config: Config | None = None,
    language: str = "",
    licence: str = "",
    language_models: bool = True,
) -> Adapted:
    """Adapt a source model: replace its output layer, then fine-tune; resume the run in `out` if there is one.

    Args:
        source: a model's folder, a finished run, a shipped model, ``hf:ORGANISATION/NAME`` or a ``.nemo`` archive.
        train: training data: utterances, or the path of a manifest, or paths of several.
        dev: development data, which selects among evaluations; given like `train`.
        out: folder of the run. If it holds the same run, finished, nothing is trained and its result is returned.
        config: all settings; None: the defaults, which are those of the command line.
        language: language code of the target, for the model's card and the letter-to-phone table; empty: that of the first
            training utterance.
        licence: licence of the adapted model, for its card.
        language_models: also train language models of the transcripts, with which the verbs decode if they lower dev's error
            rates (not of phones and classifiers); they contain the transcripts' words and word sequences.

    Raises:
        InputError: bad manifests, settings or source; `out` holds a run with other settings or data, or another process
            trains there.

    >>> import speechxfer as sx
    >>> train, dev = (sx.read_manifest(f"data/{split}.jsonl") for split in ("train", "dev"))
    >>> config = sx.Config(finetune={"steps": 2})  # without it, as many steps as suit the data
    >>> result = sx.adapt("multilingual-small", train, dev, out="exp/adapted", config=config)
    >>> print(result.head)  # symbol, how its row was initialised, source symbol
    <blank>	blank	<blank>
     ...
    """
    data, found = read_run_data(train, dev), resolve_source(source)
    return _run(config or Config(), data, Path(out), found, language, licence, language_models)


def train_from_scratch(
    train: Manifests,
    dev: Manifests,
    *,
    out: Path | str,
    config: Config | None = None,
    language: str = "",
    licence: str = "",
    language_models: bool = True,
) -> Adapted:
    """Train from random weights; arguments, result and errors as for `adapt`, without a source.

    The network is that of ``[model]`` in `config`; settings in ``[transfer]`` are refused.
    """
    config = config or Config()
    if config.transfer != TransferConfig():
        raise InputError("the settings in [transfer] need a source model; remove them, or use `adapt`")
    return _run(config, read_run_data(train, dev), Path(out), None, language, licence, language_models)


def _run(
    config: Config,
    data: RunData,
    out: Path,
    source: Source | None,
    language: str,
    licence: str,
    language_models: bool,
) -> Adapted:
    repeated = data.repeated(config.data.repeats)
    source_data = read_concatenated([Path(path) for path in config.finetune.source_manifests])
    language = language or data.train[0].lang
    pretrained = load_model(source) if source else None
    hashed = hash_source(pretrained) if pretrained else ""
    requested = _requested_run(config, data, source_data, hashed, language, licence)
    if _is_finished(out, requested):
        log_info(f"{out / 'model'}: this run is already finished; nothing to do")
        if not language_models and DecodingOptions().for_model(str(out)).language_models:
            files = f"{', '.join(OWN_FILES.values())} and {WEIGHTS_FILE}"
            log_info(f"it has language models of the transcripts; to remove them, delete {files} in {out / 'model'}")
        return Adapted(load_model(out), read_head_table(out / "head.tsv"), out)
    model, head = _starting_model(config, data.train, pretrained, language)
    letters = pretrained.vocabulary.letters if pretrained else {}
    del pretrained  # which may be as large as the model
    with run_lock(out):
        if is_main_process() and not has_state(out):  # a run that is resumed keeps its own
            write_atomically(out / "head.tsv", f"{head}\n")
            write_atomically(out / TRAIN_IDS, "".join(f"{id_}\n" for id_ in sorted({u.id for u in data.train})))
            write_atomically(out / "run.json", json.dumps(requested, indent=1) + "\n")
        log_info(
            f"{len(data.train)} training and {len(data.dev)} dev utterances, {millions_of_parameters(model):.2f} M parameters"
        )
        log_info(head.summary())
        if any(row.how in ("phone", "roman") for row in head):
            log_info(f"{describe_letter_tables(letters, language)} (see {out / 'head.tsv'})")
        finetune(model, repeated, data.dev, config.finetune, out=out, data=config.data, source_data=source_data)
        details = {"train_data": requested["train"]}
        card = Card(out.name, source.name if source else "", language, licence, details)
        audio = AudioOptions(model.spec, config.data.resample, config.data.mono)
        none = nullcontext[list[Path]]([])
        with run_language_models(model, data.train, data.dev, audio, out) if language_models else none as decoding:
            if is_main_process():
                _save_run(model, source, config, data, card, out, decoding)
        wait_for_everyone()  # no process goes on before the model is there
    evaluate = shlex.join(["speechxfer", "evaluate", str(out), "--on", "TEST.jsonl", "--out", str(out / "test")])
    log_info(f"wrote {out / 'model'}; next: {evaluate}")
    return Adapted(model, head, out)


def _save_run(
    model: AcousticModel,
    source: Source | None,
    config: Config,
    data: RunData,
    card: Card,
    out: Path,
    decoding: Sequence[Path],
) -> None:
    """Write the finished model with its language models, its card and curves."""
    details = _details(config, data, out) | card.details
    if source and source.kind != "folder":
        details |= {f"source {key}": value for key, value in read_card(source).details.items()}
    card = replace(card, details=details)
    try:
        plot_curves(out / "metrics.jsonl", out / "curves.png")
    except InputError as error:
        log_info(f"no curves.png: {error}")
    if source and config.transfer.lora_rank:
        save_pack(model, out / "pack", card, base=source, decoding=decoding)
    save_model(model, out / "model", card, decoding=decoding)


def _requested_run(
    config: Config, data: RunData, source_data: Sequence[Utterance], source: str, language: str, licence: str
) -> dict[str, Any]:
    """The fingerprint of a run, for ``run.json``: settings, and the contents of everything that it reads.

    Args:
        source: hash of the source model; empty: none.
        language, licence: of the model to be trained.

    Raises:
        InputError: a file that the settings or manifests name cannot be read.
    """
    settings = config.model_dump(mode="json")
    del settings["data"]["cache_dir"]  # where features are kept does not change them
    paths = {"symbol_map": config.transfer.symbol_map, "letters": config.text.letters}
    fix = "correct its path, or copy it again"
    streamed = is_streamed(data.train)
    requested = {
        "config": settings,
        **{
            name: hashlib.sha256(read_bytes(path, fix=fix)).hexdigest() if path else None
            for name, path in paths.items()
        },
        "language": language,
        "licence": licence,
        "train": [hash_utterances(part, contents=not streamed) for part in data.train_parts],
        "dev": hash_utterances(data.dev),
        "source": source,
        "source_data": hash_utterances(source_data),
    }
    if not source:  # that of a source is part of its hash
        requested["front end"] = front_end_version(feature_preset(config.model.features))
    return requested


def _is_finished(out: Path, requested: dict[str, Any]) -> bool:
    """Whether `out` holds the requested run, finished; InputError if it holds another one."""
    path = out / "run.json"
    started = has_state(out) or (out / "model" / "model.json").exists()
    if started and not path.exists():
        raise InputError(
            f"{out}: holds a model or a run, but no run.json that says what it was trained on; choose another --out, so that "
            "it is not lost"
        )
    if not started:
        return False  # a start that failed or was stopped before its first state has nothing to lose
    recorded = read_json(path, fix="choose another --out, or delete that folder to start anew")
    if not isinstance(recorded, dict):
        raise InputError(f"{path}: damaged (not an object); choose another --out, or delete that folder to start anew")
    if "front end" not in recorded:  # as in runs from scratch of earlier versions: the state and the model have it
        requested = {name: value for name, value in requested.items() if name != "front end"}
    differing = compare_fingerprints(recorded, requested)
    if differing:
        raise InputError(
            f"{out}: holds a run with other settings or data ({', '.join(differing[:5])} differ); choose another --out, "
            "or delete that folder to start anew"
        )
    return (out / "model" / "model.json").exists()


def _starting_model(
    config: Config, train: Sequence[Utterance], pretrained: AcousticModel | None, language: str
) -> tuple[AcousticModel, HeadTable]:
    normalizer, vocabulary, task = build_normalizer(config), build_vocabulary(config, train), config.text.task
    if pretrained is None:
        torch.manual_seed(config.finetune.seed)
        network = config.model
        architecture = Architecture(network.encoder, network.size, network.subsampling, network.dropout)
        model = AcousticModel(architecture, vocabulary, feature_preset(network.features), normalizer, task)
        return model, HeadTable(HeadRow(symbol, "random") for symbol in vocabulary.symbols)
    settings, seed = config.transfer, config.finetune.seed
    adapted = transfer(
        pretrained,
        vocabulary,
        head=read_symbol_map(settings.symbol_map) if settings.symbol_map else settings.head,
        language=language,
        normalizer=normalizer,
        task=task,
        dropout=config.model.dropout,
        seed=seed,
    )
    model = adapted.model
    if settings.adapter_dim or settings.extra_layers:
        model = with_new_layers(model, adapter_dim=settings.adapter_dim, extra_layers=settings.extra_layers, seed=seed)
    if settings.lora_rank:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = with_lora(model, settings.lora_rank)
    return model, adapted.head


def millions_of_parameters(model: torch.nn.Module) -> float:
    """Number of the model's parameters, in millions."""
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


def _details(config: Config, data: RunData, out: Path) -> dict[str, Any]:
    steps, wall_s = training_cost(out)
    return {
        "train_utterances": len(data.train),
        "train_hours": round(sum(u.duration for u in data.train) / 3600, 3),
        "train_languages": " ".join(sorted({u.lang or "not stated" for u in data.train})),
        "dev_hours": round(sum(u.duration for u in data.dev) / 3600, 3),
        "steps": steps,
        "seed": config.finetune.seed,
        "config": config.model_dump(mode="json"),
        "command": command_line(),
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
        "hardware": hardware(),
        "precision": training_precision(out),
        **resolved_settings(out),
        "wall_s": round(wall_s, 1),
        "version": __version__,
    }
