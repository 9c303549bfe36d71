"""The objective: each loss and each hold on the source against hand-worked numbers, brute force or another library."""

import copy
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, kl_divergence

from speechxfer.adaptation.construction import transfer, with_new_layers
from speechxfer.adaptation.freezing import frozen_modules, set_frozen
from speechxfer.config.loading import load_config
from speechxfer.config.settings import DataConfig, FinetuneConfig, TransferConfig
from speechxfer.data.manifest import Utterance
from speechxfer.decoding.evaluation import evaluate
from speechxfer.errors import InputError
from speechxfer.features.batches import Batch, collate
from speechxfer.features.cache import store_features
from speechxfer.features.extraction import AudioOptions
from speechxfer.features.presets import PRESETS
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.models.architecture import Architecture
from speechxfer.text.normalizer import Normalizer
from speechxfer.text.vocabulary import BLANK, Vocabulary
from speechxfer.training.loop import finetune
from speechxfer.training.losses import check_intermediate_ctc, intermediate_share
from speechxfer.training.regularizers import (
    L2Anchor,
    ReplayData,
    SourceRegularizer,
    build_regularizer,
    distance,
    fisher,
    proximal_step_,
    sample_replay_batch,
)
from tests import small_models as small
from tests.small_models import Tones, state
from tests.tone_corpus import write_tone_corpus

loop = sys.modules["speechxfer.training.loop"]
NAMED = ["source.jsonl"]  # what the settings name; the utterances are given by hand
PLAIN = small.settings(evaluate_every_steps=4, encoder_lr=FinetuneConfig().encoder_lr, clip_norm=1e9)


def settings(**changes: object) -> FinetuneConfig:
    return FinetuneConfig(**(PLAIN.model_dump() | changes))


def source_model(encoder: str = "cnn", task: str = "ctc") -> AcousticModel:
    """Without dropout, so that what is computed twice is the same."""
    words = Vocabulary((BLANK, "yes", "no", "ja"), "words")
    return small.source_model(encoder, words if task == "classify" else small.SOURCE, task, dropout=0.0)


def target_model(source: AcousticModel, tones: Tones) -> AcousticModel:
    return transfer(source, Vocabulary.from_texts(u.text for u in tones.train)).model


def replayed(source: AcousticModel, tones: Tones) -> ReplayData:
    store = store_features(tones.source, AudioOptions(source.spec), tones.folder / ".features")
    targets = [source.vocabulary.encode(source.normalizer(u.text)) for u in tones.source]
    return ReplayData([u.id for u in tones.source], store, targets)


def same_bits(a: nn.Module, before: dict[str, Tensor]) -> bool:
    after = a.state_dict()
    return after.keys() == before.keys() and all(torch.equal(after[name].cpu(), before[name].cpu()) for name in before)


def furthest(a: nn.Module, b: nn.Module) -> float:
    """Largest difference between two encoders' weights."""
    other = dict(b.named_parameters())
    return max(
        float((value - other[name].to(value.device)).detach().abs().max()) for name, value in a.named_parameters()
    )


def batch_of(lengths: Sequence[int], seed: int = 5) -> Batch:
    """Noise in place of speech; two symbols each."""
    generator = np.random.default_rng(seed)
    features = [generator.standard_normal((frames, 80)).astype(np.float32) for frames in lengths]
    return collate([f"u{i}" for i in range(len(lengths))], features, [[1, 2]] * len(lengths))


def alone(batch: Batch) -> list[tuple[Tensor, Tensor]]:
    """Each utterance without the others and without padding: features `[1, frames, mels]` and length `[1]`."""
    return [(batch.features[i : i + 1, :n], torch.tensor([n])) for i, n in enumerate(batch.lengths.tolist())]


# Drawn back to the source's weights ----------------------------------------------------------------------------------


