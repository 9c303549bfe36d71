"""Methods of adaptation: adapters, new layers, gradual unfreezing, rates by layer, parents' heads, partial loading."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from speechxfer.adaptation.construction import transfer, with_new_layers
from speechxfer.adaptation.freezing import unfreeze_step
from speechxfer.adaptation.partial_loading import load_matching
from speechxfer.checkpoints.card import Card, read_card
from speechxfer.checkpoints.loading import load_model
from speechxfer.checkpoints.model_folders import save_model
from speechxfer.config.loading import load_config
from speechxfer.config.settings import Config, FinetuneConfig
from speechxfer.data.manifest import Utterance, read_manifest
from speechxfer.decoding.evaluation import evaluate
from speechxfer.errors import InputError
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.text.vocabulary import BLANK, Vocabulary
from speechxfer.training.loop import finetune
from speechxfer.training.metrics import read_metrics
from speechxfer.training.schedule import learning_rates, peak_encoder_lr, peak_head_lr, step_audio_s
from speechxfer.workflows.evaluation_runs import RowTarget, check_same_training, evaluate_models
from speechxfer.workflows.results import read_rows
from speechxfer.workflows.training_runs import adapt, train_from_scratch
from tests.small_models import ENCODERS, LENGTHS, QUICK, SOURCE, Tones, features, output, settings, source_model, state

loop = sys.modules["speechxfer.training.loop"]
TARGET = Vocabulary.from_texts(["d cab"])


def changed_names(before: dict[str, Tensor], module: nn.Module) -> set[str]:
    after = state(module)
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def perturbed(model: AcousticModel) -> AcousticModel:
    """Add noise to every weight, in place, so that new adapters and layers are not the identity."""
    generator = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(0.1 * torch.randn(weights.shape, generator=generator))
    return model


def run(model: AcousticModel, tones: Tones, out: Path, config: FinetuneConfig = QUICK) -> AcousticModel:
    return finetune(model, tones.train, tones.dev, config, out=out)


# Adapters ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_new_adapters_are_the_identity(encoder: str, training: bool) -> None:
    plain = source_model(encoder).train(training)
    before, generator = state(plain), torch.get_rng_state()
    model = with_new_layers(plain, adapter_dim=8)
    assert torch.equal(torch.get_rng_state(), generator)
    assert model.architecture == replace(plain.architecture, adapter_dim=8)
    assert model.training is training and not changed_names(state(plain), model)
    assert torch.equal(output(model), output(plain))
    added = state(model).keys() - before.keys()
    assert len(added) == 6 * len(plain.encoder.layers) and all(".adapters." in name for name in added)
    before = state(plain)
    perturbed(model)
    assert not changed_names(before, plain), "nothing is shared"
    assert (output(model) - output(plain)).abs().max() > 1e-3


def test_adapters_equal_a_computation_by_hand() -> None:
    """After each layer: x + W2 silu(W1 norm(x) + b1) + b2, in a network of two dense layers."""
    model = perturbed(with_new_layers(source_model("dnn"), adapter_dim=8)).eval()
    weights = state(model)
    x = features()
    for i in range(2):
        x = torch.relu(x @ weights[f"encoder.layers.{i}.0.weight"].T + weights[f"encoder.layers.{i}.0.bias"])
        part = f"encoder.adapters.{i}.correction"
        centred = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
        narrow = centred * weights[f"{part}.0.weight"] + weights[f"{part}.0.bias"]
        narrow = narrow @ weights[f"{part}.1.weight"].T + weights[f"{part}.1.bias"]
        assert narrow.shape[-1] == 8
        x = x + (narrow * torch.sigmoid(narrow)) @ weights[f"{part}.3.weight"].T + weights[f"{part}.3.bias"]
    expected = (x @ weights["head.weight"].T + weights["head.bias"]).log_softmax(-1)
    torch.testing.assert_close(output(model), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_adapters_are_trained_in_a_frozen_encoder(tones: Tones, tmp_path: Path, encoder: str) -> None:
    """Its other weights and its batch statistics are the same bits after training."""
    model = with_new_layers(transfer(source_model(encoder), TARGET).model, adapter_dim=8)
    before = state(model)
    run(model, tones, tmp_path, settings(freeze="encoder"))
    adapters = {name for name in before if ".adapters." in name}
    assert adapters and changed_names(before, model) == adapters | {"head.weight", "head.bias"}


def test_new_layers_above_the_encoder_are_a_layer_norm() -> None:
    plain = source_model("cnn")
    model = with_new_layers(plain, extra_layers=2)
    with torch.inference_mode():
        x, _ = plain.encoder(features(), LENGTHS)
        for _ in range(2):
            x = functional.layer_norm(x, x.shape[-1:])
        expected = plain.head(x).log_softmax(-1)
    torch.testing.assert_close(output(model), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_new_layers_are_trained_above_a_frozen_encoder(tones: Tones, tmp_path: Path, encoder: str) -> None:
    model = with_new_layers(transfer(source_model(encoder), TARGET).model, extra_layers=1)
    before = state(model)
    run(model, tones, tmp_path, settings(freeze="encoder"))
    changed = changed_names(before, model)
    assert not [name for name in changed if name.startswith("encoder.")]
    new = {name for name in before if name.startswith("extra.layers.0.")}
    assert len(new) > 20 and changed == new | {"head.weight", "head.bias"}


def test_new_layers_are_added_above_existing_ones() -> None:
    first = perturbed(with_new_layers(source_model("dnn"), adapter_dim=8, extra_layers=1)).eval()
    second = with_new_layers(first, extra_layers=1)
    assert (second.architecture.adapter_dim, second.architecture.extra_layers) == (8, 2)
    assert not changed_names(state(first), second), "existing layers are not changed"
    with torch.inference_mode():
        x, lengths = first.encoder(features(), LENGTHS)
        x = functional.layer_norm(first.extra(x, lengths), x.shape[-1:])
        expected = first.head(x).log_softmax(-1)
    torch.testing.assert_close(output(second), expected, rtol=0, atol=1e-5)


def test_new_layers_depend_on_the_seed() -> None:
    plain = source_model("dnn")
    first, again, other = (state(with_new_layers(plain, adapter_dim=4, extra_layers=1, seed=s)) for s in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    different = {name for name in first if not torch.equal(first[name], other[name])}
    assert any(".adapters." in name for name in different) and any(name.startswith("extra.") for name in different)


def test_adapters_of_another_width_are_refused() -> None:
    model = with_new_layers(source_model("dnn"), adapter_dim=8)
    with pytest.raises(InputError, match=r"transfer\.adapter_dim = 4, but the source has adapters of width 8"):
        with_new_layers(model, adapter_dim=4)
    for width in (0, 8):
        assert torch.equal(output(with_new_layers(model, adapter_dim=width)), output(model))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_adapters_and_new_layers_are_saved(tmp_path: Path, encoder: str) -> None:
    model = perturbed(with_new_layers(source_model(encoder), adapter_dim=8, extra_layers=1))
    save_model(model, tmp_path / "model", Card("grown"))
    loaded = load_model(tmp_path / "model")
    assert (loaded.architecture.adapter_dim, loaded.architecture.extra_layers) == (8, 1)
    assert torch.equal(output(loaded), output(model))


# Gradual unfreezing and learning rates --------------------------------------------------------------------------------------


def test_the_top_group_is_unfrozen_first() -> None:
    gradual = settings(unfreeze_every_steps=2)
    assert [unfreeze_step(gradual, group, 3) for group in (2, 1, 0)] == [2, 4, 6]
    assert [unfreeze_step(settings(), group, 3) for group in (2, 1, 0)] == [0, 0, 0]
    assert [unfreeze_step(settings(freeze=2), group, 3) for group in (2, 1, 0)] == [0, None, None]
    assert unfreeze_step(settings(freeze="encoder"), 2, 3) is None


def test_each_unfrozen_group_has_its_own_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten steps of warm-up, a constant rate after it; of two groups the upper joins at step 20, the lower at 40."""
    monkeypatch.setattr("speechxfer.training.schedule.FINAL_FRACTION", 1.0)
    config = settings(warmup_steps=10, steps=None, unfreeze_every_steps=20)
    rates = {step: learning_rates(config, (1.0, 2.0), 100, step, 2) for step in (20, 24, 29, 40, 44, 49)}
    assert [rates[step][1] for step in (20, 24, 29, 40, 49)] == pytest.approx([0.1, 0.5, 1.0, 1.0, 1.0])
    assert [rates[step][0] for step in (40, 44, 49)] == pytest.approx([0.1, 0.5, 1.0])
    assert {head for *_, head in rates.values()} == {2.0}


