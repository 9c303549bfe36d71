"""Language models that a run makes of its own transcripts: when they are kept, and that the verbs decode with them."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from speechxfer import InputError
from speechxfer.checkpoints import load_model, save_model
from speechxfer.config import load_config
from speechxfer.data import Utterance, read_manifest, write_manifest
from speechxfer.features import AudioOptions
from speechxfer.language_models import read_language_model
from speechxfer.models import AcousticModel
from speechxfer.scoring import PooledScore, read_report
from speechxfer.text import Vocabulary
from speechxfer.workflows import (
    DecodingOptions,
    adapt,
    choose_language_models,
    evaluate_models,
    open_decoder,
    read_stored_weights,
    train_from_scratch,
    transcribe_inputs,
    tune_models,
)
from speechxfer.workflows import run_language_models as module
from speechxfer.workflows.decoders import write_tuned_weights
from speechxfer.workflows.run_language_models import run_language_models
from tests.small_models import source_model
from tests.test_decoding_weights import run
from tests.tone_corpus import write_tone_corpus

TRAIN = ["ab ba ab", "ba ab", "ab ab ba", "ab", "ba ba ab ab"]
DEV = ["ba ab ab ab", "ab ba ba", "ba ba"]  # of the words of TRAIN, in sentences that are not in it
SETTINGS = [
    *("model.encoder=dnn", "model.subsampling=1", "model.size=tiny", "finetune.steps=2", "finetune.batch_s=8"),
    *("finetune.evaluate_every_steps=1", "finetune.speed_factors=[1.0]", "finetune.precision=fp32"),
]


def utterances(texts: Sequence[str], name: str = "u") -> list[Utterance]:
    return [Utterance(f"{name}{number}", Path("none.wav"), 1.0, text) for number, text in enumerate(texts)]


def spoken(model: AcousticModel, text: str, *, doubtful: bool) -> Tensor:
    """Log-probabilities `[frames, symbols]` of a text; if doubtful, b after a sounds a little more like a third letter, c."""
    symbols = model.vocabulary.symbols
    frames = []
    for previous, letter in zip(" " + text, text, strict=False):
        row = torch.full((len(symbols),), 0.01)
        row[symbols.index(letter)] = 1.0
        if doubtful and previous == "a" and letter == "b":
            row[symbols.index("c")] = 1.2
        blank = torch.full((len(symbols),), 0.01)
        blank[0] = 1.0
        frames += [row, blank]
    return (torch.stack(frames) / torch.stack(frames).sum(dim=-1, keepdim=True)).log()


@pytest.fixture
def model() -> AcousticModel:
    return source_model("dnn", Vocabulary.from_texts(["a b c"]))


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Replace the acoustic model's outputs by those of `spoken`, and let a few words of dev suffice."""

    def replace_outputs(doubtful: bool) -> None:
        monkeypatch.setattr(module, "MIN_WORDS", 5)
        monkeypatch.setattr(
            module,
            "compute_log_probs",
            lambda model, given, audio: ((i, spoken(model, u.text, doubtful=doubtful)) for i, u in enumerate(given)),
        )

    return replace_outputs


def make(model: AcousticModel, train: Sequence[str], dev: Sequence[str], out: Path) -> list[str]:
    """Names of the files; they are copied to `out`/model with the model."""
    audio = AudioOptions(model.spec)
    with run_language_models(model, utterances(train), utterances(dev, "d"), audio, out) as files:
        save_model(model, out / "model", decoding=files)
        names = [file.name for file in files]
    assert [path.name for path in out.iterdir()] == ["model"], "nothing temporary is left"
    return names


