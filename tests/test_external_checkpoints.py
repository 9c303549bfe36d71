"""External checkpoints: the outputs of their own libraries, the same contract as our models, or one clear refusal."""

import io
import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from speechxfer.adaptation.construction import transfer, with_new_layers
from speechxfer.adaptation.symbol_mapping import plan_head
from speechxfer.checkpoints.card import Card, read_card
from speechxfer.checkpoints.loading import load_model
from speechxfer.checkpoints.model_folders import save_model
from speechxfer.checkpoints.packs import save_pack
from speechxfer.checkpoints.sources import resolve_source, weights_hash
from speechxfer.config.settings import Config
from speechxfer.decoding.transcription import transcribe
from speechxfer.errors import InputError
from speechxfer.features.batches import collate
from speechxfer.features.log_mel import filterbank
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.models.lora import merge_lora, with_lora
from speechxfer.text.vocabulary import BLANK, Vocabulary
from speechxfer.training.loop import finetune
from speechxfer.workflows.training_runs import adapt
from tests import external_models as other
from tests.small_models import QUICK, Tones, settings, source_model, state

loop = sys.modules["speechxfer.training.loop"]
transformers = pytest.importorskip("transformers")
KINDS = list(other.WRITERS)
WITH_HEAD = ("parakeet", "wav2vec2-bert", "wav2vec2-bert with adapter")
SECONDS = (2.3, 1.21, 0.64)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    """By kind: the folder, and the library's own network."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return {kind: (folder / kind, write(folder / kind)) for kind, write in other.WRITERS.items()}


@pytest.fixture(scope="module", params=["made", "real"])
def recordings(request: pytest.FixtureRequest) -> list[np.ndarray]:
    if request.param == "made":
        return [other.speech(seconds, seed) for seed, seconds in enumerate(SECONDS)]
    import soundfile

    folder = request.getfixturevalue("shared_data") / "refvectors" / "librispeech"
    samples, rate = soundfile.read(next(folder.glob("*.flac")), dtype="float32")
    assert rate == 16000
    return [samples[8000 * i : 8000 * i + round(16000 * seconds)] for i, seconds in enumerate(SECONDS)]


def our_outputs(model: AcousticModel, recordings: list[np.ndarray]) -> list[Tensor]:
    """Log-probabilities of each recording from one padded batch: `[frames', symbols]`."""
    features = [filterbank(samples, model.spec).numpy() for samples in recordings]
    batch = collate([str(i) for i in range(len(recordings))], features, [[] for _ in recordings])
    with torch.inference_mode():
        log_probs, lengths = model(batch.features, batch.lengths)
    assert lengths.tolist() == model.encoder.output_lengths(batch.lengths).tolist()
    return [values[:length] for values, length in zip(log_probs, lengths.tolist(), strict=True)]


def library_outputs(folder: Path, network: Any, recordings: list[np.ndarray]) -> list[Tensor]:
    """What the library itself makes of each recording alone: logits of its CTC model, else its encoder's frames."""
    extract = transformers.AutoFeatureExtractor.from_pretrained(folder)
    # An odd number of frames is not padded to pairs: W2v-BERT's adapter would see the padding.
    whole = {"pad_to_multiple_of": None} if network.config.model_type == "wav2vec2-bert" else {}
    found = []
    for samples in recordings:
        given = extract(samples, sampling_rate=16000, return_tensors="pt", return_attention_mask=True, **whole)
        with torch.inference_mode():
            if hasattr(network, "decoder"):
                encoder = network.get_encoder()
                whisper = {} if network.config.model_type == "whisper" else {"attention_mask": given["attention_mask"]}
                found.append(encoder(given["input_features"], **whisper).last_hidden_state[0])
            else:
                found.append(network(**given).logits[0])
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_equal_those_of_the_library(
    checkpoints: dict[str, tuple[Path, Any]], recordings: list[np.ndarray], kind: str
) -> None:
    folder, network = checkpoints[kind]
    model = load_model(folder)
    expected = library_outputs(folder, network, recordings)
    if kind in WITH_HEAD:
        blank = network.config.pad_token_id
        order = [blank, *(i for i in range(network.config.vocab_size) if i != blank)]
        expected = [logits[:, order].log_softmax(dim=-1) for logits in expected]
    else:  # there is no CTC head in the library: both encoders get the same random one
        model = replaced_head(model)
        with torch.inference_mode():
            expected = [model.head(encoded).log_softmax(dim=-1) for encoded in expected]
    for separately in (False, True):
        found = (
            [our_outputs(model, [samples])[0] for samples in recordings]
            if separately
            else our_outputs(model, recordings)
        )
        for mine, library in zip(found, expected, strict=True):
            assert 0 <= len(library) - len(mine) <= (1 if kind != "whisper" else len(library))
            assert mine.std() > 0.3, "a constant output would prove nothing"
            torch.testing.assert_close(mine, library[: len(mine)], atol=1e-4, rtol=0)