def test_groups_are_trained_one_after_the_other_from_the_top(
    tones: Tones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five groups, two steps each: in the first two steps only the head changes. Batch statistics change with weights."""
    model = transfer(source_model("cnn"), TARGET).model
    groups = [state(group) for group in model.encoder.layer_groups()]
    head = state(model.head)
    moves: list[tuple[list[int], list[int], bool]] = []
    step = loop.training_step

    def watched(*arguments: Any) -> Any:
        result = step(*arguments)
        changed = [changed_names(old, group) for old, group in zip(groups, model.encoder.layer_groups(), strict=True)]
        weights = [i for i, names in enumerate(changed) if any(name.endswith("weight") for name in names)]
        statistics = [i for i, names in enumerate(changed) if any("running" in name for name in names)]
        moves.append((weights, statistics, bool(changed_names(head, model.head))))
        return result

    monkeypatch.setattr(loop, "training_step", watched)
    config = settings(steps=11, evaluate_every_steps=3, unfreeze_every_steps=2)
    run(model, tones, tmp_path, config)
    expected = [[], [], [4], [4], [3, 4], [3, 4], [2, 3, 4], [2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4], [0, 1, 2, 3, 4]]
    assert moves == [(unfrozen, unfrozen, True) for unfrozen in expected]


@pytest.mark.parametrize("freeze", ['"encoder"', "2"])
def test_gradual_unfreezing_contradicts_another_freeze(freeze: str) -> None:
    with pytest.raises(InputError, match=r"finetune\.unfreeze_every_steps = 5 .* set only one of them"):
        load_config(None, ["finetune.unfreeze_every_steps=5", f"finetune.freeze={freeze}"])


def test_rates_decay_from_layer_to_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speechxfer.training.schedule.FINAL_FRACTION", 1.0)
    constant = {"steps": 100, "warmup_steps": 10}
    falling = settings(**constant, layer_decay=0.5)
    assert learning_rates(falling, (1.0, 3.0), 100, 50, 3) == pytest.approx([0.25, 0.5, 1.0, 3.0])
    assert learning_rates(falling, (1.0, 3.0), 100, 4, 3) == pytest.approx([0.125, 0.25, 0.5, 1.5]), "half warmed up"
    assert learning_rates(settings(**constant), (1.0, 3.0), 100, 50, 3) == pytest.approx([1.0, 1.0, 1.0, 3.0])


def test_defaults_depend_on_the_size_of_the_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder of the fixture counts as one of other sizes; 27 times as many parameters have a ninth of the rate."""
    unset, source = FinetuneConfig(), source_model("conformer")
    assert (peak_encoder_lr(unset, source), peak_head_lr(unset, source)) == (1e-3, 1e-3), "random weights"
    model = transfer(source, TARGET).model
    assert (peak_encoder_lr(unset, model), step_audio_s(unset, model)) == (2e-3, 40.0)
    for size, rate, seconds in ((3_200_000, 2e-3, 40.0), (86_400_000, 2e-3 / 9, 20.0), (600_000_000, 6.1e-5, 20.0)):
        monkeypatch.setattr("speechxfer.training.schedule._encoder_size", lambda _, size=size: size)
        assert peak_encoder_lr(unset, model) == pytest.approx(rate, rel=0.01)
        assert step_audio_s(unset, model) == seconds
    for dimension, rate in ((96, 4e-3), (128, 4e-3), (1024, 5e-4)):
        model.head = nn.Linear(dimension, 5)
        assert peak_head_lr(unset, model) == rate
    assert peak_head_lr(FinetuneConfig(head_lr=0.0), model) == 0.0
    given = FinetuneConfig(encoder_lr=2e-4, batch_s=8.0)
    assert (peak_encoder_lr(given, model), step_audio_s(given, model)) == (2e-4, 8.0)
    assert peak_encoder_lr(FinetuneConfig(encoder_lr=0.0), model) == 0.0


def test_a_large_encoder_is_trained_at_its_own_default_rate(
    tones: Tones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row after ten steps of warm-up has the peak."""
    monkeypatch.setattr("speechxfer.training.schedule._encoder_size", lambda _: 86_400_000)
    config = settings(encoder_lr=None, head_lr=2e-3, steps=20, warmup_steps=10, evaluate_every_steps=20)
    run(transfer(source_model("cnn"), TARGET).model, tones, tmp_path, config)
    row = next(row for row in read_metrics(tmp_path / "metrics.jsonl") if row["step"] == 10)
    assert (row["encoder_lr"], row["head_lr"]) == pytest.approx((2e-3 / 9, 2e-3))


def test_a_run_records_the_settings_that_follow_from_its_model(tones: Tones, tmp_path: Path) -> None:
    """A run with the same values given belongs to it: it is pooled with it, and one with others is not."""
    save_model(source_model("cnn"), tmp_path / "cnn")
    names = ("batch_s", "encoder_lr", "head_lr")
    for number, changes in enumerate(({}, {"encoder_lr": 2e-3, "batch_s": 40.0}, {"encoder_lr": 1e-3})):
        unset = settings(steps=2, evaluate_every_steps=2, seed=number, **(dict.fromkeys(names) | changes))
        adapt(str(tmp_path / "cnn"), tones.train, tones.dev, out=tmp_path / str(number), config=Config(finetune=unset))
    details = read_card(tmp_path / "0").details
    assert [details[name] for name in names] == [40.0, 2e-3, 4e-3]
    check_same_training([str(tmp_path / "0"), str(tmp_path / "1")])
    with pytest.raises(InputError, match=r"finetune\.encoder_lr differ"):
        check_same_training([str(tmp_path / "0"), str(tmp_path / "2")])


def test_the_length_of_a_step_is_its_layers_learning_rate(tones: Tones, tmp_path: Path) -> None:
    """The first step of Adam is as long as the rate for every weight that has a gradient at all."""
    model = with_new_layers(transfer(source_model("conformer"), TARGET).model, adapter_dim=4)
    before = [state(group) for group in [*model.encoder.layer_groups(), model.encoder.adapters, model.head]]
    rates_only = {"warmup_steps": 0, "encoder_lr": 1e-3, "head_lr": 5e-3, "weight_decay": 0.0, "l2_sp": 0.0}
    config = settings(steps=1, evaluate_every_steps=1, layer_decay=0.5, batch_norm="frozen", **rates_only)
    run(model, tones, tmp_path, config)
    groups = [*model.encoder.layer_groups(), model.encoder.adapters, model.head]
    furthest = [
        max(float((value - old[name]).abs().max()) for name, value in state(group).items() if value.is_floating_point())
        for old, group in zip(before, groups, strict=True)
    ]
    rates = [1e-3 * 0.5**distance for distance in (6, 5, 4, 3, 2, 1, 0)]
    assert furthest == pytest.approx([*rates, 5e-3, 5e-3], rel=2e-2)


@pytest.mark.parametrize("encoder", ["conformer", "cnn"])
@pytest.mark.parametrize("batch_norm", ["train", "frozen"])
def test_batch_norms_can_keep_the_sources_statistics(
    tones: Tones, tmp_path: Path, encoder: str, batch_norm: str
) -> None:
    """Six Conformer layers, two strided and four other layers of the CNN have one each; all weights are trained either way."""
    model = transfer(source_model(encoder), TARGET).model
    before = state(model.encoder)
    run(model, tones, tmp_path, settings(batch_norm=batch_norm))
    changed, buffers = changed_names(before, model.encoder), {name for name, _ in model.encoder.named_buffers()}
    assert len(buffers) == 18 and changed - buffers == before.keys() - buffers
    assert changed & buffers == (buffers if batch_norm == "train" else set())


def test_frozen_statistics_normalise_the_frames(tones: Tones, tmp_path: Path) -> None:
    """In training, too, where else the batch's own would be taken."""
    model = transfer(source_model("cnn"), TARGET).model
    captured: list[tuple[Tensor, Tensor]] = []
    norm = model.encoder.strided[0].norm
    norm.register_forward_hook(lambda module, inputs, out: captured.append((inputs[0].detach(), out.detach())))
    mean, variance = norm.running_mean.clone(), norm.running_var.clone()
    config = settings(steps=1, evaluate_every_steps=1, encoder_lr=1e-6, batch_norm="frozen")
    run(model, tones, tmp_path, config)
    x, out = (value[0, :10].cpu() for value in captured[0])
    weight, bias = (value.detach().cpu() for value in (norm.weight, norm.bias))
    torch.testing.assert_close(out, (x - mean) / (variance + 1e-5).sqrt() * weight + bias, rtol=0, atol=1e-3)


# Parents -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["ctc", "classify"])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_new_model_with_its_parents_head_equals_its_source(tmp_path: Path, encoder: str, task: str) -> None:
    words = Vocabulary((BLANK, "yes", "no"), "words")
    source = source_model(encoder, words if task == "classify" else SOURCE, task)
    source.name = "ancestor"
    grown = with_new_layers(transfer(source, TARGET, task="ctc").model, adapter_dim=4, extra_layers=1)
    save_model(transfer(source, TARGET, task="ctc").model, tmp_path / "plain", Card("plain"))
    save_model(grown, tmp_path / "grown", Card("grown"))
    made = [
        transfer(source, TARGET, task="ctc").model,
        grown,
        load_model(tmp_path / "plain"),
        load_model(tmp_path / "grown"),
    ]
    for model in made:
        parent = model.as_parent()
        assert torch.equal(output(parent), output(source))
        assert (parent.vocabulary, parent.normalizer, parent.task) == (source.vocabulary, source.normalizer, task)
        assert parent.parents == () and model.parents[0].name == "ancestor"
        assert next(parent.encoder.parameters()) is next(model.encoder.parameters()), "one encoder under two heads"


def test_a_parents_head_uses_the_present_encoder() -> None:
    source = source_model("cnn")
    model = perturbed(transfer(source, TARGET).model)
    mixed = source_model("cnn")
    mixed.encoder.load_state_dict(model.encoder.state_dict())
    assert torch.equal(output(model.as_parent()), output(mixed))
    assert not torch.equal(output(mixed), output(source))


def test_a_chain_of_transfers_keeps_the_heads_of_all_parents(tmp_path: Path) -> None:
    """The second transfer is from a model with a layer of its own between encoder and head."""
    first = source_model("dnn")
    second = perturbed(with_new_layers(transfer(first, TARGET).model, extra_layers=1)).eval()
    first.encoder.load_state_dict(second.encoder.state_dict())  # the encoder as the second one has it
    third = with_new_layers(transfer(second, Vocabulary.from_texts(["xyz"])).model, extra_layers=1)
    save_model(third, tmp_path / "third", Card("third"))
    for model in (third, load_model(tmp_path / "third")):
        assert torch.equal(output(model.as_parent()), output(second))
        assert torch.equal(output(model.as_parent().as_parent()), output(first))
        assert [parent.extra_layers for parent in model.parents] == [1, 0]
        with pytest.raises(InputError, match="the head of no parent"):
            model.as_parent().as_parent().as_parent()


def test_a_model_from_random_weights_has_no_parent() -> None:
    with pytest.raises(InputError, match="a model trained from random weights has none"):
        source_model("dnn").as_parent()


def test_training_does_not_change_parents_heads(tones: Tones, tmp_path: Path) -> None:
    source = source_model("cnn")
    model = run(transfer(source, TARGET).model, tones, tmp_path)
    assert torch.equal(model.parents[0].weight, source.head.weight)
    assert torch.equal(model.parents[0].bias, source.head.bias)


def without_vocabulary(folder: Path) -> None:
    [parent] = json.loads((folder / "parents.json").read_text())
    del parent["vocabulary"]
    (folder / "parents.json").write_text(json.dumps([parent]))


def of_an_unknown_normaliser(folder: Path) -> None:
    [parent] = json.loads((folder / "parents.json").read_text())
    (folder / "parents.json").write_text(json.dumps([parent | {"normalizer": {"version": 99}}]))


def one_more_parent(folder: Path) -> None:
    parents = json.loads((folder / "parents.json").read_text())
    (folder / "parents.json").write_text(json.dumps(parents * 2))


def no_json(folder: Path) -> None:
    (folder / "parents.json").write_text('[{"name"')


def no_list(folder: Path) -> None:
    (folder / "parents.json").write_text('{"name": "ancestor"}')


def no_heads(folder: Path) -> None:
    (folder / "parents.safetensors").unlink()


def half_the_heads(folder: Path) -> None:
    path = folder / "parents.safetensors"
    safetensors.torch.save_file({"0.weight": safetensors.torch.load_file(path)["0.weight"]}, path)


def with_changes(**changes: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        [parent] = json.loads((folder / "parents.json").read_text())
        (folder / "parents.json").write_text(json.dumps([parent | changes]))

    damage.__name__ = "with_changes_" + "_".join(changes)
    return damage


def one_symbol_fewer(folder: Path) -> None:
    [parent] = json.loads((folder / "parents.json").read_text())
    parent["vocabulary"]["symbols"].pop()
    (folder / "parents.json").write_text(json.dumps([parent]))


def no_description(folder: Path) -> None:
    (folder / "parents.json").unlink()


def empty(folder: Path) -> None:
    (folder / "parents.json").write_text("{}")


@pytest.mark.parametrize(
    "damage",
    [
        with_changes(task="nonsense"),
        with_changes(extra_layers=7),
        one_symbol_fewer,
        no_description,
        empty,
        without_vocabulary,
        of_an_unknown_normaliser,
        one_more_parent,
        no_json,
        no_list,
        no_heads,
        half_the_heads,
    ],
    ids=lambda damage: damage.__name__,
)
def test_damaged_parents_are_refused(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    save_model(transfer(source_model("dnn"), TARGET).model, tmp_path / "model", Card("model"))
    assert len(load_model(tmp_path / "model").parents) == 1
    damage(tmp_path / "model")
    with pytest.raises(InputError):
        load_model(tmp_path / "model")


def test_as_parent_does_not_change_modes_and_random_state() -> None:
    model = transfer(source_model(), TARGET).model.train()
    model.encoder.eval()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    model.as_parent()
    assert torch.equal(torch.rand(1), expected)
    assert model.training and not any(module.training for module in model.encoder.modules())


@pytest.mark.parametrize(
    "settings", [("transfer.lora_rank=2", "finetune.freeze=1"), ("finetune.freeze=encoder", "finetune.l2_sp=1.0")]
)
def test_settings_of_which_one_would_have_no_effect_are_refused(settings: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"finetune\.freeze"):
        load_config(None, settings)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("transfer.adapter_dim=4", r"\[transfer\] need a source model"),
        ("finetune.l2_sp=1.0", r"finetune\.l2_sp refers to a source model, and this model was not made by a transfer"),
        ("finetune.distillation=1.0", r"finetune\.distillation refers to a source model"),
    ],
)
def test_settings_of_a_transfer_are_refused_for_random_weights(
    tones: Tones, tmp_path: Path, setting: str, message: str
) -> None:
    config = load_config(None, ["model.encoder=dnn", "model.subsampling=1", "model.size=tiny", setting])
    with pytest.raises(InputError, match=message):
        train_from_scratch(
            [tones.folder / "train.jsonl"], [tones.folder / "dev.jsonl"], out=tmp_path / "run", config=config
        )


def test_a_missing_manifest_of_the_source_is_named(tones: Tones, tmp_path: Path) -> None:
    save_model(source_model("dnn"), tmp_path / "source", Card("source"))
    config = load_config(None, ["finetune.replay=0.5", 'finetune.source_manifests=["gone.jsonl"]'])
    with pytest.raises(InputError, match=r"gone\.jsonl"):
        adapt(
            str(tmp_path / "source"),
            [tones.folder / "train.jsonl"],
            [tones.folder / "dev.jsonl"],
            out=tmp_path / "run",
            config=config,
        )


def test_a_run_is_resumed_only_with_the_same_source_and_source_data(tones: Tones, tmp_path: Path) -> None:
    source_data = read_manifest(tones.folder / "source.jsonl")

    def resume(source: AcousticModel, source_data: list[Utterance]) -> None:
        model = transfer(source, Vocabulary.from_texts(u.text for u in tones.train)).model
        finetune(model, tones.train, tones.dev, settings(replay=0.5), out=tmp_path, source_data=source_data)

    resume(source_model(), source_data)
    for other, data in ((source_model(), source_data[:3]), (perturbed(source_model()), source_data)):
        with pytest.raises(InputError, match=r"started differently \(.*source (data|heads).* differ\)"):
            resume(other, data)
    resume(source_model(), source_data)


def test_a_finished_run_notices_other_source_data(tones: Tones, tmp_path: Path) -> None:
    save_model(source_model("dnn"), tmp_path / "source", Card("source"))
    lines = (tones.folder / "source.jsonl").read_text().splitlines(keepends=True)
    replayed = tones.folder / "replayed.jsonl"
    replayed.write_text("".join(lines))
    names = (
        "steps=2",
        "evaluate_every_steps=1",
        "replay=0.5",
        f'source_manifests=["{replayed}"]',
        "speed_factors=[1.0]",
    )
    config = load_config(None, [f"finetune.{name}" for name in names])

    def run() -> None:
        manifests = tones.folder / "train.jsonl", tones.folder / "dev.jsonl"
        adapt(tmp_path / "source", *manifests, out=tmp_path / "run", config=config)

    run()
    replayed.write_text("".join(lines[:-1]))
    with pytest.raises(InputError, match=r"other settings or data \(source_data differ\)"):
        run()


# Forgetting, measured ------------------------------------------------------------------------------------------------


def adapted_run(tones: Tones, folder: Path) -> Path:
    """A run from `folder`/ancestor whose encoder has changed, and whose head has nothing of the ancestor's."""
    save_model(source_model("dnn"), folder / "ancestor", Card("ancestor"))
    names = ("steps=2", "evaluate_every_steps=1", "encoder_lr=0.002", "precision=fp32", "speed_factors=[1.0]")
    config = load_config(None, ["transfer.head=random", *(f"finetune.{name}" for name in names)])
    train, dev = [tones.folder / "train.jsonl"], [tones.folder / "dev.jsonl"]
    adapt(str(folder / "ancestor"), train, dev, out=folder / "run", config=config)
    return folder / "run"


def test_forgetting_is_recorded_in_the_row_of_the_model(tones: Tones, tmp_path: Path) -> None:
    made = adapted_run(tones, tmp_path)
    results, own, out = tmp_path / "results.json", tones.folder / "source.jsonl", tmp_path / "scores"
    for split in ("dev", "train"):
        evaluate_models([str(made)], tones.folder / f"{split}.jsonl", out / split, results=RowTarget(results, "full"))
    target = read_rows(results)
    assert [row.forgetting for row in target] == [None, None]
    report = evaluate_models(
        [str(made)], own, out / "own", results=RowTarget(results, "full", "own speech"), as_parent=True
    )
    ancestor, utterances = load_model(tmp_path / "ancestor"), read_manifest(own)
    before = evaluate(ancestor, utterances)
    ancestor.encoder.load_state_dict(load_model(made).encoder.state_dict())
    after = evaluate(ancestor, utterances)
    assert (report.wer, report.cer) == (after.wer, after.cer)
    assert before.wer != after.wer and before.cer != after.cer != evaluate(load_model(made), utterances).cer
    rows = read_rows(results)
    assert [replace(row, forgetting=None) for row in rows] == target, "nothing else changes, and no row is added"
    for row in rows:
        found = row.forgetting
        assert found is not None and found.split == "own speech"
        assert [found.wer_before, found.wer_after] == pytest.approx([100 * before.wer, 100 * after.wer], abs=0.006)
        assert [found.cer_before, found.cer_after] == pytest.approx([100 * before.cer, 100 * after.cer], abs=0.006)
    assert json.loads((out / "own" / "report.json").read_text(encoding="utf-8"))
    evaluate_models([str(made)], tones.folder / "dev.jsonl", out / "dev", results=RowTarget(results, "full"))
    assert all(row.forgetting for row in read_rows(results)), "scoring the same model again keeps what was recorded"


def test_recording_forgetting_needs_the_row_of_the_model(tones: Tones, tmp_path: Path) -> None:
    made = adapted_run(tones, tmp_path)
    results, own = tmp_path / "results.json", tones.folder / "source.jsonl"
    with pytest.raises(InputError, match=r"results\.json: has no row 'full' from 'ancestor' with .* training hours"):
        evaluate_models([str(made)], own, tmp_path / "a", results=RowTarget(results, "full"), as_parent=True)
    assert not results.exists()
    evaluate_models([str(made)], tones.folder / "dev.jsonl", tmp_path / "b", results=RowTarget(results, "other"))
    written = results.read_bytes()
    with pytest.raises(InputError, match="evaluate the model on its own task first, with the same --row"):
        evaluate_models([str(made)], own, tmp_path / "c", results=RowTarget(results, "full"), as_parent=True)
    assert results.read_bytes() == written
    report = evaluate_models([str(made)], own, tmp_path / "d", as_parent=True)
    assert report.words > 6, "without --results no row is needed"


# Weights of another shape --------------------------------------------------------------------------------------------


def dense(inputs: int, classes: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 128), nn.ReLU(), nn.Linear(128, classes))


def test_the_overlap_of_a_wider_input_layer_is_loaded() -> None:
    """From 28 x 28 inputs to 3 x 32 x 32: the first layer's weights of the first 784 inputs are taken, and all else."""
    torch.manual_seed(0)
    digits, images = dense(784, 10), dense(3072, 10)
    given, before = state(digits), state(images)
    report = load_matching(images, digits.state_dict(), overlap=True)
    assert report.taken == ("0.bias", "2.weight", "2.bias")
    assert report.resized == report.overlap == ("0.weight",)
    assert report.missing == report.unexpected == ()
    assert str(report) == (
        "taken: 3; other shape, overlap taken: 1 (0.weight); other shape: 0; missing: 0; unexpected: 0"
    )
    after = state(images)
    assert after["0.weight"].shape == (128, 3072)
    assert torch.equal(after["0.weight"][:, :784], given["0.weight"])
    assert torch.equal(after["0.weight"][:, 784:], before["0.weight"][:, 784:])
    assert all(torch.equal(after[name], given[name]) for name in report.taken)
    assert not changed_names(given, digits) and images[0].weight.requires_grad
    x = torch.randn(5, 784)
    padded = torch.cat([x, torch.zeros(5, 3072 - 784)], dim=1)
    torch.testing.assert_close(images(padded), digits(x), rtol=0, atol=1e-5)


def test_the_overlap_of_a_larger_network_is_loaded() -> None:
    large, small = dense(3072, 12), dense(784, 10)
    given = state(large)
    report = load_matching(small, given, overlap=True)
    assert report.overlap == ("0.weight", "2.weight", "2.bias") and report.taken == ("0.bias",)
    after = state(small)
    assert torch.equal(after["0.weight"], given["0.weight"][:, :784])
    assert torch.equal(after["2.weight"], given["2.weight"][:10])
    assert torch.equal(after["2.bias"], given["2.bias"][:10])


class Residual(nn.Module):
    """Two convolutions with batch norm and a skip connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))


class ImageClassifier(nn.Module):
    """A residual network in small: stem, one block, mean over the picture, dense output."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(8)
        self.layer1 = Residual(8)
        self.fc = nn.Linear(8, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.layer1(torch.relu(self.bn1(self.conv1(images)))).mean(dim=(2, 3)))


@pytest.mark.parametrize("overlap", [False, True])
def test_an_image_classifier_of_a_thousand_classes_initialises_one_of_ten(overlap: bool) -> None:
    torch.manual_seed(0)
    thousand, ten = ImageClassifier(1000), ImageClassifier(10)
    thousand(torch.randn(4, 3, 32, 32))  # batch statistics leave their defaults
    given, before = state(thousand), state(ten)
    report = load_matching(ten, given, overlap=overlap)
    after = state(ten)
    assert set(report.taken) == {name for name in given if not name.startswith("fc.")}
    assert len(report.taken) == 3 + 3 * 5, "three convolutions, three batch norms with their counts of batches"
    assert all(torch.equal(after[name], given[name]) for name in report.taken)
    assert report.resized == ("fc.weight", "fc.bias") and report.overlap == (report.resized if overlap else ())
    assert report.missing == report.unexpected == ()
    expected = {name: given[name][:10] if overlap else before[name] for name in report.resized}
    assert all(torch.equal(after[name], expected[name]) for name in expected)


@pytest.mark.parametrize("overlap", [False, True])
def test_tensors_of_other_dimensions_are_never_sliced(overlap: bool) -> None:
    """A convolution over time has one dimension more than a dense layer, one over images two."""
    torch.manual_seed(0)
    module = nn.ModuleDict({"first": nn.Linear(4, 4), "second": nn.Linear(4, 4)})
    before = state(module)
    weights = {
        "first.weight": torch.ones(4, 4, 1),
        "first.bias": torch.ones(()),
        "second.weight": torch.ones(4),
        "second.bias": torch.ones(4),
    }
    report = load_matching(module, weights, overlap=overlap)
    assert report.taken == ("second.bias",) and report.overlap == ()
    assert report.resized == ("first.weight", "first.bias", "second.weight")
    assert changed_names(before, module) == {"second.bias"}
    with pytest.raises(InputError, match="none of the 2 tensors fits"):
        load_matching(module, {name: weights[name] for name in ("first.weight", "first.bias")}, overlap=overlap)