def test_the_proximal_step_by_hand() -> None:
    """w = 3, anchor 1: 1 + 2 / (1 + 0.1 * 5) with rate 0.1 and strength 5, 1 + 2 / (1 + 0.2 * 5) with rate 0.2."""
    slow, fast, resting, free = (nn.Parameter(torch.tensor([3.0, 3.0])) for _ in range(4))
    pull = L2Anchor(torch.tensor([1.0, 1.0]), torch.tensor([5.0, 0.0]))
    for learning in (slow, fast, free):
        learning.grad = torch.zeros(2)
    optimizer = torch.optim.SGD([{"params": [slow, resting, free], "lr": 0.1}, {"params": [fast], "lr": 0.2}])
    pulls = {slow: pull, fast: pull, resting: pull}
    proximal_step_(SourceRegularizer(TransferConfig(l2_sp=5.0), source_model("dnn"), pulls, None), optimizer)
    assert slow.tolist() == pytest.approx([1 + 2 / 1.5, 3.0])
    assert fast.tolist() == pytest.approx([2.0, 3.0])
    assert resting.tolist() == [3.0, 3.0], "without a gradient it did not move, so nothing is drawn back"
    assert free.tolist() == [3.0, 3.0], "what is new has no value in the source"


@pytest.mark.parametrize("encoder", ["conformer", "cnn", "dnn"])
def test_the_strongest_l2_sp_is_a_frozen_encoder(tones: Tones, tmp_path: Path, encoder: str) -> None:
    """Weights of the encoder, and with the source's batch statistics all outputs: the head then learns the same, too."""
    source = source_model(encoder)
    drawn, frozen, loose = (
        finetune(
            target_model(source, tones),
            tones.train,
            tones.dev,
            PLAIN,
            out=tmp_path / str(i),
            transfer=kind,
            source=source,
        )
        for i, kind in enumerate(
            (
                TransferConfig(l2_sp=1e9, batch_norm="frozen"),
                TransferConfig(freeze="encoder"),
                TransferConfig(l2_sp=1e-9, batch_norm="frozen"),
            )
        )
    )
    assert furthest(drawn.encoder, source.encoder) < 1e-7
    assert furthest(loose.encoder, source.encoder) > 1e-4, "without the pull they would have moved"
    features, lengths = batch_of([120, 61]).features, torch.tensor([120, 61])
    with torch.inference_mode():
        expected, start = frozen(features, lengths)[0], target_model(source, tones)(features, lengths)[0]
        torch.testing.assert_close(drawn(features, lengths)[0], expected, rtol=0, atol=1e-5)
    assert (expected - start).abs().max() > 1e-3, "the head has learned"


def test_no_l2_sp_is_a_plain_run_bit_for_bit(tones: Tones, tmp_path: Path) -> None:
    source = source_model()
    plain = finetune(target_model(source, tones), tones.train, tones.dev, PLAIN, out=tmp_path / "plain")
    off = TransferConfig(l2_sp=0.0, ewc=0.0, distillation=0.0, replay=0.0, source_manifests=NAMED)
    with_source = finetune(
        target_model(source, tones),
        tones.train,
        tones.dev,
        PLAIN,
        out=tmp_path / "off",
        transfer=off,
        source=source,
        replayed=tones.source,
    )
    assert same_bits(with_source, state(plain))


def test_by_default_the_encoder_is_drawn_to_its_source(tones: Tones, tmp_path: Path) -> None:
    """As strongly as 0.5 says, where there is a source; without one the run is plain."""
    source = source_model("dnn")
    default, drawn, plain, alone = (
        state(
            finetune(
                target_model(source, tones),
                tones.train,
                tones.dev,
                PLAIN,
                out=tmp_path / str(number),
                transfer=TransferConfig(**asked),
                source=given,
            )
        )
        for number, (asked, given) in enumerate(
            (({}, source), ({"l2_sp": 0.5}, source), ({"l2_sp": 0.0}, source), ({}, None))
        )
    )
    assert all(torch.equal(value, drawn[name]) for name, value in default.items())
    assert all(torch.equal(value, plain[name]) for name, value in alone.items())
    assert not all(torch.equal(value, plain[name]) for name, value in default.items())


@pytest.mark.parametrize(
    "settings",
    [
        {"freeze": "encoder"},
        {"lora_rank": 4},
        {"ewc": 1.0, "source_manifests": NAMED},
        {"distillation": 1.0},
        {"replay": 0.2, "source_manifests": NAMED},
    ],
)
def test_l2_sp_is_not_added_to_what_holds_on_otherwise(settings: dict[str, Any]) -> None:
    assert TransferConfig(**settings).l2_sp_strength == 0
    assert (
        TransferConfig(freeze=1).l2_sp_strength
        == TransferConfig(freeze="encoder", freeze_steps=5).l2_sp_strength
        == 0.5
    )