def replaced_head(model: AcousticModel) -> AcousticModel:
    torch.manual_seed(5)
    made = transfer(model, Vocabulary((BLANK, *"abcdef"))).model
    nn.init.normal_(made.head.weight, std=0.3)
    return made.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_output_lengths_are_those_of_the_encoder(checkpoints: dict[str, tuple[Path, Any]], kind: str) -> None:
    model = load_model(checkpoints[kind][0])
    for frames in (1, 2, 3, 7, 8, 9, 31, 64, 65):
        with torch.inference_mode():
            encoded, lengths = model.encoder(torch.randn(1, frames, model.spec.dim), torch.tensor([frames]))
        assert encoded.shape[1] == int(lengths) == int(model.encoder.output_lengths(torch.tensor(frames))) >= 1


def test_whisper_encodes_as_much_as_it_has_positions_for(checkpoints: dict[str, tuple[Path, Any]]) -> None:
    """At its full length the features reach two frames into the silence behind it."""
    folder, network = checkpoints["whisper"]
    model = replaced_head(load_model(folder))
    for seconds in (other.WHISPER_SECONDS - 0.01, other.WHISPER_SECONDS):
        samples = other.speech(seconds)
        with torch.inference_mode():
            expected = model.head(library_outputs(folder, network, [samples])[0]).log_softmax(dim=-1)
        [mine] = our_outputs(model, [samples])
        assert len(mine) == 50 * other.WHISPER_SECONDS
        torch.testing.assert_close(
            mine[:-1], expected[:-1], atol=1e-4, rtol=0
        )  # the library mirrors the end of the 30 s
    longer = len(filterbank(other.speech(other.WHISPER_SECONDS + 0.1), model.spec))
    assert int(model.encoder.output_lengths(torch.tensor(longer))) == 0, (
        "so that training excludes a speed that makes it too long"
    )
    with pytest.raises(InputError, match="this network takes 400 at most"):
        our_outputs(model, [other.speech(other.WHISPER_SECONDS + 0.1)])


# --- Vocabulary and head --------------------------------------------------------------------------------------------------


def test_symbols_have_the_blank_first_and_keep_their_rows(checkpoints: dict[str, tuple[Path, Any]]) -> None:
    folder, network = checkpoints["wav2vec2-bert"]
    model = load_model(folder)
    assert model.vocabulary.symbols[:4] == (BLANK, "\ufffd", " ", "a") and model.vocabulary.kind == "characters"
    assert set(other.LETTERS) <= set(model.vocabulary.symbols)
    names = json.loads((folder / "vocab.json").read_text())
    for letter in other.LETTERS:
        row = model.vocabulary.symbols.index(letter)
        assert torch.equal(model.head.weight[row], network.lm_head.weight[names[letter]])
    assert torch.equal(model.head.weight[0], network.lm_head.weight[names["[PAD]"]])


def test_word_pieces_are_read_and_spelled_as_their_tokenizer_does(checkpoints: dict[str, tuple[Path, Any]]) -> None:
    folder, _ = checkpoints["parakeet"]
    vocabulary = load_model(folder).vocabulary
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = vocabulary.encode("an ant sat")
    assert [vocabulary.symbols[i] for i in ids] == tokenizer.tokenize("an ant sat")
    assert vocabulary.decode(ids) == "an ant sat"


def test_names_that_were_added_to_a_tokenizer_are_found_in_either_place(
    checkpoints: dict[str, tuple[Path, Any]], tmp_path: Path
) -> None:
    folder = altered(checkpoints["wav2vec2-bert"][0], tmp_path / "model", "config.json")
    names = json.loads((folder / "vocab.json").read_text())
    added = {name: names.pop(name) for name in ("<s>", "</s>")}
    (folder / "vocab.json").write_text(json.dumps(names))
    with pytest.raises(InputError, match="has no name"):
        load_model(folder)
    (folder / "added_tokens.json").write_text(json.dumps(added))
    symbols = load_model(folder).vocabulary.symbols
    (folder / "added_tokens.json").unlink()
    decoder = {str(number): {"content": name, "special": True} for name, number in added.items()}
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}))
    assert load_model(folder).vocabulary.symbols == symbols and len(symbols) == len(names) + 2


