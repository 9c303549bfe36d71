"""Regularisers and the training step against hand-worked numbers, brute force or another library."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
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
from speechxfer.config.settings import DataConfig, FinetuneConfig
from speechxfer.data.manifest import Utterance
from speechxfer.decoding.evaluation import evaluate
from speechxfer.errors import InputError
from speechxfer.features.batches import Batch, collate
from speechxfer.features.extraction import AudioOptions
from speechxfer.features.presets import PRESETS
from speechxfer.features.store import store_features
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.models.architecture import Architecture
from speechxfer.text.normalizer import Normalizer
from speechxfer.text.vocabulary import BLANK, Vocabulary
from speechxfer.training import loading, preparation, step
from speechxfer.training.loop import finetune
from speechxfer.training.losses import check_intermediate_ctc, intermediate_weight
from speechxfer.training.preparation import prepare_run
from speechxfer.training.regularizers import (
    ReplayData,
    SourceRegularizer,
    build_regularizer,
    distillation_loss,
    proximal_step_,
    sample_replay_batch,
)
from tests import small_models as small
from tests.small_models import Tones, state
from tests.tone_corpus import write_tone_corpus

PLAIN = small.settings(evaluate_every_steps=4, encoder_lr=5e-4)


@pytest.fixture(autouse=True)
def unclipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients are not clipped, so that runs differ only by what a test is about."""
    monkeypatch.setattr(step, "CLIP_NORM", 1e9)


def settings(**changes: object) -> FinetuneConfig:
    return FinetuneConfig(**(PLAIN.model_dump() | changes))


def source_model(encoder: str = "cnn", task: str = "ctc") -> AcousticModel:
    """Without dropout, so that what is computed twice is the same."""
    words = Vocabulary((BLANK, "yes", "no", "ja"), "words")
    return small.source_model(encoder, words if task == "classify" else small.SOURCE, task, dropout=0.0)


def target_model(source: AcousticModel, tones: Tones) -> AcousticModel:
    return transfer(source, Vocabulary.from_texts(u.text for u in tones.train), dropout=None).model


def replay_data(source: AcousticModel, tones: Tones) -> ReplayData:
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


# L2-SP ---------------------------------------------------------------------------------------------------------------


def test_the_proximal_step_by_hand() -> None:
    """w = 3, anchor 1: 1 + 2 / (1 + 0.1 * 5) with rate 0.1 and strength 5, 1 + 2 / (1 + 0.2 * 5) with rate 0.2."""
    slow, fast, frozen, new = (nn.Parameter(torch.tensor([3.0])) for _ in range(4))
    for trained in (slow, fast, new):
        trained.grad = torch.zeros(1)
    optimizer = torch.optim.SGD([{"params": [slow, frozen, new], "lr": 0.1}, {"params": [fast], "lr": 0.2}])
    anchors = {parameter: torch.tensor([1.0]) for parameter in (slow, fast, frozen)}
    proximal_step_(SourceRegularizer(settings(l2_sp=5.0), anchors, None, None), optimizer)
    assert slow.tolist() == pytest.approx([1 + 2 / 1.5])
    assert fast.tolist() == pytest.approx([2.0])
    assert frozen.tolist() == [3.0], "without a gradient it was not updated, so it is not pulled"
    assert new.tolist() == [3.0], "an added parameter has no value in the source"


def test_l2_sp_anchors_the_encoders_own_weights_at_the_sources(tones: Tones) -> None:
    source = source_model("dnn")
    model = with_new_layers(target_model(source, tones), adapter_dim=4)
    regularizer = build_regularizer(model, settings(l2_sp=0.3))
    assert regularizer is not None and regularizer.config.l2_sp == 0.3
    names = {parameter: name for name, parameter in model.encoder.named_parameters()}
    found = {names[parameter]: value for parameter, value in regularizer.anchors.items()}
    assert found.keys() == dict(source.encoder.named_parameters()).keys(), "not the adapters, not the head"
    assert all(torch.equal(found[name], value) for name, value in source.encoder.named_parameters())
    assert build_regularizer(model, settings(l2_sp=0.0)) is None


