"""The verb `average`: one model with the mean of the weights of several that were adapted alike, but with other seeds.

They started from the same source, so that their weights can be averaged; the mean can have fewer errors than each of them, and
costs no more in use. Source: Wortsman et al., 'Model soups: averaging weights of multiple fine-tuned models improves accuracy
without increasing inference time' (ICML 2022).
"""

import copy
import datetime
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from speechxfer.checkpoints import load_model, resolve_source, save_model
from speechxfer.data import Utterance, read_concatenated
from speechxfer.decoding import fit_confidences, score_hypotheses, transcribe
from speechxfer.errors import InputError
from speechxfer.models import AcousticModel
from speechxfer.runtime import check_not_existing, command_line, commit, default_device, hardware, log_info
from speechxfer.scoring import WerReport
from speechxfer.training import average
from speechxfer.workflows.decoders import OWN_FILES, own_files
from speechxfer.workflows.evaluation_runs import check_same_training
from speechxfer.workflows.run_inputs import trained_audio_options

LEAST = 2


def average_models(models: Sequence[str], dev: Sequence[Path], out: Path) -> WerReport:
    """Average the weights of models, score them and each of the models on dev, and write the average as a model.

    Its confidences are calibrated on dev. The language models of the first model's transcripts, with their weights, are copied
    if all models have them.

    Args:
        models: names as for `load_model`, of at least two models that `adapt` made with different seeds, and else alike.
        dev: manifests of the development data that they were trained with.
        out: folder to write; the model is in ``model`` below it.

    Returns:
        The score of the average on dev, greedy.

    Raises:
        InputError: fewer than two models, models that differ in more than the seed or have no source, an existing `out`, or
            manifests that cannot be read.
    """
    if len(models) < LEAST:
        raise InputError(f"average: {len(models)} model is given; give at least {LEAST}, adapted with different seeds")
    cards = check_same_training(models)
    if not cards[0].parent:
        raise InputError(
            f"{models[0]}: was trained from random weights, and only weights that started from those of one source can be "
            "averaged; name models that `adapt` made"
        )
    check_not_existing([out / "model"])
    utterances = read_concatenated([Path(path) for path in dev])
    loaded = [load_model(name) for name in models]
    differing = next((n for n, one in zip(models, loaded, strict=True) if not _is_alike(one, loaded[0])), None)
    if differing:
        raise InputError(f"{models[0]} and {differing} have different symbols or layers; average models that are alike")
    scores = [_score(name, one, utterances) for name, one in zip(models, loaded, strict=True)]
    mean = copy.deepcopy(loaded[0])
    mean.load_state_dict(average([one.state_dict() for one in loaded]))
    score = _score(models[0], mean, utterances)
    _log(score, scores)
    details = {
        "seed": cards[0].details.get("seed"),
        "averaged": [str(name) for name in models],
        "wall_s": round(sum(float(card.details.get("wall_s", 0)) for card in cards), 1),
        "command": command_line(),
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
        "hardware": hardware(),
    }
    card = replace(cards[0], name=out.name, details=cards[0].details | details)
    save_model(mean, out / "model", card, decoding=_own_files(models))
    evaluate = shlex.join(["speechxfer", "evaluate", str(out), "--on", "TEST.jsonl", "--out", str(out / "test")])
    log_info(f"wrote {out / 'model'}; next: {evaluate}")
    return score


def _is_alike(model: AcousticModel, other: AcousticModel) -> bool:
    def shapes(weights: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
        return {name: tuple(value.shape) for name, value in weights.items()}

    same = model.vocabulary.symbols == other.vocabulary.symbols
    return same and shapes(model.state_dict()) == shapes(other.state_dict())


def _score(name: str, model: AcousticModel, utterances: Sequence[Utterance]) -> WerReport:
    """The greedy score on dev, on the default device; the model's confidences are calibrated, and it returns to the CPU."""
    audio = trained_audio_options(name, model.spec, None, None)
    model.to(default_device())
    hypotheses = transcribe(model, utterances, resample=audio.resample, mono=audio.mono)
    model.to("cpu")
    report = score_hypotheses(model, utterances, hypotheses)
    model.calibration = fit_confidences(model, report, hypotheses)
    return report


def _log(score: WerReport, scores: Sequence[WerReport]) -> None:
    rates = [f"{100 * one.wer:.1f}, {100 * one.cer:.1f}" for one in (score, *scores)]
    log_info(f"WER, CER % on dev: the average {rates[0]}; {'; '.join(rates[1:])}")
    errors = [one.wer + one.cer for one in scores]
    if min(errors) < score.wer + score.cer:
        best = errors.index(min(errors)) + 1
        log_info(f"warning: model {best} has fewer errors on dev than the average; use that one")


def _own_files(models: Sequence[str]) -> list[Path]:
    """The language models of the first model's transcripts and their weights, if all of the models have language models."""
    folders = [resolve_source(name).path for name in models]
    if not all(any((folder / file).is_file() for file in OWN_FILES.values()) for folder in folders):
        return []
    return own_files(folders[0])