def test_two_names_of_the_unknown_are_two_symbols(checkpoints: dict[str, tuple[Path, Any]], tmp_path: Path) -> None:
    folder = altered(checkpoints["wav2vec2-bert"][0], tmp_path / "model", "config.json")
    names = json.loads((folder / "vocab.json").read_text())
    names["<unk>"] = names.pop("<s>")
    (folder / "vocab.json").write_text(json.dumps(names))
    assert len(load_model(folder).vocabulary.symbols) == len(names)


def test_a_tokenizer_that_was_saved_after_use_neither_pads_nor_truncates(
    checkpoints: dict[str, tuple[Path, Any]], tmp_path: Path
) -> None:
    folder = altered(
        checkpoints["parakeet"][0], tmp_path / "used", "tokenizer.json",
        truncation={"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
        padding={
            "strategy": {"Fixed": 40}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 23, "pad_type_id": 0,
            "pad_token": "<pad>",
        },
    )  # fmt: skip
    vocabulary = load_model(folder).vocabulary
    assert vocabulary.decode(vocabulary.encode("an ant sat")) == "an ant sat"


def test_letters_are_initialised_from_equal_pieces(checkpoints: dict[str, tuple[Path, Any]]) -> None:
    rows = plan_head(load_model(checkpoints["parakeet"][0]).vocabulary, Vocabulary((BLANK, " ", "a", "á", "q")))
    assert [(row.how, row.source) for row in rows[1:]] == [
        ("exact", "\u2581"),
        ("exact", "a"),
        ("base", "a"),
        ("new", ""),
    ]


def test_an_encoder_without_a_head_is_a_source(tmp_path: Path) -> None:
    other.write_w2v_bert(tmp_path, head=False)
    source = load_model(tmp_path)
    assert source.vocabulary.symbols == (BLANK,)
    model = transfer(source, Vocabulary((BLANK, "a", "b"))).model
    assert model.head.weight.isfinite().all() and model.head.weight.std() > 0
    assert [row.how for row in plan_head(source.vocabulary, model.vocabulary)] == ["blank", "new", "new"]


def test_a_source_without_a_head_cannot_be_distilled_by_its_head(tones: Tones, tmp_path: Path) -> None:
    other.write_w2v_bert(tmp_path / "source", head=False)
    source = load_model(tmp_path / "source")
    with pytest.raises(InputError, match="the model has no output layer, so it cannot transcribe"):
        transcribe(source, tones.dev)
    model = transfer(source, Vocabulary.from_texts(u.text for u in tones.train)).model
    with pytest.raises(InputError, match="no output layer"):
        transcribe(model.as_parent(), tones.dev)
    config = settings(l2_sp=0.1, distillation=0.5)
    with pytest.raises(InputError, match=r"finetune\.distillation needs the source's output layer"):
        finetune(model, tones.train, tones.dev, config, out=tmp_path / "a")
    finetune(model, tones.train, tones.dev, settings(l2_sp=0.1), out=tmp_path / "b")


# --- The same contract as for our own -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_external_checkpoint_is_adapted_saved_and_loaded(
    checkpoints: dict[str, tuple[Path, Any]], tones: Tones, tmp_path: Path, kind: str
) -> None:
    source = load_model(checkpoints[kind][0])
    model = transfer(source, Vocabulary.from_texts(u.text for u in tones.train), dropout=0.1).model
    before = state(model)
    finetune(model, tones.train, tones.dev, QUICK, out=tmp_path / "run")
    moved = [name for name, value in state(model).items() if not torch.equal(value, before[name])]
    parameters = {name for name, weights in model.named_parameters() if weights.requires_grad}
    assert {name for name in moved if name in parameters} >= parameters - {"encoder.network.embed_positions.weight"}
    save_model(model, tmp_path / "model", Card("adapted"))
    again = load_model(tmp_path / "model")
    samples = [other.speech(1.0), other.speech(0.6, 1)]
    for a, b in zip(our_outputs(model.eval(), samples), our_outputs(again, samples), strict=True):
        assert torch.equal(a, b)
    assert again.architecture.config and again.spec == source.spec


