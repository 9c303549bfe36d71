"""Low-rank updates (LoRA) and language packs: zero at the start, trained alone, merged, packed, or refused."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from speechxfer.adaptation.construction import transfer, with_new_layers
from speechxfer.checkpoints import sources
from speechxfer.checkpoints.card import Card, read_description
from speechxfer.checkpoints.loading import load_model
from speechxfer.checkpoints.model_folders import save_model
from speechxfer.checkpoints.packs import save_pack
from speechxfer.checkpoints.sources import weights_hash
from speechxfer.config.loading import load_config
from speechxfer.errors import InputError
from speechxfer.features.presets import PRESETS
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.models.architecture import Architecture
from speechxfer.models.lora import has_lora, lora_modules, merge_lora, with_lora
from speechxfer.text.normalizer import Normalizer
from speechxfer.text.vocabulary import BLANK, Vocabulary
from speechxfer.training.loop import finetune
from speechxfer.training.schedule import peak_encoder_lr
from speechxfer.workflows.training_runs import adapt
from tests.small_models import ENCODERS, QUICK, Tones, output, settings, source_model, state
from tests.tone_corpus import write_tone_corpus

pytest.importorskip("peft")
loop = sys.modules["speechxfer.training.loop"]
RANK, ALPHA = 4, 12.0
CARD = Card("tones", "source", "xx", "CC0-1.0", {"note": "ω"})


def base_weights(encoder: nn.Module) -> dict[str, Tensor]:
    """The encoder's own parameters and buffers, by their names without an update."""
    return {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): value
        for name, value in state(encoder).items()
        if ".lora_" not in name
    }


def same_bits(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name].cpu(), b[name].cpu()) for name in a)


def adapted(source: AcousticModel, tones: Tones) -> AcousticModel:
    """A target model with an update that is still zero, the same every time."""
    model = transfer(source, Vocabulary.from_texts(u.text for u in tones.train)).model
    torch.manual_seed(3)
    return with_lora(model, RANK, ALPHA)


@dataclass(frozen=True)
class TrainedUpdate:
    """A model with a trained update, its base, and the folder of the base."""

    model: AcousticModel
    source: AcousticModel
    base: Path


@pytest.fixture(scope="module", params=ENCODERS)
def trained(request: pytest.FixtureRequest, tones: Tones) -> TrainedUpdate:
    base = tones.folder / f"source-{request.param}"
    save_model(source_model(request.param), base, Card("source"))
    source = load_model(base)
    model = adapted(source, tones)
    finetune(model, tones.train, tones.dev, QUICK, out=tones.folder / f"run-{request.param}")
    return TrainedUpdate(model, source, base)


# The update ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_an_update_starts_at_zero_and_does_not_change_its_argument(encoder: str, training: bool) -> None:
    plain = source_model(encoder).train(training)
    before, flags = state(plain), [weights.requires_grad for weights in plain.parameters()]
    model = with_lora(plain, RANK, ALPHA)
    assert has_lora(model) and not has_lora(plain)
    assert model.training is model.encoder.training is training
    assert same_bits(base_weights(model.encoder), state(plain.encoder))
    assert torch.equal(output(model), output(plain))
    with torch.no_grad():
        for weights in [*model.parameters(), *model.buffers()]:
            weights.add_(1)  # nothing is shared
    assert same_bits(state(plain), before)
    assert [weights.requires_grad for weights in plain.parameters()] == flags
    assert not torch.equal(output(model), output(plain))


def test_the_default_rate_of_a_large_encoders_update_is_higher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speechxfer.training.schedule._encoder_size", lambda _: 86_400_000)
    plain = source_model("conformer")
    config = settings(encoder_lr=None)
    rates = [peak_encoder_lr(config, model) for model in (plain, with_lora(plain, RANK, ALPHA))]
    assert rates == pytest.approx([2e-3 / 9, 1e-3])