@pytest.mark.parametrize("encoder", ["conformer", "cnn", "dnn"])
def test_the_strongest_l2_sp_is_a_frozen_encoder(tones: Tones, tmp_path: Path, encoder: str) -> None:
    """Weights of the encoder, and with the source's batch statistics all outputs: the head is then trained alike, too."""
    source = source_model(encoder)
    strong, frozen, weak = (
        finetune(target_model(source, tones), tones.train, tones.dev, config, out=tmp_path / str(i))
        for i, config in enumerate(
            (
                settings(l2_sp=1e9, batch_norm="frozen"),
                settings(freeze="encoder"),
                settings(l2_sp=1e-9, batch_norm="frozen"),
            )
        )
    )
    assert furthest(strong.encoder, source.encoder) < 1e-7
    assert furthest(weak.encoder, source.encoder) > 1e-4, "without the pull they change"
    features, lengths = batch_of([120, 61]).features, torch.tensor([120, 61])
    with torch.inference_mode():
        expected, start = frozen(features, lengths)[0], target_model(source, tones)(features, lengths)[0]
        torch.testing.assert_close(strong(features, lengths)[0], expected, rtol=0, atol=1e-5)
    assert (expected - start).abs().max() > 1e-3, "the head is trained"


def test_by_default_there_is_no_pull(tones: Tones, tmp_path: Path) -> None:
    """A transferred model trains as one without a source does, and otherwise with L2-SP."""
    source = source_model("dnn")

    def trained(name: str, has_source: bool = True, **changes: object) -> dict[str, Tensor]:
        model = target_model(source, tones)
        model.parents = model.parents if has_source else ()
        return state(finetune(model, tones.train, tones.dev, settings(**changes), out=tmp_path / name))

    default, half, alone = trained("default"), trained("half", l2_sp=0.5), trained("alone", has_source=False)
    assert all(torch.equal(value, default[name]) for name, value in alone.items())
    assert not all(torch.equal(value, default[name]) for name, value in half.items())


def test_more_l2_sp_stays_nearer(tones: Tones, tmp_path: Path) -> None:
    source = source_model("dnn")
    apart = []
    for weight in (1e-9, 100.0, 1e4):
        model = target_model(source, tones)
        finetune(model, tones.train, tones.dev, settings(l2_sp=weight), out=tmp_path / str(weight))
        apart.append(furthest(model.encoder, source.encoder))
    assert apart[0] > 1.05 * apart[1] and apart[1] > 5 * apart[2] > 0, apart


# What is refused -----------------------------------------------------------------------------------------------------


def test_replay_needs_manifests_of_the_source() -> None:
    with pytest.raises(InputError, match=r"finetune\.replay needs speech .* finetune\.source_manifests"):
        load_config(None, ["finetune.replay=0.5"])
    config = load_config(None, ["finetune.replay=0.5", 'finetune.source_manifests=["a.jsonl"]'])
    assert config.finetune.source_manifests == ["a.jsonl"]


@pytest.mark.parametrize("name", ["l2_sp", "distillation", "replay"])
def test_regularisers_need_a_transferred_model(tones: Tones, tmp_path: Path, name: str) -> None:
    with pytest.raises(
        InputError, match=rf"finetune\.{name} refers to a source model, and this model was not made by a"
    ):
        finetune(
            source_model("dnn"),
            tones.train,
            tones.dev,
            settings(**{name: 0.5}),
            out=tmp_path / "run",
            source_data=tones.source,
        )
    assert not (tmp_path / "run").exists()


def test_replay_needs_source_data(tones: Tones, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"finetune\.replay needs speech that the source was trained on"):
        finetune(target_model(source_model("dnn"), tones), tones.train, tones.dev, settings(replay=0.5), out=tmp_path)


# Distillation --------------------------------------------------------------------------------------------------------


def perturbed(source: AcousticModel) -> AcousticModel:
    """The same model, every weight of its encoder a little off."""
    other = copy.deepcopy(source)
    generator = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for weights in other.encoder.parameters():
            weights.add_(0.05 * torch.randn(weights.shape, generator=generator))
    return other