def test_more_l2_sp_stays_nearer(tones: Tones, tmp_path: Path) -> None:
    source = source_model("dnn")
    apart = []
    for weight in (1e-9, 100.0, 1e4):
        model = target_model(source, tones)
        held = TransferConfig(l2_sp=weight)
        out = tmp_path / str(weight)
        finetune(model, tones.train, tones.dev, PLAIN, out=out, transfer=held, source=source)
        apart.append(furthest(model.encoder, source.encoder))
    assert apart[0] > 1.05 * apart[1] and apart[1] > 5 * apart[2] > 0, apart


# Elastic weight consolidation ----------------------------------------------------------------------------------------


def squared_gradients(source: AcousticModel, replayed: ReplayData, chosen: Sequence[int]) -> dict[str, Tensor]:
    """Mean 1 over all encoder parameters; each utterance's gradient by itself."""
    parameters = dict(source.encoder.named_parameters())
    sums = [torch.zeros_like(value) for value in parameters.values()]
    for i in chosen:
        features = torch.from_numpy(replayed.store.get(i))[None]
        log_probs, lengths = source(features, torch.tensor([features.shape[1]]))
        target = torch.tensor(replayed.targets[i])
        loss = nn.functional.ctc_loss(
            log_probs.transpose(0, 1), target, lengths, torch.tensor([len(target)]), reduction="sum"
        )
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        sums = [total + gradient**2 for total, gradient in zip(sums, gradients, strict=True)]
    mean = torch.cat([total.flatten() for total in sums]).double().mean().float()
    return {name: total / mean for name, total in zip(parameters, sums, strict=True)}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4 * float(value.max()), msg=name)


@pytest.mark.parametrize("encoder", ["conformer", "cnn", "dnn"])
def test_fisher_information_by_brute_force(tones: Tones, encoder: str) -> None:
    source = source_model(encoder)
    speech = replayed(source, tones)
    before = state(source)
    found = fisher(source, speech)
    assert_same(found, squared_gradients(source, speech, range(7)))
    together = torch.cat([value.flatten() for value in found.values()])
    assert together.double().mean().item() == pytest.approx(1.0, rel=1e-4)
    assert together.max() > 10, "not all parameters count the same"
    assert same_bits(source, before) and not source.training


def test_fisher_information_of_some_utterances_evenly_spread(tones: Tones) -> None:
    """Three of seven: the first, the middle one and the last."""
    source = source_model("dnn")
    speech = replayed(source, tones)
    assert_same(fisher(source, speech, most=3), squared_gradients(source, speech, [0, 3, 6]))
    assert_same(fisher(source, speech, most=99), squared_gradients(source, speech, range(7)))


def test_speech_that_says_nothing_about_the_weights_is_refused(tones: Tones) -> None:
    source = source_model("dnn")
    nn.init.zeros_(source.head.weight)  # no gradient passes
    with pytest.raises(InputError, match="Fisher information of the source is 0"):
        fisher(source, replayed(source, tones))


def test_what_is_held_on_to_and_how_strongly(tones: Tones) -> None:
    """Only the encoder's own weights: strength ewc * Fisher + l2_sp, drawn to the source's values."""
    source = source_model("dnn")
    model = with_new_layers(target_model(source, tones), adapter_dim=4)
    speech = replayed(source, tones)
    both = TransferConfig(ewc=2.0, l2_sp=0.5, source_manifests=NAMED)
    held = build_regularizer(model, source, both, speech)
    information, values = squared_gradients(source, speech, range(7)), state(source.encoder)
    assert held is not None
    names = {parameter: name for name, parameter in model.encoder.named_parameters()}
    assert {names[parameter] for parameter in held.pulls} == information.keys()
    strengths = {names[parameter]: pull.strength for parameter, pull in held.pulls.items()}
    assert_same(strengths, {name: 2 * value + 0.5 for name, value in information.items()})
    assert all(torch.equal(pull.anchor, values[names[parameter]]) for parameter, pull in held.pulls.items())
    assert build_regularizer(model, source, TransferConfig(l2_sp=0.0), speech) is None