def test_only_the_update_and_the_head_are_trained(trained: TrainedUpdate, tones: Tones) -> None:
    """All else of the encoder, batch statistics included, is the same bits after training."""
    assert same_bits(base_weights(trained.model.encoder), state(trained.source.encoder))
    start = adapted(trained.source, tones)
    before, after = state(start), state(trained.model)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if ".lora_" in name} | {"head.weight", "head.bias"}
    assert len(lora_modules(trained.model)) == 2 * sum(name.endswith("lora_A.default.weight") for name in before)


def test_merging_adds_the_product(trained: TrainedUpdate) -> None:
    """W + alpha / rank * B A (Hu et al., equation 3 and section 4.1), for a convolution over its flattened kernel."""
    weights, merged = state(trained.model.encoder), state(merge_lora(trained.model).encoder)
    own = base_weights(trained.model.encoder)
    updated = {
        name.removesuffix(".lora_A.default.weight") for name in weights if name.endswith("lora_A.default.weight")
    }
    expected = dict(own)
    for name in updated:
        down, up = (weights[f"{name}.lora_{part}.default.weight"].flatten(1) for part in "AB")
        assert down.shape[0] == up.shape[1] == RANK
        plain = f"{name.removeprefix('base_model.model.')}.weight"
        expected[plain] = own[plain] + ALPHA / RANK * (up @ down).view_as(own[plain])
        assert (expected[plain] - own[plain]).abs().max() > 1e-4
    assert len(updated) == {"conformer": 12, "cnn": 6, "dnn": 2}[trained.model.architecture.encoder]
    assert merged.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(merged[name], value, rtol=0, atol=1e-6, msg=name)


def test_a_merged_model_has_no_update_and_the_same_outputs(trained: TrainedUpdate) -> None:
    before = state(trained.model)
    merged = merge_lora(trained.model)
    assert not has_lora(merged) and has_lora(trained.model) and same_bits(state(trained.model), before)
    assert state(merged).keys() == state(transfer(trained.source, trained.model.vocabulary).model).keys()
    assert all(weights.requires_grad for weights in merged.parameters())
    torch.testing.assert_close(output(merged), output(trained.model), rtol=0, atol=1e-5)
    start = transfer(trained.source, trained.model.vocabulary).model
    start.head.load_state_dict(trained.model.head.state_dict())
    assert (output(merged) - output(start)).abs().max() > 1e-3, "the update changes the outputs"
    again = with_lora(merged, RANK, ALPHA)
    assert has_lora(again) and torch.equal(output(again), output(merged))


def test_merging_a_model_without_an_update_copies_it() -> None:
    plain = source_model("cnn").train()
    merged = merge_lora(plain)
    assert merged is not plain and merged.training and same_bits(state(merged), state(plain))


def test_an_update_is_trained_with_regularisers(tones: Tones, tmp_path: Path) -> None:
    source = source_model("cnn")
    model = adapted(source, tones)
    update, before = state(model.encoder), state(source)
    own = write_tone_corpus(tmp_path / "own.jsonl", 4, letters="abc", seed=5, words=(1, 3))
    config = settings(steps=2, distillation=1.0, replay=0.5)
    finetune(model, tones.train, tones.dev, config, out=tmp_path, source_data=own)
    assert same_bits(base_weights(model.encoder), state(source.encoder)) and same_bits(state(source), before)
    assert all(
        not torch.equal(value, update[name]) for name, value in state(model.encoder).items() if ".lora_B" in name
    )


