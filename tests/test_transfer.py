"""Transfer: rows follow symbols, the source is not changed, frozen modules keep their bits."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from speechxfer.adaptation.construction import transfer
from speechxfer.adaptation.freezing import frozen_modules, set_frozen
from speechxfer.adaptation.partial_loading import load_matching
from speechxfer.adaptation.symbol_mapping import HeadRow, plan_head, read_symbol_map
from speechxfer.config.settings import FinetuneConfig
from speechxfer.data.manifest import Utterance
from speechxfer.errors import InputError
from speechxfer.features.presets import PRESETS
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.models.architecture import Architecture
from speechxfer.text.letters import list_base_letters
from speechxfer.text.normalizer import Normalizer
from speechxfer.text.vocabulary import BLANK, Kind, Vocabulary
from speechxfer.training.loop import finetune
from tests.small_models import state

LETTERS = "abcdefghijklmnopqrstuvwxyz"
ENGLISH = Vocabulary((BLANK, " ", "'", *LETTERS))
LENGTHS = torch.tensor([160, 90, 33])


def features(seed: int = 3) -> Tensor:
    return torch.randn(3, 160, 80, generator=torch.Generator().manual_seed(seed))


def source_model(encoder: str = "conformer", vocabulary: Vocabulary = ENGLISH, task: str = "ctc") -> AcousticModel:
    torch.manual_seed(1)
    architecture = Architecture(encoder, "tiny", 1 if encoder == "dnn" else 4, dropout=0.1)
    model = AcousticModel(architecture, vocabulary, PRESETS["kaldi-mvn"], Normalizer(), task)
    with torch.no_grad():
        for weights in model.parameters():
            if not weights.any():  # zero in a new Conformer layer
                weights.normal_(0.0, 0.1)
        model(features(), LENGTHS)  # batch statistics, where there are any, leave their defaults
    return model.eval()


def same_bits(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- From which row a symbol is initialised -------------------------------------------------------------------------------------


def planned(source: str | list[str], target: list[str], symbol_map: dict[str, str] | None = None) -> dict[str, str]:
    """Target symbol to 'how source', by vocabularies of phones, whose symbols may be of any length."""
    kind: Kind = "phones"
    rows = plan_head(Vocabulary((BLANK, *source), kind), Vocabulary((BLANK, *target), kind), symbol_map)
    assert rows[0] == HeadRow(BLANK, "blank", BLANK)
    return {row.symbol: f"{row.how} {row.source}".strip() for row in rows[1:]}


def test_yoruba_from_english() -> None:
    target = ["a", "á", "à", "ẹ", "ẹ́", "ọ̀", "ṣ", "ń", "gb", "\u0301", " "]
    assert planned(["a", "e", "n", "o", "s", " "], target) == {
        "a": "exact a",
        "á": "base a",
        "à": "base a",
        "ẹ": "base e",
        "ẹ́": "base e",
        "ọ̀": "base o",
        "ṣ": "base s",
        "ń": "base n",
        "gb": "new",
        "\u0301": "new",  # a tone mark of its own, in decomposed text
        " ": "exact",
    }


def test_mboshi_from_english_and_from_mboshi() -> None:
    target = ["b", "ε", "έ", "ω", "ώ", "á"]
    assert planned("abo", target) == {
        "b": "exact b",
        "ε": "new",
        "έ": "new",
        "ω": "new",
        "ώ": "new",
        "á": "base a",
    }
    assert planned("abεω", target) | {} == {
        "b": "exact b",
        "ε": "exact ε",
        "έ": "base ε",
        "ω": "exact ω",
        "ώ": "base ω",
        "á": "base a",
    }


def test_letters_from_an_upper_case_source() -> None:
    assert planned("ABEΕSÉ", ["a", "B", "ẹ", "ε", "έ", "é", "x"]) == {
        "a": "case A",
        "B": "exact B",
        "ẹ": "base E",
        "ε": "case Ε",  # Greek, which is not the Latin E
        "έ": "base Ε",
        "é": "case É",
        "x": "new",
    }


def test_an_exact_symbol_precedes_the_other_case_and_both_precede_the_base_letter() -> None:
    assert planned("éeEÉ", ["é", "É", "e", "E", "ê", "Ê"]) == {
        "é": "exact é",
        "É": "exact É",
        "e": "exact e",
        "E": "exact E",
        "ê": "base e",
        "Ê": "base E",
    }
    assert planned("eÉ", ["é"]) == {"é": "case É"}


def test_a_map_precedes_all_rules() -> None:
    assert planned("aeo", ["a", "e", "ɛ", "á"], {"a": "e", "ɛ": "e", "á": "o"}) == {
        "a": "map e",
        "e": "exact e",
        "ɛ": "map e",
        "á": "map o",
    }


def test_letters_without_a_decomposition_are_new() -> None:
    assert planned("dlohi", ["đ", "ł", "ø", "ħ", "ı", "中"]) == dict.fromkeys("đłøħı中", "new")


@pytest.mark.parametrize(
    ("symbol", "bases"),
    [("ẹ́", ["ẹ", "e"]), ("ǭ", ["ǫ", "o"]), ("ế", ["ê", "e"]), ("\u0301", []), ("ŋ", []), ("가", []), ("ké", ["ke"])],
)
def test_base_letters(symbol: str, bases: list[str]) -> None:
    assert list_base_letters(symbol) == bases


def test_the_base_letter_with_most_marks_is_preferred() -> None:
    source = Vocabulary((BLANK, "e", "ê"))
    assert plan_head(source, Vocabulary((BLANK, "ế")))[1] == HeadRow("ế", "base", "ê")


@pytest.mark.parametrize(
    ("symbol_map", "message"),
    [
        ({"z": "a"}, "symbol map: 'z' is not in the target vocabulary"),
        ({"ɛ": "z"}, "symbol map: 'z' is not in the source vocabulary"),
        ({BLANK: "a"}, f"symbol map: {BLANK!r} is not in the target vocabulary"),
        (
            {"ɛ": BLANK},
            f"symbol map: {BLANK!r} is not in the source vocabulary",
        ),  # a letter is never initialised from the blank
    ],
)
def test_a_map_that_names_unknown_symbols_is_refused(symbol_map: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        planned("ae", ["a", "ɛ"], symbol_map)
    assert str(caught.value).startswith(message)


def test_a_symbol_map_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "map.tsv"
    path.write_text("# target\tsource\n\nɛ\te\ne\u0301\te\n \t'\n", encoding="utf-8")
    assert read_symbol_map(path) == {"ɛ": "e", "é": "e", " ": "'"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\te\n\xc9\x9b e\n", "map.tsv:2: expected 'target TAB source'"),
        (b"a\te\to\n", "map.tsv:1: expected 'target TAB source'"),
        (b"a\t\n", "map.tsv:1: expected 'target TAB source'"),
        (b"\xff\t\xfe\n", "map.tsv: not UTF-8 at byte 0; the symbol map is a UTF-8 text file"),
        (None, "map.tsv: cannot be read"),
    ],
)
def test_a_damaged_symbol_map_is_named_with_its_line(tmp_path: Path, data: bytes | None, message: str) -> None:
    if data is not None:
        (tmp_path / "map.tsv").write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_symbol_map(tmp_path / "map.tsv")
    assert message in str(caught.value)


def test_a_head_table_as_text_and_in_one_line() -> None:
    rows = plan_head(ENGLISH, Vocabulary((BLANK, "a", "á", "ŋ")))
    assert str(rows) == f"{BLANK}\tblank\t{BLANK}\na\texact\ta\ná\tbase\ta\nŋ\tnew\t"
    assert rows.summary() == "head: 4 rows (1 blank, 1 exact, 1 base, 1 new); new: 'ŋ'"


# --- The new head -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", ["conformer", "cnn", "dnn"])
@pytest.mark.parametrize("order", [ENGLISH.symbols[1:], ENGLISH.symbols[:0:-1], ("q", *"zyx", " ", *"abc'", *"defg")])
def test_a_permuted_vocabulary_keeps_each_symbols_log_probability(encoder: str, order: tuple[str, ...]) -> None:
    source = source_model(encoder)
    rest = tuple(symbol for symbol in ENGLISH.symbols[1:] if symbol not in order)
    vocabulary = Vocabulary((BLANK, *order, *rest))
    assert len(vocabulary.symbols) == len(ENGLISH.symbols)
    model = transfer(source, vocabulary).model
    with torch.inference_mode():
        before, _ = source(features(), LENGTHS)
        after, _ = model(features(), LENGTHS)
    for symbol in ENGLISH.symbols:
        old, new = ENGLISH.symbols.index(symbol), vocabulary.symbols.index(symbol)
        assert torch.allclose(after[..., new], before[..., old], atol=1e-5), symbol


def test_rows_are_copied_as_the_head_table_says() -> None:
    source = source_model()
    model = transfer(source, Vocabulary((BLANK, "ẹ", "a", "A", "ŋ")), head={"ŋ": "n"}).model
    for row, symbol in enumerate((BLANK, "e", "a", "a", "n")):
        at = ENGLISH.symbols.index(symbol)
        assert torch.equal(model.head.weight[row], source.head.weight[at])
        assert torch.equal(model.head.bias[row], source.head.bias[at])


def test_new_rows_are_close_to_the_mean_row_and_differ_from_each_other() -> None:
    source = source_model()
    model = transfer(source, Vocabulary((BLANK, *"ŋɓɗƙʒɲʃθ"))).model
    rows, mean = model.head.weight.detach()[1:], source.head.weight.detach()[1:].mean(dim=0)
    spread = source.head.weight.detach()[1:].numpy().std(axis=0)
    assert np.abs((rows - mean).numpy() / spread).max() < 0.5  # standard deviation: a tenth of the source's
    assert 0.05 < np.std((rows - mean).numpy() / spread) < 0.2
    assert torch.allclose(model.head.bias[1:], source.head.bias[1:].mean().expand(8), atol=1e-6)
    assert torch.unique(rows, dim=0).shape == rows.shape


def test_new_rows_depend_on_the_seed() -> None:
    source, vocabulary = source_model(), Vocabulary((BLANK, "a", "ŋ"))
    first, again, other = (transfer(source, vocabulary, seed=seed).model for seed in (1, 1, 2))
    assert same_bits(state(first), state(again))
    assert not torch.equal(first.head.weight[2], other.head.weight[2])
    assert torch.equal(first.head.weight[1], other.head.weight[1])


def test_the_head_table_says_where_each_row_of_the_new_model_comes_from() -> None:
    source, target = source_model(), Vocabulary((BLANK, "a", "á", "ŋ"))
    adapted = transfer(source, target, head={"ŋ": "n"})
    assert adapted.head == (
        HeadRow(BLANK, "blank", BLANK),
        HeadRow("a", "exact", "a"),
        HeadRow("á", "base", "a"),
        HeadRow("ŋ", "map", "n"),
    )
    for row, weights in zip(adapted.head, adapted.model.head.weight, strict=True):
        assert torch.equal(weights, source.head.weight[ENGLISH.symbols.index(row.source)])


def test_a_random_head_keeps_nothing() -> None:
    source = source_model()
    adapted = transfer(source, ENGLISH, head="random")
    model, table = adapted.model, adapted.head
    assert table == tuple(HeadRow(symbol, "random") for symbol in ENGLISH.symbols)
    old = {tuple(row) for row in source.head.weight.tolist()}
    assert not old & {tuple(row) for row in model.head.weight.tolist()}
    assert not set(source.head.bias.tolist()) & set(model.head.bias.tolist())
    assert same_bits(state(model.encoder), state(source.encoder))


def test_the_same_vocabulary_changes_nothing() -> None:
    source = source_model()
    model = transfer(source, ENGLISH).model
    with torch.inference_mode():
        assert torch.equal(model(features(), LENGTHS)[0], source(features(), LENGTHS)[0])


# --- The source and the new model ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["symbols", "random"])
def test_the_source_is_not_changed(head: str) -> None:
    source = source_model("cnn")
    source.encoder.strided.requires_grad_(False)
    source.head.train()
    before, generator = state(source), torch.get_rng_state()
    flags = [p.requires_grad for p in source.parameters()], [m.training for m in source.modules()]
    model = transfer(source, Vocabulary((BLANK, *"aáŋ")), head=head).model
    with torch.no_grad():
        for value in [*model.parameters(), *model.buffers()]:
            value.add_(1)  # nothing is shared
    assert same_bits(state(source), before)
    assert flags == ([p.requires_grad for p in source.parameters()], [m.training for m in source.modules()])
    assert source.vocabulary == ENGLISH
    assert torch.equal(torch.get_rng_state(), generator)


def test_the_new_model_has_the_sources_features_and_encoder_and_the_given_options() -> None:
    source = source_model("cnn")
    vocabulary, normalizer = Vocabulary((BLANK, "yes", "no"), "words"), Normalizer(form="NFD")
    model = transfer(source, vocabulary, normalizer=normalizer, task="classify", dropout=0.3).model
    assert (model.vocabulary, model.normalizer, model.task) == (vocabulary, normalizer, "classify")
    assert model.architecture == Architecture("cnn", "tiny", 4, 0.3)
    assert model.encoder.layers[0].dropout.p == 0.3
    assert model.spec == source.spec
    assert same_bits(state(model.encoder), state(source.encoder))
    assert all(parameter.requires_grad for parameter in model.parameters())
    plain = transfer(source, vocabulary).model
    assert (plain.normalizer, plain.task, plain.architecture) == (source.normalizer, "ctc", source.architecture)


def test_for_another_task_all_rows_are_random() -> None:
    """The input of a head of words is all layers, that of a CTC head the last one, so their rows cannot be copied."""
    source, words = source_model("cnn"), Vocabulary((BLANK, "a", "b"), "words")
    model = transfer(source, words, task="classify", seed=3).model
    layers = len(source.encoder.layers)
    assert model.head.weight.shape == (3, 2 * layers * source.encoder.output_dim)
    assert torch.equal(model.head.weight, transfer(source, words, task="classify", seed=3).model.head.weight)
    assert not torch.equal(model.head.weight, transfer(source, words, task="classify", seed=4).model.head.weight)
    back = transfer(model, ENGLISH, task="ctc").model
    assert back.head.weight.shape == source.head.weight.shape and [p.task for p in back.parents] == ["classify", "ctc"]
    with pytest.raises(
        InputError, match="the symbol map is unusable: the source's task is ctc and the target's classify"
    ):
        transfer(source, words, head={"a": "b"}, task="classify")


def test_the_new_model_is_in_the_sources_mode() -> None:
    source = source_model()
    assert not any(module.training for module in transfer(source, ENGLISH).model.modules())
    assert all(module.training for module in transfer(source.train(), ENGLISH).model.modules())


# --- Freezing -----------------------------------------------------------------------------------------------------------


def train_steps(model: AcousticModel, optimizer: torch.optim.Optimizer, steps: int = 3) -> None:
    for step in range(steps):
        log_probs, _ = model(features(step), LENGTHS)
        optimizer.zero_grad(set_to_none=False)  # a zero gradient would still decay weights and keep momentum
        (-log_probs[..., 1].mean()).backward()
        optimizer.step()


def optimizer_of(model: nn.Module, kind: str) -> torch.optim.Optimizer:
    if kind == "sgd":
        return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.1)
    return torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
@pytest.mark.parametrize("encoder", ["conformer", "cnn", "dnn"])
def test_a_frozen_encoder_stays_bit_identical(encoder: str, kind: str) -> None:
    model = source_model(encoder)
    optimizer = optimizer_of(model, kind)
    set_frozen(model, [])
    train_steps(model, optimizer)  # momentum and moments of the encoder are now in the optimiser
    before = state(model.encoder), state(model.head)
    set_frozen(model, frozen_modules(model, FinetuneConfig(freeze="encoder")))
    assert model.head.training
    assert not any(module.training for module in model.encoder.modules())
    train_steps(model, optimizer)
    assert same_bits(state(model.encoder), before[0])  # weights and buffers, batch-norm statistics included
    assert not torch.equal(model.head.weight, before[1]["weight"])


@pytest.mark.parametrize("encoder", ["conformer", "cnn", "dnn"])
def test_after_unfreezing_all_weights_are_trained_again(encoder: str) -> None:
    model = source_model(encoder)
    optimizer = optimizer_of(model, "adamw")
    set_frozen(model, frozen_modules(model, FinetuneConfig(freeze="encoder")))
    train_steps(model, optimizer)
    before = state(model)
    set_frozen(model, frozen_modules(model, FinetuneConfig()))
    assert all(module.training for module in model.modules())
    train_steps(model, optimizer)
    assert [name for name, value in state(model).items() if torch.equal(value, before[name])] == []


@pytest.mark.parametrize("encoder", ["conformer", "cnn", "dnn"])
@pytest.mark.parametrize("lowest", [0, 1, 2])
def test_the_lowest_groups_can_be_frozen(encoder: str, lowest: int) -> None:
    model = source_model(encoder)
    groups = model.encoder.layer_groups()
    before = [state(group) for group in groups]
    set_frozen(model, frozen_modules(model, FinetuneConfig(freeze=lowest)))
    train_steps(model, optimizer_of(model, "sgd"))
    assert [same_bits(state(group), old) for group, old in zip(groups, before, strict=True)] == [
        number < lowest for number in range(len(groups))
    ]


def test_more_groups_than_there_are_cannot_be_frozen() -> None:
    with pytest.raises(InputError, match=r"finetune\.freeze = 8, but the encoder has 7 layer groups"):
        frozen_modules(source_model("conformer"), FinetuneConfig(freeze=8))


@pytest.mark.parametrize("freeze", ["encoder", 1, "none"])
def test_training_for_real_keeps_the_frozen_part_bit_identical(tmp_path: Path, freeze: str | int) -> None:
    generator = np.random.default_rng(0)
    utterances = []
    for number in range(4):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, 0.1 * generator.standard_normal(12_000), 16_000)
        utterances.append(Utterance(f"u{number}", path, 0.75, "aŋ a"))
    model = transfer(source_model("cnn"), Vocabulary.from_texts(["aŋ a"])).model
    encoder, head = state(model.encoder), state(model.head)
    config = FinetuneConfig(steps=4, batch_s=2.0, precision="fp32", speed_factors=(1.0,), freeze=freeze)
    trained = finetune(model, utterances, utterances[:2], config, out=tmp_path / "run")
    assert not torch.equal(trained.head.weight, head["weight"])
    after = state(trained.encoder)
    unchanged = {name for name in encoder if torch.equal(after[name], encoder[name])}
    lowest = {name for name in encoder if name.startswith("strided.")}
    assert unchanged == {"encoder": set(encoder), 1: lowest, "none": set()}[freeze]


# --- Partial loading ----------------------------------------------------------------------------------------------------


class Small(nn.Module):
    """Any module at all, with a buffer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = nn.Linear(4, 3)
        self.norm = nn.BatchNorm1d(3)
        self.out = nn.Linear(3, classes)