def test_ewc_holds_what_the_source_needs(tones: Tones, tmp_path: Path) -> None:
    """Weights of more than average information stay; in a run without it they move."""
    source = source_model("dnn")
    moves = {}
    for weight in (1e-9, 1e7):
        model = target_model(source, tones)
        held = TransferConfig(ewc=weight, source_manifests=NAMED)
        out = tmp_path / str(weight)
        finetune(model, tones.train, tones.dev, PLAIN, out=out, transfer=held, source=source, replayed=tones.source)
        needed = squared_gradients(source, replayed(source, tones), range(7))
        start = state(source.encoder)
        moves[weight] = max(
            float((value - start[name])[needed[name] > 1].abs().max()) for name, value in state(model.encoder).items()
        )
    assert moves[1e-9] > 1e-4 and moves[1e7] < 1e-6, moves


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["ewc=0.1", "replay=0.5"])
def test_ewc_and_replay_want_manifests_of_the_source(setting: str) -> None:
    name = setting.partition("=")[0]
    with pytest.raises(InputError, match=rf"transfer\.{name} needs speech .* transfer\.source_manifests"):
        load_config(None, [f"transfer.{setting}"])
    config = load_config(None, [f"transfer.{setting}", 'finetune.source_manifests=["a.jsonl"]'])
    assert config.finetune.source_manifests == ["a.jsonl"]


@pytest.mark.parametrize("name", ["l2_sp", "ewc", "distillation", "replay"])
def test_nothing_can_be_held_on_to_without_a_source(tones: Tones, tmp_path: Path, name: str) -> None:
    held = TransferConfig(**{name: 0.5}, source_manifests=NAMED)
    with pytest.raises(InputError, match=rf"transfer\.{name} holds on to a source model, and there is none"):
        finetune(
            target_model(source_model("dnn"), tones),
            tones.train,
            tones.dev,
            PLAIN,
            out=tmp_path / "run",
            transfer=held,
            replayed=tones.source,
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["ewc", "replay"])
def test_the_sources_speech_must_be_given(tones: Tones, tmp_path: Path, name: str) -> None:
    source = source_model("dnn")
    held = TransferConfig(**{name: 0.5}, source_manifests=NAMED)
    with pytest.raises(InputError, match=rf"transfer\.{name} needs speech that the source was trained on"):
        finetune(target_model(source, tones), tones.train, tones.dev, PLAIN, out=tmp_path, transfer=held, source=source)


# Distillation --------------------------------------------------------------------------------------------------------


def held_by(source: AcousticModel, compared: str) -> SourceRegularizer:
    return SourceRegularizer(TransferConfig(distillation=1.0, distilled=compared), source, {}, None)


def shaken(source: AcousticModel) -> AcousticModel:
    """The same model, every weight of its encoder a little off."""
    other = copy.deepcopy(source)
    generator = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for weights in other.encoder.parameters():
            weights.add_(0.05 * torch.randn(weights.shape, generator=generator))
    return other


@pytest.mark.parametrize("compared", ["logits", "features"])
@pytest.mark.parametrize("task", ["ctc", "classify"])
@pytest.mark.parametrize("encoder", ["conformer", "cnn", "dnn"])
def test_a_model_that_is_its_source_is_at_no_distance(encoder: str, task: str, compared: str) -> None:
    source, batch = source_model(encoder, task), batch_of([120, 61])
    model = transfer(source, Vocabulary((BLANK, "x"))).model
    with torch.no_grad():
        layers, lengths = model.encode(batch.features, batch.lengths)
        assert distance(held_by(source, compared), batch, layers, lengths).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("encoder", ["conformer", "cnn", "dnn"])
def test_the_distance_of_distributions_is_torchs_divergence_over_valid_frames(encoder: str) -> None:
    """Each utterance by itself, so that no padding can have a part in the expected value."""
    source, batch = source_model(encoder), batch_of([120, 61, 37])
    model = shaken(source)
    frames = []
    with torch.no_grad():
        for features, length in alone(batch):
            wanted, found = (source.head(each.encoder(features, length)[0][0]) for each in (source, model))
            frames.append(kl_divergence(Categorical(logits=wanted), Categorical(logits=found)))
        layers, lengths = model.encode(batch.features, batch.lengths)
        padded = kl_divergence(
            *(Categorical(logits=source.head(e.encoder(batch.features, batch.lengths)[0])) for e in (source, model))
        )
        divergence = distance(held_by(source, "logits"), batch, layers, lengths)
    expected = torch.cat(frames).mean().item()
    assert divergence.item() == pytest.approx(expected, rel=1e-4) and expected > 1e-4
    assert padded.mean().item() != pytest.approx(expected, rel=1e-2), "padding would be noticed"