def test_a_stopped_run_of_an_update_ends_with_the_same_bits(
    tones: Tones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in step 6, one step beyond the saved state."""
    source = source_model("cnn")
    config = settings(steps=8, average_best=3)
    uninterrupted = finetune(adapted(source, tones), tones.train, tones.dev, config, out=tmp_path / "a")
    step = loop.training_step

    class StoppedError(Exception):
        """In place of a signal."""

    def stopping(*arguments: Any) -> Any:
        if arguments[-1] == 5:
            raise StoppedError
        result = step(*arguments)
        return result

    with monkeypatch.context() as patched:
        patched.setattr(loop, "training_step", stopping)
        with pytest.raises(StoppedError):
            finetune(adapted(source, tones), tones.train, tones.dev, config, out=tmp_path / "b")
    steps: list[int] = []

    def counting(*arguments: Any) -> Any:
        steps.append(arguments[-1])
        result = step(*arguments)
        return result

    monkeypatch.setattr(loop, "training_step", counting)
    resumed = finetune(adapted(source, tones), tones.train, tones.dev, config, out=tmp_path / "b")
    assert steps == [4, 5, 6, 7]
    assert same_bits(state(resumed), state(uninterrupted))
    last = "state/step-0000008/weights.safetensors"
    assert (tmp_path / "b" / last).read_bytes() == (tmp_path / "a" / last).read_bytes()


# Language packs ------------------------------------------------------------------------------------------------------


def test_a_pack_on_its_base_is_the_merged_model(trained: TrainedUpdate, tmp_path: Path) -> None:
    save_pack(trained.model, tmp_path / "pack", CARD, base=trained.base)
    assert sorted(path.name for path in (tmp_path / "pack").iterdir()) == [
        "model.json",
        "pack.safetensors",
        "vocabulary.json",
    ]
    loaded, merged = load_model(tmp_path / "pack"), merge_lora(trained.model)
    assert not loaded.training and not has_lora(loaded) and loaded.name == "tones"
    torch.testing.assert_close(output(loaded), output(merged), rtol=0, atol=1e-5)
    torch.testing.assert_close(output(loaded.as_parent()), output(merged.as_parent()), rtol=0, atol=1e-5)
    for field in ("architecture", "vocabulary", "spec", "normalizer", "task"):
        assert getattr(loaded, field) == getattr(merged, field)
    card = read_description(tmp_path / "pack")
    assert (tmp_path / "pack" / card["base"]["name"]).resolve() == trained.base.resolve()
    assert card["lora"] == {"rank": RANK, "alpha": ALPHA}
    assert (card["language"], card["details"]) == ("xx", {"note": "ω"})


def test_a_model_saved_with_its_update_is_saved_merged(trained: TrainedUpdate, tmp_path: Path) -> None:
    save_model(trained.model, tmp_path / "model", CARD)
    loaded = load_model(tmp_path / "model")
    assert not has_lora(loaded)
    torch.testing.assert_close(output(loaded), output(trained.model), rtol=0, atol=1e-5)


def test_a_pack_brings_the_adapters_and_layers_that_its_base_lacks(tones: Tones, tmp_path: Path) -> None:
    save_model(source_model("conformer"), tmp_path / "base", Card("base"))
    vocabulary = Vocabulary.from_texts(u.text for u in tones.train)
    extended = with_new_layers(transfer(load_model(tmp_path / "base"), vocabulary).model, adapter_dim=4, extra_layers=1)
    model = with_lora(extended, RANK, ALPHA)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if not name.startswith("encoder.") or ".lora_" in name or ".adapters." in name:
                weights.add_(0.05 * torch.randn_like(weights))
    save_pack(model, tmp_path / "pack", CARD, base=tmp_path / "base")
    loaded = load_model(tmp_path / "pack")
    assert (loaded.architecture.adapter_dim, loaded.architecture.extra_layers) == (4, 1)
    torch.testing.assert_close(output(loaded), output(model), rtol=0, atol=1e-5)
    assert (output(loaded) - output(extended)).abs().max() > 1e-2


def test_a_pack_is_at_most_a_fiftieth_of_the_encoder(tmp_path: Path) -> None:
    """The default rank, the small Conformer, 40 symbols; four bytes a parameter."""
    vocabulary = Vocabulary((BLANK, " ", *"abcdefghijklmnopqrstuvwxyzäöüßéèêàçñŋɛ"))
    assert len(vocabulary.symbols) == 40
    source = AcousticModel(Architecture("conformer", "small"), vocabulary, PRESETS["kaldi-mvn"], Normalizer())
    save_model(source, tmp_path / "base", Card("base"))
    model = with_lora(transfer(load_model(tmp_path / "base"), vocabulary).model)
    save_pack(model, tmp_path / "pack", CARD, base=tmp_path / "base")
    assert read_description(tmp_path / "pack")["lora"] == {"rank": 8, "alpha": 16}
    encoder_bytes = 4 * sum(weights.numel() for weights in source.encoder.parameters())
    pack_bytes = (tmp_path / "pack" / "pack.safetensors").stat().st_size
    assert 0.01 * encoder_bytes < pack_bytes <= 0.02 * encoder_bytes


# Errors ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A pack in `tmp_path`, in the folder of its base."""
    save_model(source_model("cnn"), tmp_path / "base", Card("base"))
    model = with_lora(transfer(load_model(tmp_path / "base"), Vocabulary.from_texts(["dcab"])).model, RANK, ALPHA)
    save_pack(model, tmp_path / "pack", CARD, base=tmp_path / "base")
    assert load_model(tmp_path / "pack").vocabulary.symbols[1:] == tuple("abcd")
    return tmp_path / "pack"


def test_a_pack_for_other_weights_is_refused(pack: Path) -> None:
    base = load_model(pack.with_name("base"))
    with torch.no_grad():
        base.encoder.layers[0].convolution.weight[0, 0, 0] += 1e-3
    save_model(base, pack.with_name("base"), Card("base"))
    with pytest.raises(InputError, match=r"pack: this language pack was made for other weights than those of .*base"):
        load_model(pack)


def test_a_pack_without_its_base_is_refused(pack: Path) -> None:
    pack.with_name("base").rename(pack.with_name("moved"))
    with pytest.raises(
        InputError, match=r"the base of this language pack, .*base, is not found: .*base: no model there"
    ):
        load_model(pack)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def without_the_first(path: Path) -> None:
    weights = safetensors.torch.load_file(path)
    safetensors.torch.save_file(dict(list(weights.items())[1:]), path)


def with_one_more(path: Path) -> None:
    safetensors.torch.save_file(safetensors.torch.load_file(path) | {"encoder.more": torch.ones(1)}, path)


def with_a_narrower_head(path: Path) -> None:
    weights = safetensors.torch.load_file(path)
    safetensors.torch.save_file(weights | {"head.bias": weights["head.bias"][1:].clone()}, path)


@pytest.mark.parametrize(
    "damage", [cut, without_the_first, with_one_more, with_a_narrower_head, Path.unlink], ids=lambda f: f.__name__
)
def test_a_damaged_pack_is_refused(pack: Path, damage: Callable[[Path], None]) -> None:
    damage(pack / "pack.safetensors")
    with pytest.raises(InputError, match=r"pack[/\\]pack\.safetensors|its weights are missing"):
        load_model(pack)


@pytest.mark.parametrize(
    ("field", "value"),
    [("base", {"name": "base"}), ("base", "base"), ("lora", {"rank": "x", "alpha": 1}), ("lora", {"rank": 4})],
)
def test_a_pack_whose_description_is_damaged_is_refused(pack: Path, field: str, value: object) -> None:
    card = json.loads((pack / "model.json").read_text())
    (pack / "model.json").write_text(json.dumps(card | {field: value}))
    with pytest.raises(InputError, match=r"model\.json: damaged"):
        load_model(pack)


def test_a_pack_of_another_rank_does_not_fit(pack: Path) -> None:
    card = json.loads((pack / "model.json").read_text())
    (pack / "model.json").write_text(json.dumps(card | {"lora": {"rank": 2 * RANK, "alpha": ALPHA}}))
    with pytest.raises(InputError, match=r"pack\.safetensors: does not fit"):
        load_model(pack)


def test_a_model_without_an_update_makes_no_pack(tmp_path: Path) -> None:
    save_model(source_model("cnn"), tmp_path / "base", Card("base"))
    plain = load_model(tmp_path / "base")
    for model in (plain, merge_lora(with_lora(plain, RANK))):
        with pytest.raises(InputError, match=r"a language pack needs a low-rank update, and the model has none"):
            save_pack(model, tmp_path / "pack", CARD, base=tmp_path / "base")
    assert not (tmp_path / "pack").exists()


def test_a_pack_and_its_base_can_be_moved_together(pack: Path) -> None:
    before = output(load_model(pack))
    moved = pack.parent.rename(pack.parent.with_name("elsewhere"))
    assert torch.equal(output(load_model(moved / "pack")), before)


def test_a_pack_for_a_shipped_base_names_it(tmp_path: Path) -> None:
    model = with_lora(transfer(load_model("english"), Vocabulary.from_texts(["dcab"])).model, RANK, ALPHA)
    save_pack(model, tmp_path / "pack", CARD, base="english")
    description = read_description(tmp_path / "pack")
    assert description["base"]["name"] == "english-1"
    assert load_model(tmp_path / "pack").vocabulary.symbols[1:] == tuple("abcd")
    description["base"]["name"] = "english"  # as packs named it before shipped models had versions
    (tmp_path / "pack" / "model.json").write_text(json.dumps(description))
    assert load_model(tmp_path / "pack").vocabulary.symbols[1:] == tuple("abcd")


def test_a_pack_finds_the_version_that_it_was_made_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs from before shipped models had versions name none; a newer version does not break them."""
    for version in (1, 2):
        model = source_model("dnn")
        with torch.no_grad():
            model.head.bias.add_(version)
        save_model(model, tmp_path / "shipped" / f"small-{version}", Card(f"small-{version}"))
    monkeypatch.setattr(sources, "SHIPPED", tmp_path / "shipped")
    first, second = (weights_hash(f"small-{version}") for version in (1, 2))
    assert weights_hash("small") == second != first
    model = with_lora(transfer(load_model("small-1"), Vocabulary.from_texts(["dcab"])).model, RANK, ALPHA)
    save_pack(model, tmp_path / "pack", CARD, base="small-1")
    description = read_description(tmp_path / "pack")
    assert description["base"] == {"name": "small-1", "weights": first}
    description["base"]["name"] = "small"
    (tmp_path / "pack" / "model.json").write_text(json.dumps(description))
    assert load_model(tmp_path / "pack").vocabulary.symbols[1:] == tuple("abcd")


def test_packs_that_are_each_others_base_are_refused(tmp_path: Path) -> None:
    save_model(source_model("cnn"), tmp_path / "base", Card("base"))
    model = with_lora(transfer(load_model(tmp_path / "base"), Vocabulary.from_texts(["dcab"])).model, RANK, ALPHA)
    for name in ("a", "b"):
        save_pack(model, tmp_path / name, CARD, base=tmp_path / "base")
    for name, other in (("a", "b"), ("b", "a")):
        card = json.loads((tmp_path / name / "model.json").read_text())
        card["base"] = {"name": f"../{other}", "weights": weights_hash(tmp_path / other)}
        (tmp_path / name / "model.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match="this language pack is its own base"):
        load_model(tmp_path / "a")


def test_a_pack_of_a_changed_encoder_is_refused(pack: Path) -> None:
    changed = transfer(load_model(pack.with_name("base")), Vocabulary.from_texts(["dcab"])).model
    with torch.no_grad():
        changed.encoder.layers[0].convolution.weight[0, 0, 0] += 1e-3
    with pytest.raises(
        InputError, match=r"own weights are not those of .*base \(layers\.0\.convolution\.weight differs"
    ):
        save_pack(with_lora(changed, RANK), pack.with_name("other"), CARD, base=pack.with_name("base"))


@pytest.mark.parametrize("rank", [0, -1, 10**9])
def test_a_rank_out_of_range_is_refused(pack: Path, rank: int) -> None:
    with pytest.raises(InputError, match=rf"lora_rank\) is {rank}; expected a whole number from 1 to 1024"):
        with_lora(source_model("cnn"), rank)
    card = json.loads((pack / "model.json").read_text())
    (pack / "model.json").write_text(json.dumps(card | {"lora": {"rank": rank, "alpha": ALPHA}}))
    with pytest.raises(InputError, match=r"pack\.safetensors: does not fit the rank"):
        load_model(pack)


def test_an_unmerged_update_is_refused_by_transfer() -> None:
    model = with_lora(source_model("cnn"), RANK)
    for build in (
        lambda: transfer(model, Vocabulary.from_texts(["dcab"])).model,
        lambda: with_new_layers(model, adapter_dim=4),
    ):
        with pytest.raises(InputError, match="not merged into its weights; use merge_lora first"):
            build()


@pytest.mark.parametrize("ignored", [{"freeze": "encoder"}, {"l2_sp": 1.0}, {"unfreeze_every_steps": 1}])
def test_a_model_with_lora_refuses_settings_for_encoder_weights(
    tones: Tones, tmp_path: Path, ignored: dict[str, Any]
) -> None:
    [name] = ignored
    with pytest.raises(InputError, match=rf"low-rank update .* finetune\.{name} .*has no effect"):
        finetune(adapted(source_model("cnn"), tones), tones.train, tones.dev, settings(**ignored), out=tmp_path)


def test_a_second_update_is_refused() -> None:
    model = with_lora(source_model("cnn"), RANK)
    with pytest.raises(InputError, match=r"has a low-rank update already; merge it first"):
        with_lora(model, RANK)


def test_a_missing_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)  # import fails as if it were not installed
    with pytest.raises(InputError) as caught:
        with_lora(source_model("cnn"))
    assert str(caught.value) == "low-rank updates need the library peft; pip install 'speechxfer[lora]'"
    assert not has_lora(merge_lora(source_model("cnn"))), "without an update the library is not needed"


@pytest.mark.parametrize("other", ["l2_sp=1", "unfreeze_every_steps=2"])
def test_settings_that_train_the_encoders_own_weights_contradict_an_update(other: str) -> None:
    name = other.partition("=")[0]
    with pytest.raises(InputError, match=rf"transfer\.lora_rank.* own weights, so finetune\.{name} has no effect"):
        load_config(None, ["transfer.lora_rank=4", f"finetune.{other}"])


# Adapting ------------------------------------------------------------------------------------------------------------


def test_adapting_with_a_rank_writes_a_model_and_a_pack(tones: Tones, tmp_path: Path) -> None:
    save_model(source_model("conformer"), tmp_path / "source", Card("source"))
    names = ("precision=fp32", "steps=4", "evaluate_every_steps=2", "encoder_lr=0.003", "speed_factors=[1.0]")
    config = load_config(None, [*(f"finetune.{name}" for name in names), "transfer.lora_rank=4"])
    manifests = [tones.folder / "train.jsonl"], [tones.folder / "dev.jsonl"]
    written = adapt(str(tmp_path / "source"), *manifests, out=tmp_path / "out", config=config).folder / "model"
    assert written == tmp_path / "out" / "model"
    model, packed = load_model(tmp_path / "out"), load_model(tmp_path / "out" / "pack")
    torch.testing.assert_close(output(packed), output(model), rtol=0, atol=1e-5)
    assert read_description(tmp_path / "out" / "pack")["lora"]["rank"] == 4
    source, encoder = load_model(tmp_path / "source"), state(model.encoder)
    changed = {name for name, value in state(source.encoder).items() if not torch.equal(value, encoder[name])}
    layers = range(len(source.encoder.layers))
    assert changed == {f"layers.{i}.attention.{part}.weight" for i in layers for part in ("inputs", "output")}
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    adapt(str(tmp_path / "source"), *manifests, out=tmp_path / "out", config=config)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == files, "it is finished"