def test_matching_tensors_are_loaded_and_the_others_reported() -> None:
    torch.manual_seed(0)
    given, module = Small(10), Small(7)
    given.norm.running_mean.fill_(3.0)
    weights = given.state_dict() | {"extra.weight": torch.ones(2)}
    del weights["norm.bias"]
    before = state(module)
    report = load_matching(module, weights)
    norm = ("norm.weight", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked")
    assert report.taken == ("body.weight", "body.bias", *norm)
    assert report.resized == ("out.weight", "out.bias")
    assert report.missing == ("norm.bias",)
    assert report.unexpected == ("extra.weight",)
    assert str(report) == (
        "taken: 6; other shape: 2 (out.weight, out.bias); missing: 1 (norm.bias); unexpected: 1 (extra.weight)"
    )
    after = state(module)
    assert all(torch.equal(after[name], weights[name]) for name in report.taken)
    assert all(torch.equal(after[name], before[name]) for name in (*report.resized, *report.missing))
    assert module.body.weight.data_ptr() != given.body.weight.data_ptr()
    assert module.body.weight.requires_grad


def test_weights_of_which_none_fits_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        load_matching(Small(7), {f"module.{name}": value for name, value in Small(7).state_dict().items()})
    assert "none of the 9 tensors fits" in str(caught.value)
    assert "'module.body.weight' with 'body.weight'" in str(caught.value)
    with pytest.raises(InputError, match="none of the 0 tensors fits"):
        load_matching(Small(7), {})