def test_the_distance_of_words_is_torchs_divergence_between_the_words() -> None:
    """One distribution an utterance; the blank is no word."""
    source, batch = source_model("cnn", "classify"), batch_of([120, 61, 37])
    model = shaken(source)
    divergences = []
    with torch.no_grad():
        for each in alone(batch):
            wanted, found = (heard(*each)[0][0, 0, 1:] for heard in (source, model))
            divergences.append(kl_divergence(Categorical(logits=wanted), Categorical(logits=found)))
        layers, lengths = model.encode(batch.features, batch.lengths)
        divergence = distance(held_by(source, "logits"), batch, layers, lengths)
    expected = torch.stack(divergences).mean().item()
    assert divergence.item() == pytest.approx(expected, rel=1e-3) and expected > 1e-5


@pytest.mark.parametrize("task", ["ctc", "classify"])
def test_the_distance_of_features_is_their_mean_square_over_valid_frames(task: str) -> None:
    source, batch = source_model("cnn", task), batch_of([120, 61, 37])
    model = shaken(source)
    with torch.no_grad():
        apart = [(model.encoder(*each)[0] - source.encoder(*each)[0])[0].numpy() for each in alone(batch)]
        found = distance(held_by(source, "features"), batch, *model.encode(batch.features, batch.lengths))
    expected = float(np.mean(np.concatenate(apart) ** 2))
    assert found.item() == pytest.approx(expected, rel=1e-4) and expected > 1e-4


def test_the_source_learns_nothing_from_a_distance() -> None:
    source, batch = source_model("cnn"), batch_of([120, 61])
    source.requires_grad_(False)
    model = shaken(source).requires_grad_(True)
    apart = distance(held_by(source, "logits"), batch, *model.encode(batch.features, batch.lengths))
    torch.autograd.backward(apart)
    assert all(weights.grad is None for weights in source.parameters())
    assert all(weights.grad is not None for weights in model.encoder.parameters())


# One step of the loop, by hand ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """What one step heard, and the loss that it told."""

    loss: float
    batch: Batch
    replay: Batch | None


def one_step(
    model: AcousticModel,
    tones: Tones,
    monkeypatch: pytest.MonkeyPatch,
    *,
    config: FinetuneConfig = PLAIN,
    held: TransferConfig = TransferConfig(),
    source: AcousticModel | None = None,
) -> Step:
    drawn: list[Batch | None] = []

    def watched(*arguments: object) -> Batch | None:
        drawn.append(sample_replay_batch(*arguments))
        return drawn[-1]

    monkeypatch.setattr(loop, "sample_replay_batch", watched)
    job = loop._prepare(model, tones.train, tones.dev, config, DataConfig(), held, tones.folder / "run")
    job = replace(job, retention=loop._retention(job, DataConfig(), source, tones.source))
    batch = loop._load(job, [4, 0, 2], [0] * len(tones.train), 0, False)
    set_frozen(model, frozen_modules(model, held))
    return Step(loop._step(job, loop._optimizer(job), batch, 0), batch, drawn[0] if drawn else None)


def ctc_sum(log_probs: Tensor, lengths: Tensor, batch: Batch) -> float:
    losses = nn.functional.ctc_loss(
        log_probs.transpose(0, 1), batch.targets, lengths, batch.target_lengths, reduction="sum"
    )
    return float(losses)


@pytest.mark.parametrize("encoder", ["conformer", "cnn", "dnn"])
def test_a_step_with_replay_by_hand(tones: Tones, monkeypatch: pytest.MonkeyPatch, encoder: str) -> None:
    """All symbols count the same: the target's under its head, the source's under the source's head."""
    source = source_model(encoder)
    model = target_model(source, tones)
    twin, before = copy.deepcopy(model).train(), state(source)
    held = TransferConfig(replay=0.5, source_manifests=NAMED)
    step = one_step(model, tones, monkeypatch, held=held, source=source)
    assert step.replay is not None and set(step.replay.ids) <= {u.id for u in tones.source}
    with torch.no_grad():
        total = ctc_sum(*twin(step.batch.features, step.batch.lengths), step.batch)
        encoded, lengths = twin.encoder(step.replay.features, step.replay.lengths)
        logits = nn.functional.linear(encoded, source.head.weight, source.head.bias)
        total += ctc_sum(logits.log_softmax(-1), lengths, step.replay)
    symbols = int(step.batch.target_lengths.sum() + step.replay.target_lengths.sum())
    assert step.loss == pytest.approx(total / symbols, rel=1e-3)
    assert same_bits(source, before)
    assert furthest(model.encoder, source.encoder) > 1e-5, "it was a step"