@pytest.mark.parametrize(("freeze", "lora_rank"), [("encoder", 0), (2, 0), ("none", 2)])
@pytest.mark.parametrize("kind", KINDS)
def test_frozen_modules_keep_their_bits(
    checkpoints: dict[str, tuple[Path, Any]], tones: Tones, tmp_path: Path, kind: str, freeze: str | int, lora_rank: int
) -> None:
    source = load_model(checkpoints[kind][0])
    model = transfer(source, Vocabulary.from_texts(u.text for u in tones.train)).model
    if lora_rank:
        pytest.importorskip("peft")
        model = with_lora(model, lora_rank)
    frozen = model.encoder.layer_groups()[: 2 if freeze == 2 else None]
    before = [state(group) for group in frozen]
    finetune(model, tones.train, tones.dev, settings(freeze=freeze), out=tmp_path)
    for group, old in zip(frozen, before, strict=True):
        new = state(group)
        assert all(torch.equal(new[name], value) for name, value in old.items() if "lora_" not in name)
    if lora_rank:
        assert any(value.any() for name, value in state(model).items() if "lora_B" in name)
        plain = merge_lora(model).eval()
        for a, b in zip(
            our_outputs(model.eval(), [other.speech(1.0)]), our_outputs(plain, [other.speech(1.0)]), strict=True
        ):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_new_adapters_are_the_identity_and_are_trained(checkpoints: dict[str, tuple[Path, Any]], kind: str) -> None:
    plain = replaced_head(load_model(checkpoints[kind][0]))
    model = with_new_layers(plain, adapter_dim=4)
    samples = [other.speech(1.0)]
    assert torch.equal(our_outputs(model, samples)[0], our_outputs(plain, samples)[0])
    with torch.no_grad():
        for adapter in model.encoder.adapters:
            adapter.correction[-1].bias.copy_(torch.randn(len(adapter.correction[-1].bias)))
    assert not torch.allclose(our_outputs(model, samples)[0], our_outputs(plain, samples)[0], atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_of_the_encoder_is_in_one_layer_group(checkpoints: dict[str, tuple[Path, Any]], kind: str) -> None:
    encoder = load_model(checkpoints[kind][0]).encoder
    grouped = [id(weights) for group in encoder.layer_groups() for weights in group.parameters()]
    assert sorted(grouped) == sorted(map(id, encoder.parameters())) and len(encoder.layer_groups()) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_run_with_a_regulariser_ends_with_the_same_bits(
    checkpoints: dict[str, tuple[Path, Any]], tones: Tones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    source = load_model(checkpoints[kind][0])
    config = settings(l2_sp=0.1, layer_decay=0.8)

    def run(out: Path) -> AcousticModel:
        model = transfer(source, Vocabulary.from_texts(u.text for u in tones.train), dropout=0.1).model
        return finetune(model, tones.train, tones.dev, config, out=out)

    whole, step = state(run(tmp_path / "whole")), loop.training_step
    with monkeypatch.context() as patch:
        patch.setattr(
            loop,
            "training_step",
            lambda job, optimizer, batch, at: stop() if at == 3 else step(job, optimizer, batch, at),
        )
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "stopped")
    resumed = state(run(tmp_path / "stopped"))
    assert whole.keys() == resumed.keys() and all(torch.equal(whole[name], resumed[name]) for name in whole)


def stop() -> float:
    raise KeyboardInterrupt


def test_gradient_checkpointing_gives_the_same_gradients(checkpoints: dict[str, tuple[Path, Any]]) -> None:
    gradients = []
    for save in (False, True):
        model = replaced_head(load_model(checkpoints["parakeet"][0])).train()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        if save:
            model.encoder.enable_gradient_checkpointing()
        features = filterbank(other.speech(1.0), model.spec)[None]
        log_probs, _ = model(features, torch.tensor([features.shape[1]]))
        torch.autograd.backward(log_probs[..., 1].sum())
        gradients.append({name: weights.grad for name, weights in model.named_parameters() if weights.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, value in gradients[0].items():
        torch.testing.assert_close(value, gradients[1][name], atol=1e-5, rtol=1e-4)


def test_gradient_checkpointing_is_for_encoders_of_transformers(
    checkpoints: dict[str, tuple[Path, Any]], tones: Tones, tmp_path: Path
) -> None:
    trained = []
    for again in (False, True):
        model = transfer(
            load_model(checkpoints["wav2vec2-bert"][0]), Vocabulary.from_texts(u.text for u in tones.train)
        ).model
        config = settings(gradient_checkpointing=again)
        trained.append(state(finetune(model, tones.train, tones.dev, config, out=tmp_path / str(again))))
    for name, value in trained[0].items():
        torch.testing.assert_close(value, trained[1][name], atol=1e-4, rtol=1e-3)
    with pytest.raises(InputError, match="gradient_checkpointing is for encoders of transformers"):
        own = transfer(source_model("dnn"), Vocabulary.from_texts(u.text for u in tones.train)).model
        finetune(own, tones.train, tones.dev, settings(gradient_checkpointing=True), out=tmp_path / "own")


def test_a_language_pack_of_an_external_base(
    checkpoints: dict[str, tuple[Path, Any]], tones: Tones, tmp_path: Path
) -> None:
    pytest.importorskip("peft")
    folder, _ = checkpoints["wav2vec2-bert"]
    model = with_lora(transfer(load_model(folder), Vocabulary.from_texts(u.text for u in tones.train)).model, 2)
    finetune(model, tones.train, tones.dev, QUICK, out=tmp_path / "run")
    save_pack(model, tmp_path / "pack", Card("pack"), base=folder)
    samples = [other.speech(1.0)]
    torch.testing.assert_close(
        our_outputs(load_model(tmp_path / "pack"), samples)[0], our_outputs(model.eval(), samples)[0], atol=1e-5, rtol=0
    )


def test_randomness_of_the_library_is_off(checkpoints: dict[str, tuple[Path, Any]]) -> None:
    """SpecAugment and layer drop of the library are off: without dropout, training mode computes what evaluation mode does."""
    for kind in KINDS:
        model = load_model(checkpoints[kind][0])
        for module in model.modules():
            if not isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.training = True
        samples = [other.speech(1.0)]
        assert torch.equal(our_outputs(model, samples)[0], our_outputs(model, samples)[0])


# --- NeMo -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def parakeet() -> Any:
    """A transformers' Parakeet over characters whose blank is last, as NeMo has it."""
    size = len(other.LETTERS) + 2
    config = transformers.ParakeetCTCConfig(
        vocab_size=size, pad_token_id=size - 1, encoder_config=other.parakeet_encoder()
    )
    return other.randomized(transformers.ParakeetForCTC(config))


LABELS = [" ", *other.LETTERS]


def archive(path: Path, network: Any, **changes: Any) -> Path:
    config = other.nemo_config(LABELS)
    for section, values in changes.items():
        config[section] = {**config[section], **values} if isinstance(values, dict) else values
    return other.write_nemo(path, config, other.nemo_weights(network))


def test_a_nemo_archive_computes_what_its_weights_compute_in_transformers(parakeet: Any, tmp_path: Path) -> None:
    model = load_model(archive(tmp_path / "model.nemo", parakeet))
    assert model.vocabulary.symbols == (BLANK, " ", *other.LETTERS)
    assert model.spec.name == "nemo-2024" and model.architecture.subsampling == 8
    [mine] = our_outputs(model, [other.speech(2.0)])
    features = filterbank(other.speech(2.0), model.spec)[None]
    with torch.inference_mode():
        logits = parakeet(features, attention_mask=torch.ones(features.shape[:2], dtype=torch.long)).logits[0]
    expected = logits[:, [len(LABELS), *range(len(LABELS))]].log_softmax(dim=-1)
    torch.testing.assert_close(mine, expected, atol=1e-4, rtol=0)
    assert mine.std() > 0.3


def test_newer_releases_of_nemo_have_the_newer_front_end(parakeet: Any, tmp_path: Path) -> None:
    names = {}
    for release in ("1.20.0", "2.4.0", "2.5.0rc0", "3.0"):
        names[release] = load_model(archive(tmp_path / f"{release}.nemo", parakeet, nemo_version=release)).spec.name
    assert names == {"1.20.0": "nemo-2024", "2.4.0": "nemo-2024", "2.5.0rc0": "nemo-2025", "3.0": "nemo-2025"}


def test_striding_by_four_is_full_convolutions_then_all_bands(tmp_path: Path) -> None:
    """NeMo's `striding`: two 3 x 3 convolutions of stride 2 with ReLU, channels and bands flattened, one linear layer."""
    encoder = other.randomized(
        transformers.ParakeetEncoder(transformers.ParakeetEncoderConfig(**other.parakeet_encoder(subsampling_factor=4)))
    )
    torch.manual_seed(0)
    first, second, linear = nn.Conv2d(1, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1), nn.Linear(8 * 20, 32)
    state = {
        f"encoder.{name}": value for name, value in other.nemo_weights(encoder).items() if not name.startswith("pre")
    }
    parts = {"conv.0": first, "conv.2": second, "out": linear}
    state |= {f"encoder.pre_encode.{n}.{k}": v for n, part in parts.items() for k, v in part.state_dict().items()}
    head = nn.Linear(32, len(LABELS) + 1)
    state |= {"decoder.decoder_layers.0.weight": head.weight[..., None], "decoder.decoder_layers.0.bias": head.bias}
    config = other.nemo_config(LABELS, subsampling="striding", subsampling_factor=4)
    model = load_model(other.write_nemo(tmp_path / "model.nemo", config, state))
    features = filterbank(other.speech(1.3), model.spec)[None]
    with torch.inference_mode():
        x = torch.relu(second(torch.relu(first(features[:, None]))))
        x = linear(x.transpose(1, 2).flatten(2)) * 32**0.5
        positions = encoder.encode_positions(x)
        for layer in encoder.layers:
            x = layer(x, position_embeddings=positions)
        expected = head(x)[0][:, [len(LABELS), *range(len(LABELS))]].log_softmax(dim=-1)
    [mine] = our_outputs(model, [other.speech(1.3)])
    torch.testing.assert_close(mine, expected, atol=1e-4, rtol=0)


def test_pieces_of_nemo_are_those_of_its_sentencepiece_model(parakeet: Any, tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["an ant sat on a hat", "the cat ate a rat"] * 20), model_writer=made, vocab_size=19,
        model_type="bpe", bos_id=-1, eos_id=-1, minloglevel=2, hard_vocab_limit=False,
    )  # fmt: skip
    processor = sentencepiece.SentencePieceProcessor(model_proto=made.getvalue())
    size = processor.get_piece_size() + 1
    config = transformers.ParakeetCTCConfig(
        vocab_size=size, pad_token_id=size - 1, encoder_config=other.parakeet_encoder()
    )
    state = other.nemo_weights(other.randomized(transformers.ParakeetForCTC(config)))
    path = other.write_nemo(
        tmp_path / "m.nemo", other.nemo_config(None), state, {"./0123abc_tokenizer.model": made.getvalue()}
    )
    vocabulary = load_model(path).vocabulary
    assert vocabulary.symbols[1:] == tuple(processor.id_to_piece(i) for i in range(size - 1))
    assert [i - 1 for i in vocabulary.encode("the ant sat")] == processor.encode("the ant sat")
    assert vocabulary.unknown("the uk") == {"u": 1, "k": 1}, "letters of <unk> are no letters of the vocabulary"
    assert vocabulary.decode(vocabulary.encode("the uk sat", unknown="skip")) == "the sat"


# --- Refusals -------------------------------------------------------------------------------------------------------------


def altered(folder: Path, to: Path, name: str, **changes: Any) -> Path:
    import shutil

    shutil.copytree(folder, to)
    content = json.loads((to / name).read_text())
    (to / name).write_text(json.dumps(content | changes))
    return to


@pytest.mark.parametrize(
    ("kind", "name", "changes", "message"),
    [
        ("parakeet", "config.json", {"model_type": "parakeet_tdt"}, "parakeet_tdt is a transducer without a CTC head"),
        (
            "parakeet",
            "config.json",
            {"model_type": "wavlm"},
            "architecture 'wavlm' is unknown; expected one of parakeet_ctc",
        ),
        ("whisper", "preprocessor_config.json", {"hop_length": 80}, "hop_length = 80 where 160 is expected"),
        ("speech2text", "preprocessor_config.json", {"normalize_vars": False}, "normalize_vars = False"),
        ("wav2vec2-bert", "config.json", {"num_hidden_layers": 4}, r"encoder\.layers\.3\..* is missing"),
        ("wav2vec2-bert", "config.json", {"num_hidden_layers": 2}, r"encoder\.layers\.2\..* is unexpected"),
        (
            "wav2vec2-bert",
            "config.json",
            {"num_attention_heads": "4"},
            "refuses the configuration of this wav2vec2-bert",
        ),
        ("wav2vec2-bert", "config.json", {"hidden_act": "nonesuch"}, "refuses the configuration .*nonesuch"),
        ("wav2vec2-bert", "config.json", {"pad_token_id": None}, "its settings are incomplete or damaged"),
        ("wav2vec2-bert", "vocab.json", {"kin": {"a": 1}}, "its settings are incomplete or damaged"),
        ("parakeet", "processor_config.json", {"feature_extractor": {"hop_length": 80}}, "hop_length = 80 where"),
        ("parakeet", "tokenizer.json", {"model": {}}, "its settings are incomplete or damaged"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    checkpoints: dict[str, tuple[Path, Any]],
    tmp_path: Path,
    kind: str,
    name: str,
    changes: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(InputError, match=message):
        load_model(altered(checkpoints[kind][0], tmp_path / "altered", name, **changes))


def test_truncated_weights_are_refused(checkpoints: dict[str, tuple[Path, Any]], tmp_path: Path) -> None:
    folder = altered(checkpoints["parakeet"][0], tmp_path / "cut", "config.json")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"model\.safetensors: missing or damaged"):
        load_model(folder)


def test_weights_of_something_else_are_refused(checkpoints: dict[str, tuple[Path, Any]], tmp_path: Path) -> None:
    folder = altered(checkpoints["parakeet"][0], tmp_path / "other", "config.json")
    safetensors.torch.save_file({"decoder.weight": torch.ones(2)}, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"layers\.0\..* is missing"):
        load_model(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(InputError, match=r"config\.json: no JSON object"):
        load_model(folder)


class Attack:
    """Pickled, it runs a command when it is unpickled carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("how", ["folder", "archive"])
def test_code_in_a_pickle_is_never_run(
    checkpoints: dict[str, tuple[Path, Any]], parakeet: Any, tmp_path: Path, how: str
) -> None:
    trace = tmp_path / "trace"
    if how == "folder":
        place = altered(checkpoints["whisper"][0], tmp_path / "bad", "config.json")
        (place / "model.safetensors").unlink()
        torch.save({"encoder.conv1.weight": Attack(trace)}, place / "pytorch_model.bin")
    else:
        place = other.write_nemo(tmp_path / "bad.nemo", other.nemo_config(LABELS), {"encoder": Attack(trace)})
    with pytest.raises(InputError, match="contain code or objects besides tensors, which are never run"):
        load_model(place)
    assert not trace.exists()


def member(name: str, content: bytes = b"x", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    for key, value in fields.items():
        setattr(entry, key, value)
    return entry, content


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (member("../outside"), r"'\.\./outside' leads out of the archive"),
        (member("/etc/passwd"), "'/etc/passwd' leads out of the archive"),
        (member("link", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "'link' is a link or device"),
        (member("link", b"", type=tarfile.LNKTYPE, linkname="model_config.yaml"), "'link' is a link or device"),
        (member("pipe", b"", type=tarfile.FIFOTYPE), "'pipe' is a link or device"),
        (member("."), r"'\.' is a link or device"),
    ],
)
def test_an_archive_with_links_or_outside_paths_is_refused(
    parakeet: Any, tmp_path: Path, extra: tuple[tarfile.TarInfo, bytes], message: str
) -> None:
    path = archive(tmp_path / "m.nemo", parakeet)
    with tarfile.open(path, "a") as opened:
        opened.addfile(extra[0], io.BytesIO(extra[1]))
    with pytest.raises(InputError, match=message):
        load_model(path)


@pytest.mark.parametrize("left", [0, 100, 5000, 60_000])
def test_a_truncated_archive_is_refused(parakeet: Any, tmp_path: Path, left: int) -> None:
    path = archive(tmp_path / "m.nemo", parakeet)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(
        InputError, match=r"m\.nemo: (no archive|truncated|more than|model_config\.yaml is missing|model_weights)"
    ):
        load_model(path)


def test_a_compressed_archive_is_read_or_refused_like_any_other(parakeet: Any, tmp_path: Path) -> None:
    config, state = other.nemo_config(LABELS), other.nemo_weights(parakeet)
    path = other.write_nemo(tmp_path / "m.nemo", config, state, mode="w:gz")
    plain = load_model(other.write_nemo(tmp_path / "plain.nemo", config, state))
    assert torch.equal(load_model(path).head.weight, plain.head.weight)
    content = path.read_bytes()
    for place in (len(content) // 3, len(content) // 2, len(content) - 100):
        path.write_bytes(content[:place] + bytes(50) + content[place + 50 :])
        with pytest.raises(InputError, match=r"m\.nemo: .*(damaged|code or objects)"):
            load_model(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"target": "nemo.collections.asr.models.rnnt_models.EncDecRNNTModel"},
            "EncDecRNNTModel; expected a CTC model",
        ),
        ({"preprocessor": {"normalize": "all_features"}}, "normalize = 'all_features'"),
        ({"preprocessor": {"window_stride": 0.02}}, r"window_stride = 0\.02"),
        ({"encoder": {"conv_norm_type": "layer_norm"}}, "conv_norm_type = 'layer_norm'"),
        ({"encoder": {"att_context_size": [128, 128]}}, r"att_context_size = \[128, 128\]"),
        ({"encoder": {"subsampling": "vggnet"}}, "subsampling vggnet by 8"),
        ({"encoder": {"n_layers": 4}}, r"layers\.3\..* is missing"),
    ],
)
def test_an_archive_of_an_unsupported_model_is_refused(
    parakeet: Any, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_model(archive(tmp_path / "m.nemo", parakeet, **changes))


@pytest.mark.parametrize("part", ["fb", "window"])
def test_a_front_end_that_is_no_preset_is_refused(parakeet: Any, tmp_path: Path, part: str) -> None:
    state = other.nemo_weights(parakeet)
    state[f"preprocessor.featurizer.{part}"] = state[f"preprocessor.featurizer.{part}"] * 1.01
    path = other.write_nemo(tmp_path / "m.nemo", other.nemo_config(LABELS), state)
    with pytest.raises(InputError, match="inside the archive is not that of the preset nemo-2024"):
        load_model(path)


def test_an_archive_in_half_precision_has_the_same_front_end(parakeet: Any, tmp_path: Path) -> None:
    state = {
        name: value.bfloat16() for name, value in other.nemo_weights(parakeet).items() if value.is_floating_point()
    }
    state = other.nemo_weights(parakeet) | state
    model = load_model(other.write_nemo(tmp_path / "m.nemo", other.nemo_config(LABELS), state))
    assert torch.equal(model.head.weight[1:], state["decoder.decoder_layers.0.weight"][:-1, :, 0].float())


def test_yaml_runs_no_code(parakeet: Any, tmp_path: Path) -> None:
    path, trace = archive(tmp_path / "m.nemo", parakeet), tmp_path / "trace"
    with tarfile.open(path, "w") as opened:
        content = f"encoder: !!python/object/apply:pathlib.Path.touch [{trace}]".encode()
        opened.addfile(*member("model_config.yaml", content)[:1], io.BytesIO(content))
    with pytest.raises(InputError, match=r"model_config\.yaml: not YAML"):
        load_model(path)
    assert not trace.exists()


# --- Names ----------------------------------------------------------------------------------------------------------------


def test_external_checkpoints_are_sources(
    checkpoints: dict[str, tuple[Path, Any]], parakeet: Any, tmp_path: Path
) -> None:
    folder = checkpoints["whisper"][0]
    assert resolve_source(folder).kind == "transformers" and resolve_source(folder).path == folder
    assert resolve_source(archive(tmp_path / "m.nemo", parakeet)).kind == "nemo"
    assert read_card(folder).details == {"toolkit": "transformers"}
    assert read_card(tmp_path / "m.nemo").details == {"toolkit": "NeMo"}
    assert weights_hash(folder) != weights_hash(checkpoints["parakeet"][0])


def test_a_name_of_the_hub_is_downloaded_with_its_revision(
    checkpoints: dict[str, tuple[Path, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: list[Any] = []

    def snapshot_download(repository: str, **options: Any) -> str:
        asked.append((repository, options["revision"]))
        return str(checkpoints["wav2vec2-bert"][0])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    model = load_model("hf:facebook/some-model@abc123")
    assert asked == [("facebook/some-model", "abc123")] and model.name == "hf:facebook/some-model@abc123"
    assert read_card("hf:facebook/some-model").details["revision"] == "wav2vec2-bert"


def test_the_card_of_an_adapted_model_states_the_revision_of_its_source(
    checkpoints: dict[str, tuple[Path, Any]], tones: Tones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(checkpoints["wav2vec2-bert"][0]))
    manifests = [tones.folder / "train.jsonl"], [tones.folder / "dev.jsonl"]
    out = (
        adapt("hf:facebook/some-model", *manifests, out=tmp_path / "run", config=Config(finetune=QUICK)).folder
        / "model"
    )
    card = read_card(out)
    assert card.parent == "hf:facebook/some-model" and card.details["source revision"] == "wav2vec2-bert"


@pytest.mark.parametrize(
    ("held", "fetched"),
    [
        (("model.safetensors", "pytorch_model.bin", "model.fp32-00001-of-00002.safetensors"), {"model.safetensors"}),
        (("pytorch_model.bin", "training_args.bin", "flax_model.msgpack"), {"pytorch_model.bin"}),
        (
            ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "checkpoint-10/model.safetensors"),
            {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"},
        ),
    ],
)
def test_only_the_weights_that_are_read_are_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: tuple[str, ...], fetched: set[str]
) -> None:
    """A repository as the published ones are; which of its files match, the hub's own rule decides."""
    import huggingface_hub

    def snapshot_download(repository: str, **options: Any) -> str:
        names = ("config.json", "preprocessor_config.json", "trainer_state/state.json", *held)
        for name in huggingface_hub.utils.filter_repo_objects(names, allow_patterns=options["allow_patterns"]):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(b"")
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    resolve_source("hf:somebody/something")
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"config.json", "preprocessor_config.json"} | fetched


def test_offline_a_model_that_is_not_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="not downloaded before, and the hub cannot be reached"):
        load_model("hf:nobody/nothing")
    with pytest.raises(InputError, match=r"nowhere\.nemo: no such file"):
        load_model(tmp_path / "nowhere.nemo")