@pytest.mark.parametrize("task", ["ctc", "classify"])
@pytest.mark.parametrize("encoder", ["conformer", "cnn", "dnn"])
def test_the_distillation_loss_of_the_source_itself_is_zero(encoder: str, task: str) -> None:
    source, batch = source_model(encoder, task), batch_of([120, 61])
    model = transfer(source, Vocabulary((BLANK, "x")), dropout=None).model
    with torch.no_grad():
        layers, lengths = model.encode(batch.features, batch.lengths)
        assert distillation_loss(source, batch, layers, lengths).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("encoder", ["conformer", "cnn", "dnn"])
def test_the_distillation_loss_is_torchs_divergence_over_valid_frames(encoder: str) -> None:
    """Each utterance by itself, so that no padding can have a part in the expected value."""
    source, batch = source_model(encoder), batch_of([120, 61, 37])
    model = perturbed(source)
    frames = []
    with torch.no_grad():
        for features, length in alone(batch):
            wanted, found = (source.head(each.encoder(features, length)[0][0]) for each in (source, model))
            frames.append(kl_divergence(Categorical(logits=wanted), Categorical(logits=found)))
        layers, lengths = model.encode(batch.features, batch.lengths)
        padded = kl_divergence(
            *(Categorical(logits=source.head(e.encoder(batch.features, batch.lengths)[0])) for e in (source, model))
        )
        divergence = distillation_loss(source, batch, layers, lengths)
    expected = torch.cat(frames).mean().item()
    assert divergence.item() == pytest.approx(expected, rel=1e-4) and expected > 1e-4
    assert padded.mean().item() != pytest.approx(expected, rel=1e-2), "padding would be noticed"


def test_the_distillation_loss_of_words_is_torchs_divergence_between_the_words() -> None:
    """One distribution an utterance; the blank is no word."""
    source, batch = source_model("cnn", "classify"), batch_of([120, 61, 37])
    model = perturbed(source)
    divergences = []
    with torch.no_grad():
        for each in alone(batch):
            wanted, found = (one(*each)[0][0, 0, 1:] for one in (source, model))
            divergences.append(kl_divergence(Categorical(logits=wanted), Categorical(logits=found)))
        layers, lengths = model.encode(batch.features, batch.lengths)
        divergence = distillation_loss(source, batch, layers, lengths)
    expected = torch.stack(divergences).mean().item()
    assert divergence.item() == pytest.approx(expected, rel=1e-3) and expected > 1e-5


def test_distillation_has_no_gradient_for_the_source() -> None:
    source, batch = source_model("cnn"), batch_of([120, 61])
    source.requires_grad_(False)
    model = perturbed(source).requires_grad_(True)
    apart = distillation_loss(source, batch, *model.encode(batch.features, batch.lengths))
    torch.autograd.backward(apart)
    assert all(weights.grad is None for weights in source.parameters())
    assert all(weights.grad is not None for weights in model.encoder.parameters())


# One step of the loop, by hand ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """The batches of one step, and the loss that it returned."""

    loss: float
    batch: Batch
    replay: Batch | None


def one_step(model: AcousticModel, tones: Tones, monkeypatch: pytest.MonkeyPatch, config: FinetuneConfig) -> Step:
    sampled: list[Batch | None] = []

    def watched(*arguments: Any) -> Batch | None:
        sampled.append(sample_replay_batch(*arguments))
        return sampled[-1]

    monkeypatch.setattr(step, "sample_replay_batch", watched)
    run = prepare_run(model, tones.train, tones.dev, config, DataConfig(), tones.folder / "run", tones.source)
    planned = loading.PlannedBatch([4, 0, 2], np.zeros(3, dtype=np.int64), 0, 1, augment=False)
    _, batch = loading._load(run, planned)
    set_frozen(model, frozen_modules(model, config))
    [loss] = step.read_losses(run, [step.training_step(run, step.build_optimizer(run), batch, 0)])
    return Step(loss, batch, sampled[0] if sampled else None)


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
    taken = one_step(model, tones, monkeypatch, settings(replay=0.5))
    assert taken.replay is not None and set(taken.replay.ids) <= {u.id for u in tones.source}
    with torch.no_grad():
        total = ctc_sum(*twin(taken.batch.features, taken.batch.lengths), taken.batch)
        encoded, lengths = twin.encoder(taken.replay.features, taken.replay.lengths)
        logits = nn.functional.linear(encoded, source.head.weight, source.head.bias)
        total += ctc_sum(logits.log_softmax(-1), lengths, taken.replay)
    symbols = int(taken.batch.target_lengths.sum() + taken.replay.target_lengths.sum())
    assert taken.loss == pytest.approx(total / symbols, rel=1e-3)
    assert same_bits(source, before)
    assert furthest(model.encoder, source.encoder) > 1e-5, "it was a step"