def test_a_step_with_distillation_by_hand(tones: Tones, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_model("dnn")
    model = target_model(source, tones)
    with torch.no_grad():
        for weights in model.encoder.parameters():
            weights.mul_(1.1)
    twin = copy.deepcopy(model)
    held = TransferConfig(distillation=1e4, distilled="features")
    step = one_step(model, tones, monkeypatch, held=held, source=source)
    with torch.no_grad():
        own = ctc_sum(*twin(step.batch.features, step.batch.lengths), step.batch) / int(step.batch.target_lengths.sum())
        apart = [(twin.encoder(*each)[0] - source.encoder(*each)[0])[0] for each in alone(step.batch)]
    away = torch.cat(apart).square().mean().item()
    assert step.loss == pytest.approx(own + 1e4 * away, rel=1e-3)
    assert 1e4 * away > 0.1 * own


@pytest.mark.parametrize("encoder", ["conformer", "cnn"])
def test_where_the_encoder_rests_its_middle_does_not_draw_the_head(
    tones: Tones, monkeypatch: pytest.MonkeyPatch, encoder: str
) -> None:
    model = target_model(source_model(encoder), tones)
    whole = copy.deepcopy(model).eval()
    held = TransferConfig(freeze="encoder")
    step = one_step(model, tones, monkeypatch, held=held, config=settings(intermediate_ctc=0.3))
    with torch.no_grad():
        final = ctc_sum(*whole(step.batch.features, step.batch.lengths), step.batch)
    assert step.loss == pytest.approx(final / int(step.batch.target_lengths.sum()), rel=1e-3)


@pytest.mark.parametrize("encoder", ["conformer", "cnn"])
def test_a_step_with_the_middle_of_the_encoder_by_hand(
    tones: Tones, monkeypatch: pytest.MonkeyPatch, encoder: str
) -> None:
    """Three of six Conformer layers, two of four of the CNN, cut off and put under the same head."""
    model = target_model(source_model(encoder), tones)
    with torch.no_grad():
        model.head.weight.mul_(5.0)  # so that the two losses are well apart
    whole = copy.deepcopy(model).train()
    half = copy.deepcopy(whole)
    layers = {"conformer": 3, "cnn": 2}[encoder]
    assert len(half.encoder.layers) == 2 * layers
    half.encoder.layers, half.encoder.adapters = half.encoder.layers[:layers], half.encoder.adapters[:layers]
    step = one_step(model, tones, monkeypatch, config=settings(intermediate_ctc=0.3))
    with torch.no_grad():
        final, middle = (ctc_sum(*each(step.batch.features, step.batch.lengths), step.batch) for each in (whole, half))
    assert step.loss == pytest.approx((0.7 * final + 0.3 * middle) / int(step.batch.target_lengths.sum()), rel=1e-3)
    assert abs(middle - final) > 0.05 * final


def test_the_middle_is_heard_by_default_where_a_transcribing_head_can_read_it() -> None:
    usual = {name: intermediate_share(source_model(name), -1.0) for name in ("conformer", "cnn", "dnn")}
    assert usual == {"conformer": 0.3, "cnn": 0.3, "dnn": 0.0}
    assert intermediate_share(source_model("cnn", "classify"), -1.0) == 0.0
    assert [intermediate_share(source_model("cnn"), asked) for asked in (0.0, 0.5)] == [0.0, 0.5]


def test_there_is_nothing_to_read_in_the_middle_for_words() -> None:
    with pytest.raises(InputError, match=r"finetune\.intermediate_ctc is for transcribing, and the task is classify"):
        check_intermediate_ctc(source_model("cnn", "classify"))


def test_the_middle_of_an_encoder_of_unequal_widths_is_refused(tones: Tones, tmp_path: Path) -> None:
    model = target_model(source_model("dnn"), tones)
    with pytest.raises(InputError, match=r"finetune\.intermediate_ctc needs an encoder whose layers are equally wide"):
        finetune(model, tones.train, tones.dev, settings(intermediate_ctc=0.3), out=tmp_path)


# Replay --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def speech(tones: Tones) -> ReplayData:
    return replayed(source_model("dnn"), tones)


def drawn(speech: ReplayData, share: float, frames: int, seed: int) -> Batch | None:
    settings = TransferConfig(replay=share, source_manifests=NAMED)
    return sample_replay_batch(
        SourceRegularizer(settings, source_model("dnn"), {}, speech), frames, np.random.default_rng(seed)
    )


@pytest.mark.parametrize(("share", "ratio"), [(0.5, 1.0), (0.25, 1 / 3), (0.75, 3.0)])
def test_replay_takes_its_share_of_the_frames(speech: ReplayData, share: float, ratio: float) -> None:
    longest, all_frames = max(speech.store.frames[0]), sum(speech.store.frames[0])
    frames = round(0.8 * all_frames / ratio)
    for seed in range(20):
        batch = drawn(speech, share, frames, seed)
        assert batch is not None and len(set(batch.ids)) == len(batch.ids) < 7
        assert frames * ratio - longest < int(batch.lengths.sum()) <= frames * ratio


def test_replay_takes_at_least_one_utterance_and_at_most_all(speech: ReplayData) -> None:
    few, many = drawn(speech, 0.5, 1, 0), drawn(speech, 0.5, 10**6, 0)
    assert few is not None and len(few.ids) == 1
    assert many is not None and sorted(many.ids) == sorted(speech.ids)
    assert drawn(speech, 0.0, 10**6, 0) is None


def test_replay_is_drawn_by_the_generator_alone(speech: ReplayData) -> None:
    frames = sum(speech.store.frames[0]) // 2
    first, again = ([drawn(speech, 0.5, frames, seed) for seed in range(8)] for _ in range(2))
    assert [batch.ids for batch in first if batch] == [batch.ids for batch in again if batch]
    assert len({batch.ids for batch in first if batch}) > 4
    for batch in first:
        assert batch is not None
        targets = batch.targets.split(batch.target_lengths.tolist())
        for name, length, target, values in zip(batch.ids, batch.lengths, targets, batch.features, strict=True):
            place = speech.ids.index(name)
            assert target.tolist() == list(speech.targets[place])
            assert np.array_equal(values[:length].numpy(), speech.store.get(place))


def test_the_source_is_remembered_with_replay(tmp_path: Path) -> None:
    """The target has the source's letters at other pitches: what serves one spoils the other."""

    def spoken(split: str, letters: str, utterances: int, seed: int) -> list[Utterance]:
        return write_tone_corpus(tmp_path / f"{split}.jsonl", utterances, letters=letters, seed=seed, words=(2, 4))

    own, own_dev = spoken("own", "abcd", 30, 1), spoken("own_dev", "abcd", 8, 2)
    train, dev = spoken("train", "dbca", 30, 3), spoken("dev", "dbca", 8, 4)
    torch.manual_seed(0)
    architecture = Architecture("cnn", "tiny", 4, dropout=0.0)
    vocabulary = Vocabulary.from_texts(u.text for u in own)
    source = AcousticModel(architecture, vocabulary, PRESETS["kaldi-mvn"], Normalizer())
    rates = {"encoder_lr": 3e-3, "head_lr": 3e-3, "clip_norm": 5.0}
    finetune(source, own, own_dev, settings(steps=60, evaluate_every_steps=60, **rates), out=tmp_path / "source")
    assert evaluate(source, own_dev).cer < 0.15
    forgotten = {}
    for share in (0.0, 0.5):
        model = finetune(
            transfer(source, vocabulary).model,
            train,
            dev,
            settings(steps=40, evaluate_every_steps=40, **rates),
            out=tmp_path / str(share),
            transfer=TransferConfig(replay=share, source_manifests=NAMED),
            source=source,
            replayed=own,
        )
        assert evaluate(model, dev).cer < 0.15
        forgotten[share] = evaluate(model.as_parent(), own_dev).cer
    assert forgotten[0.5] < 0.5 * forgotten[0.0], forgotten