def test_language_models_that_lower_the_error_rates_of_dev_are_kept_with_their_weights(
    model: AcousticModel, pretend: Callable[[bool], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(True)
    assert make(model, TRAIN, DEV, tmp_path) == ["word.lm", "character.lm", "decoding.json"]
    # Greedily every "ab" is "ac": 4 of 9 words and of 24 characters; with the transcripts' words none is wrong.
    assert "WER 0.0, CER 0.0 % on dev (greedy: 44.4, 16.7 %)" in capsys.readouterr().err
    words = read_language_model(tmp_path / "model" / "word.lm")
    assert (words.unit, words.order) == ("word", 4) and "ab" in words.words and "ac" not in words.words
    assert read_language_model(tmp_path / "model" / "character.lm").unit == "character"
    (stored,) = read_stored_weights(str(tmp_path / "model")).values()
    assert (stored.wer, stored.cer, stored.dev) == (0.0, 0.0, "dev")
    decoder = open_decoder(str(tmp_path / "model"), model, DecodingOptions())
    assert decoder and decoder.name == "beam 16, word 4-gram, character 6-gram"
    outputs = [spoken(model, text, doubtful=True) for text in ("ab ab", "ba ab ba")]
    assert decoder.decode_texts(outputs) == ["ab ab", "ba ab ba"]
    assert "decoding with the language models of" in capsys.readouterr().err
    for greedy in (DecodingOptions(language_models=()), DecodingOptions(language_models=(), nbest=0)):
        assert open_decoder(str(tmp_path / "model"), model, greedy) is None
    alone = open_decoder(str(tmp_path / "model"), model, DecodingOptions(language_models=(), beam=4))
    assert alone and alone.name == "beam 4" and alone.decode_texts(outputs) == ["ac ac", "ba ac ba"]


def test_language_models_that_do_not_help_are_not_kept(
    model: AcousticModel, pretend: Callable[[bool], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(False)  # greedy decoding makes no error
    assert make(model, TRAIN, DEV, tmp_path) == []
    assert "do not help: WER 0.0, CER 0.0 % on dev (greedy: 0.0, 0.0 %); decoding is greedy" in capsys.readouterr().err
    assert open_decoder(str(tmp_path / "model"), model, DecodingOptions()) is None


def test_texts_of_dev_that_are_transcripts_do_not_count(
    model: AcousticModel, pretend: Callable[[bool], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of "AB!" the normalised text is a transcript; 2 words are left."""
    pretend(True)
    assert make(model, TRAIN, ["ba ab", "AB!", "ab ab ba", "ba ba"], tmp_path) == []
    assert "dev has 2 words in texts that are not training transcripts, and 5 are needed" in capsys.readouterr().err


def test_a_long_dev_is_sampled_and_long_utterances_are_excluded(
    model: AcousticModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_TUNING_S", 10.0)
    dev = utterances([f"ab {'ba ' * number}" for number in range(1, 40)], "d")
    dev[5] = replace(dev[5], duration=31.0)
    chosen = module._tuning_utterances(model, utterances(["ab ba"]), dev)
    assert len(chosen) == 10 and {u.id for u in chosen} < {u.id for u in dev} - {"d0", "d5"}
    assert chosen == module._tuning_utterances(model, utterances(["ab ba"]), dev)
    assert max(int(u.id[1:]) for u in chosen) > 20, "not only the first ones"


def test_a_large_corpus_is_left_to_lm_train(
    model: AcousticModel, pretend: Callable[[bool], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(True)
    audio = AudioOptions(model.spec)
    long = [replace(u, duration=100 * 3600.0, audio_filepath=Path(f"{u.id}.wav")) for u in utterances(TRAIN)]
    with run_language_models(model, long, utterances(DEV, "d"), audio, tmp_path) as files:
        assert files == []
    assert "there is much training speech; make them with `speechxfer lm train`" in capsys.readouterr().err


def test_without_spaces_there_is_a_language_model_of_characters_only(
    pretend: Callable[[bool], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As in Chinese or Thai, and of words that are recorded one by one."""
    pretend(True)
    unspaced = source_model("dnn", Vocabulary.from_texts(["abc"]))
    train, dev = (["".join(text.split()) for text in texts] for texts in (TRAIN, DEV))
    assert make(unspaced, train, dev, tmp_path) == []
    assert (
        "dev has 18 characters in texts that are not training transcripts, and 500 are needed"
        in capsys.readouterr().err
    )
    monkeypatch.setattr(module, "MIN_CHARACTERS", 18)
    assert make(unspaced, train, dev, tmp_path) == ["character.lm", "decoding.json"]
    decoder = open_decoder(str(tmp_path / "model"), unspaced)
    assert decoder and decoder.decode_texts([spoken(unspaced, "abab", doubtful=True)]) == ["abab"]


def test_a_gain_that_can_be_chance_does_not_count(
    model: AcousticModel,
    pretend: Callable[[bool], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Transcripts with "ac" for "ab" confirm what is recognised wrongly; and a gain of everything is not more than everything."""
    pretend(True)
    assert make(model, [text.replace("ab", "ac") for text in TRAIN], DEV, tmp_path) == []
    assert "do not help: WER 44.4, CER 16.7 % on dev (greedy: 44.4, 16.7 %)" in capsys.readouterr().err
    monkeypatch.setattr(module, "LEAST_GAIN", 1.01)
    assert make(model, TRAIN, DEV, tmp_path) == []


def test_a_transcript_with_a_reserved_word_makes_none_and_ends_no_run(
    model: AcousticModel, pretend: Callable[[bool], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(True)
    model.normalizer = replace(model.normalizer, punctuation="keep")
    assert make(model, [*TRAIN, "ab <s> ab"], DEV, tmp_path) == []
    assert "no language models of the transcripts: " in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["labels", "phones"])
def test_classifiers_and_phone_models_have_none(
    kind: str, pretend: Callable[[bool], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(True)
    vocabulary = Vocabulary.from_texts(["a b c"], "labels" if kind == "labels" else "phones")
    made = source_model("dnn", vocabulary)
    made.task = "classify" if kind == "labels" else "ctc"
    assert make(made, TRAIN, DEV, tmp_path) == [] and capsys.readouterr().err == ""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with train, dev and test, and a run with language models, whatever they are worth after two steps."""
    folder = tmp_path_factory.mktemp("own")
    for number, (name, count) in enumerate((("train", 12), ("dev", 6), ("test", 6))):
        write_tone_corpus(folder / f"{name}.jsonl", count, letters="abc", seed=number, words=(2, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MIN_WORDS", 2)
        patch.setattr(module, "TRIALS", 3)
        patch.setattr(module.WeightSearch, "greedy_rates", lambda self: (9.0, 9.0))
        train_from_scratch(
            folder / "train.jsonl", folder / "dev.jsonl", out=folder / "run", config=load_config(None, SETTINGS)
        )
    return folder


def test_the_verbs_decode_with_a_runs_own_language_models(trained: Path, tmp_path: Path) -> None:
    name, test = str(trained / "run"), trained / "test.jsonl"
    assert {path.name for path in (trained / "run" / "model").iterdir()} >= {"word.lm", "character.lm", "decoding.json"}
    given = tuple(trained / "run" / "model" / file for file in ("word.lm", "character.lm"))
    own = evaluate_models([name], test, tmp_path / "own")
    named = evaluate_models([name], test, tmp_path / "named", decoding=DecodingOptions(language_models=given))
    greedy = evaluate_models([name], test, tmp_path / "greedy", decoding=DecodingOptions(language_models=()))
    reports = {kind: read_report(tmp_path / kind / "report.json") for kind in ("own", "named", "greedy")}
    assert own == named and reports["own"] == reports["named"]
    assert [reports[kind].decoder for kind in ("own", "greedy")] == [
        "beam 16, word 4-gram, character 6-gram",
        "greedy",
    ]
    texts = {id_: hypothesis.text for id_, hypothesis in transcribe_inputs(name, [test])}
    assert texts == {row.id: row.hypothesis for row in reports["own"].utterances}
    assert greedy != own


def test_the_command_line_has_no_lm(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, test = trained / "run", trained / "test.jsonl"
    for words, decoder in (([], "beam 16, word 4-gram, character 6-gram"), (["--no-lm"], "greedy")):
        assert run("evaluate", name, "--on", test, "--out", tmp_path / decoder, *words) == 0
        assert read_report(tmp_path / decoder / "report.json").decoder == decoder
    page = tmp_path / "page.html"
    assert run("report", name, "--on", test, "--out", page, "--no-lm", "--no-audio") == 0
    capsys.readouterr()
    assert run("transcribe", name, test, "--no-lm", "--lm", name / "model" / "word.lm") == 2
    assert "--no-lm decodes without language models, but --lm names" in capsys.readouterr().err
    words = [word for setting in SETTINGS for word in ("--set", setting)]
    data = ["--train", trained / "train.jsonl", "--dev", trained / "dev.jsonl"]
    assert run("train", "--out", tmp_path / "without", *data, *words, "--no-lm") == 0
    assert "language models" not in capsys.readouterr().err
    assert not (tmp_path / "without" / "model" / "word.lm").exists()
    assert run("train", "--out", tmp_path / "without", *data, *words) == 0  # it is the same run, and finished
    assert "already finished" in capsys.readouterr().err


def test_seeds_that_decode_differently_are_not_pooled(trained: Path, tmp_path: Path) -> None:
    settings = load_config(None, [*SETTINGS, "finetune.seed=2"])
    manifests = trained / "train.jsonl", trained / "dev.jsonl"
    train_from_scratch(*manifests, out=tmp_path / "other", config=settings, language_models=False)
    names = [str(trained / "run"), str(tmp_path / "other")]
    with pytest.raises(InputError, match=r"run decodes with language models .* and .*other has none, .* give --no-lm"):
        evaluate_models(names, trained / "test.jsonl")
    greedy = DecodingOptions(language_models=())
    assert isinstance(evaluate_models(names, trained / "test.jsonl", decoding=greedy), PooledScore)


def test_tuning_with_phrases_leaves_decoding_without_them_as_it_is(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "run", tmp_path / "run")
    name = str(tmp_path / "run")
    before = read_stored_weights(name)
    (tmp_path / "phrases.txt").write_text("abc\n", encoding="utf-8")
    boosted = DecodingOptions(boost=tmp_path / "phrases.txt")
    tune_models([name], trained / "test.jsonl", boosted, trials=1)
    after = read_stored_weights(name)
    assert {key: after[key] for key in before} == before and len(after) == 2
    (added,) = after.keys() - before.keys()
    write_tuned_weights(
        tmp_path / "run" / "model" / "decoding.json",
        {key: replace(stored, beam=3 if key == added else 5) for key, stored in after.items()},
    )
    decoders = [open_decoder(name, load_model(name), options) for options in (DecodingOptions(), boosted)]
    assert [decoder and decoder.settings.beam for decoder in decoders] == [5, 3]


def test_what_lm_and_no_lm_choose() -> None:
    assert choose_language_models(None, False) is None and choose_language_models(None, True) == ()
    assert choose_language_models([Path("a")], False) == (Path("a"),)
    with pytest.raises(InputError, match="give only one of them"):
        choose_language_models([Path("a")], True)


def test_tuning_without_lm_tunes_the_runs_own(trained: Path, tmp_path: Path) -> None:
    """Here on data like dev; a run without language models has nothing to tune."""
    save_model(load_model(trained / "run"), tmp_path / "plain")
    write_manifest(tmp_path / "new.jsonl", read_manifest(trained / "test.jsonl"))
    tune_models([str(trained / "run")], tmp_path / "new.jsonl", DecodingOptions(), trials=1)
    (stored,) = read_stored_weights(str(trained / "run")).values()
    assert stored.dev == "new.jsonl"
    with pytest.raises(InputError, match="plain has none of its own; give --lm or --boost"):
        tune_models([str(tmp_path / "plain")], tmp_path / "new.jsonl", DecodingOptions(), trials=1)


def test_the_card_states_them(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", trained / "run") == 0
    assert "with the language models of its training transcripts (word.lm and character.lm)" in capsys.readouterr().out
    assert run("info", "english") == 0
    assert "decoding: greedy, if no language model is given" in capsys.readouterr().out


def test_a_language_pack_has_them_too(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It decodes as the run that it is written beside."""
    monkeypatch.setattr(module, "MIN_WORDS", 2)
    monkeypatch.setattr(module, "TRIALS", 1)
    monkeypatch.setattr(module.WeightSearch, "greedy_rates", lambda self: (9.0, 9.0))
    save_model(source_model("conformer", Vocabulary.from_texts(["a bc"])), tmp_path / "source")
    manifests = trained / "train.jsonl", trained / "dev.jsonl"
    config = load_config(None, [*SETTINGS[3:], "transfer.lora_rank=2"])
    adapt(tmp_path / "source", *manifests, out=tmp_path / "run", config=config)
    for file in ("word.lm", "character.lm", "decoding.json"):
        assert (tmp_path / "run" / "pack" / file).read_bytes() == (tmp_path / "run" / "model" / file).read_bytes()
    decoder = open_decoder(str(tmp_path / "run" / "pack"), load_model(tmp_path / "run" / "pack"))
    assert decoder and decoder.name == "beam 16, word 4-gram, character 6-gram"


def test_known_words_are_decoded_with_the_weights_of_all_words(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, model = str(trained / "run"), load_model(trained / "run")
    decoders = [open_decoder(name, model, DecodingOptions(known_words=known)) for known in (False, True)]
    assert "no weights were tuned" not in capsys.readouterr().err
    (stored,) = read_stored_weights(name).values()
    assert [decoder and decoder.settings.beam for decoder in decoders] == [stored.beam] * 2


def test_the_hint_to_tune_names_what_was_given(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, words = trained / "run", trained / "run" / "model" / "word.lm"
    options = DecodingOptions(language_models=(words,), known_words=True)
    open_decoder(str(name), load_model(name), options)
    hint = f"`speechxfer evaluate {name} --on DEV.jsonl --lm {words} --known-words --tune`"
    assert hint in capsys.readouterr().err


def test_an_unexpected_error_leaves_a_way_to_save_the_model(
    model: AcousticModel,
    pretend: Callable[[bool], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*arguments: object, **more: object) -> None:
        raise MemoryError

    pretend(True)
    monkeypatch.setattr(module, "prepare_model_fusion", fail)
    with pytest.raises(MemoryError):
        make(model, TRAIN, DEV, tmp_path)
    assert "the same command with --no-lm saves its model without language models" in capsys.readouterr().err


def test_recordings_of_dev_that_cannot_be_read_end_no_run(
    model: AcousticModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of `utterances` do not exist."""
    monkeypatch.setattr(module, "MIN_WORDS", 5)
    assert make(model, TRAIN, DEV, tmp_path) == []
    message = capsys.readouterr().err
    assert "no language models of the transcripts: " in message and "none.wav" in message
    assert next(model.parameters()).device.type == "cpu"