def test_a_step_with_distillation_by_hand(tones: Tones, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source is replaced by one with other encoder weights, so the divergence is not zero at the first step."""
    source = source_model("dnn")
    model = target_model(source, tones)
    twin, weight = copy.deepcopy(model), 1e3
    build = preparation.copy_source_model

    def other_source(transferred: AcousticModel) -> AcousticModel:
        return perturbed(build(transferred)).requires_grad_(False)

    monkeypatch.setattr(preparation, "copy_source_model", other_source)
    taken = one_step(model, tones, monkeypatch, settings(distillation=weight))
    with torch.no_grad():
        symbols = int(taken.batch.target_lengths.sum())
        own = ctc_sum(*twin(taken.batch.features, taken.batch.lengths), taken.batch) / symbols
        divergences = [
            kl_divergence(
                *(Categorical(logits=source.head(one.encoder(*each)[0])) for one in (perturbed(source), twin))
            )[0]
            for each in alone(taken.batch)
        ]
    divergence = torch.cat(divergences).mean().item()
    assert taken.loss == pytest.approx(own + weight * divergence, rel=1e-3)
    assert weight * divergence > 0.1 * own


@pytest.mark.parametrize("encoder", ["conformer", "cnn"])
def test_intermediate_ctc_is_off_where_the_lower_half_is_frozen(
    tones: Tones, monkeypatch: pytest.MonkeyPatch, encoder: str
) -> None:
    model = target_model(source_model(encoder), tones)
    whole = copy.deepcopy(model).eval()
    taken = one_step(model, tones, monkeypatch, settings(freeze="encoder", intermediate_ctc=0.3))
    with torch.no_grad():
        final = ctc_sum(*whole(taken.batch.features, taken.batch.lengths), taken.batch)
    assert taken.loss == pytest.approx(final / int(taken.batch.target_lengths.sum()), rel=1e-3)


@pytest.mark.parametrize("encoder", ["conformer", "cnn"])
def test_a_step_with_intermediate_ctc_by_hand(tones: Tones, monkeypatch: pytest.MonkeyPatch, encoder: str) -> None:
    """Three of six Conformer layers, two of four of the CNN, cut off and put under the same head."""
    model = target_model(source_model(encoder), tones)
    with torch.no_grad():
        model.head.weight.mul_(5.0)  # so that the two losses are well apart
    whole = copy.deepcopy(model).train()
    half = copy.deepcopy(whole)
    layers = {"conformer": 3, "cnn": 2}[encoder]
    assert len(half.encoder.layers) == 2 * layers
    half.encoder.layers, half.encoder.adapters = half.encoder.layers[:layers], half.encoder.adapters[:layers]
    taken = one_step(model, tones, monkeypatch, settings(intermediate_ctc=0.3))
    with torch.no_grad():
        final, middle = (
            ctc_sum(*each(taken.batch.features, taken.batch.lengths), taken.batch) for each in (whole, half)
        )
    assert taken.loss == pytest.approx((0.7 * final + 0.3 * middle) / int(taken.batch.target_lengths.sum()), rel=1e-3)
    assert abs(middle - final) > 0.05 * final


def test_intermediate_ctc_is_on_by_default_where_a_ctc_head_can_read_the_middle() -> None:
    default = {name: intermediate_weight(source_model(name), None) for name in ("conformer", "cnn", "dnn")}
    assert default == {"conformer": 0.3, "cnn": 0.3, "dnn": 0.0}
    assert intermediate_weight(source_model("cnn", "classify"), None) == 0.0
    assert [intermediate_weight(source_model("cnn"), weight) for weight in (0.0, 0.5)] == [0.0, 0.5]


def test_intermediate_ctc_is_refused_for_words() -> None:
    with pytest.raises(InputError, match=r"finetune\.intermediate_ctc is for task ctc, and the task is classify"):
        check_intermediate_ctc(source_model("cnn", "classify"))


def test_intermediate_ctc_is_refused_for_layers_of_unequal_width(tones: Tones, tmp_path: Path) -> None:
    model = target_model(source_model("dnn"), tones)
    with pytest.raises(InputError, match=r"finetune\.intermediate_ctc needs an encoder whose layers have equal width"):
        finetune(model, tones.train, tones.dev, settings(intermediate_ctc=0.3), out=tmp_path)


# Replay --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def speech(tones: Tones) -> ReplayData:
    return replay_data(source_model("dnn"), tones)


def sampled(speech: ReplayData, share: float, frames: int, seed: int) -> Batch | None:
    regularizer = SourceRegularizer(settings(replay=share), {}, None, speech)
    return sample_replay_batch(regularizer, frames, np.random.default_rng(seed))


@pytest.mark.parametrize(("share", "ratio"), [(0.5, 1.0), (0.25, 1 / 3), (0.75, 3.0)])
def test_replay_takes_its_share_of_the_frames(speech: ReplayData, share: float, ratio: float) -> None:
    longest, all_frames = max(speech.store.frames[0]), sum(speech.store.frames[0])
    frames = round(0.8 * all_frames / ratio)
    for seed in range(20):
        batch = sampled(speech, share, frames, seed)
        assert batch is not None and len(set(batch.ids)) == len(batch.ids) < 7
        assert frames * ratio - longest < int(batch.lengths.sum()) <= frames * ratio


def test_replay_takes_at_least_one_utterance_and_at_most_all(speech: ReplayData) -> None:
    few, many = sampled(speech, 0.5, 1, 0), sampled(speech, 0.5, 10**6, 0)
    assert few is not None and len(few.ids) == 1
    assert many is not None and sorted(many.ids) == sorted(speech.ids)
    assert sampled(speech, 0.0, 10**6, 0) is None


def test_replay_depends_on_the_generator_alone(speech: ReplayData) -> None:
    frames = sum(speech.store.frames[0]) // 2
    first, again = ([sampled(speech, 0.5, frames, seed) for seed in range(8)] for _ in range(2))
    assert [batch.ids for batch in first if batch] == [batch.ids for batch in again if batch]
    assert len({batch.ids for batch in first if batch}) > 4
    for batch in first:
        assert batch is not None
        targets = batch.targets.split(batch.target_lengths.tolist())
        for name, length, target, values in zip(batch.ids, batch.lengths, targets, batch.features, strict=True):
            place = speech.ids.index(name)
            assert target.tolist() == list(speech.targets[place])
            assert np.array_equal(values[:length].numpy(), speech.store.get(place))


def test_replay_reduces_forgetting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The target has the source's letters at other pitches: what is right for one is wrong for the other."""

    def spoken(split: str, letters: str, utterances: int, seed: int) -> list[Utterance]:
        return write_tone_corpus(tmp_path / f"{split}.jsonl", utterances, letters=letters, seed=seed, words=(2, 4))

    own, own_dev = spoken("own", "abcd", 30, 1), spoken("own_dev", "abcd", 8, 2)
    train, dev = spoken("train", "dbca", 30, 3), spoken("dev", "dbca", 8, 4)
    torch.manual_seed(0)
    architecture = Architecture("cnn", "tiny", 4, dropout=0.0)
    vocabulary = Vocabulary.from_texts(u.text for u in own)
    source = AcousticModel(architecture, vocabulary, PRESETS["kaldi-mvn"], Normalizer())
    monkeypatch.setattr(step, "CLIP_NORM", 5.0)
    rates = {"encoder_lr": 3e-3, "head_lr": 3e-3}
    finetune(source, own, own_dev, settings(steps=60, evaluate_every_steps=60, **rates), out=tmp_path / "source")
    assert evaluate(source, own_dev).cer < 0.15
    forgotten = {}
    for share in (0.0, 0.5):
        model = finetune(
            transfer(source, vocabulary, dropout=None).model,
            train,
            dev,
            settings(steps=40, evaluate_every_steps=40, replay=share, l2_sp=0.0, **rates),
            out=tmp_path / str(share),
            source_data=own,
        )
        assert evaluate(model, dev).cer < 0.15
        forgotten[share] = evaluate(model.as_parent(), own_dev).cer
    assert forgotten[0.5] < 0.5 * forgotten[0.0], forgotten
