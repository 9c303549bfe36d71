"""The training loop: what is refused, what stays frozen, which batches are used, selection, and that models are trained."""

import itertools
import json
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from speechxfer.adaptation.construction import transfer
from speechxfer.config.settings import DataConfig, FinetuneConfig
from speechxfer.data.manifest import Utterance
from speechxfer.decoding.evaluation import evaluate
from speechxfer.errors import InputError
from speechxfer.features.presets import PRESETS
from speechxfer.features.store import FeatureStore
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.models.architecture import Architecture
from speechxfer.text.normalizer import Normalizer
from speechxfer.text.vocabulary import Vocabulary
from speechxfer.training import loading, loop, schedule, selection
from speechxfer.training.loading import iterate_batches
from speechxfer.training.loop import finetune
from speechxfer.training.preparation import prepare_run
from speechxfer.training.selection import average, selection_key
from speechxfer.training.state import training_cost
from tests.tone_corpus import write_tone_corpus

Corpus = tuple[list[Utterance], list[Utterance]]
QUICK = FinetuneConfig(
    steps=4,
    batch_s=8.0,
    evaluate_every_steps=2,
    precision="fp32",
    speed_factors=(1.0,),
    spec_augment=0.0,
    intermediate_ctc=0.0,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("tones")
    train = write_tone_corpus(folder / "train.jsonl", 12, letters="abc", seed=1, words=(1, 3))
    return train, write_tone_corpus(folder / "dev.jsonl", 4, letters="abc", seed=2, words=(1, 3))


def make_model(
    train: Sequence[Utterance],
    encoder: str = "cnn",
    *,
    task: str = "ctc",
    dropout: float = 0.0,
    features: str = "kaldi-mvn",
) -> AcousticModel:
    torch.manual_seed(0)
    kind = "words" if task == "classify" else "characters"
    vocabulary = Vocabulary.from_texts((utterance.text for utterance in train), kind)
    architecture = Architecture(encoder, "tiny", 1 if encoder == "dnn" else 4, dropout)
    return AcousticModel(architecture, vocabulary, PRESETS[features], Normalizer(), task)


def settings(**changes: object) -> FinetuneConfig:
    return FinetuneConfig(**(QUICK.model_dump() | changes))


def rows(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


# Small rules, by hand ------------------------------------------------------------------------------------------------


def test_rate_rises_linearly_and_falls_by_half_a_cosine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "FINAL_FRACTION", 0.1)
    rates = [schedule.rate_factor(step, 110, 10) for step in range(110)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[4] == pytest.approx(0.5)
    assert rates[9] == rates[10] == 1.0
    assert rates[60] == pytest.approx(0.1 + 0.9 * 0.5)  # half of the way down
    assert rates[35] == pytest.approx(0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2)  # a quarter of it
    assert 0.1 < rates[109] < 0.101
    assert schedule.rate_factor(0, 100, None) == 0.1, "by default a tenth of the steps"
    assert schedule.rate_factor(0, 5, 0) == 1.0


def test_selection_goes_by_wer_and_by_cer_where_nearly_all_words_are_wrong() -> None:
    assert selection_key(0.30, 0.20, "wer") < selection_key(0.31, 0.10, "wer")
    assert selection_key(0.30, 0.10, "wer") < selection_key(0.30, 0.20, "wer")
    assert selection_key(1.05, 0.40, "wer") < selection_key(1.00, 1.00, "wer"), "empty output is no achievement"
    assert selection_key(0.89, 0.50, "wer") < selection_key(0.95, 0.20, "wer")
    assert selection_key(0.50, 0.10, "cer") < selection_key(0.40, 0.11, "cer")


def test_average_of_weights_by_hand() -> None:
    first = {"w": torch.tensor([1.0, 2.0]), "count": torch.tensor(7)}
    second = {"w": torch.tensor([3.0, 6.0]), "count": torch.tensor(9)}
    mean = average([first, second])
    assert mean["w"].tolist() == [2.0, 4.0]
    assert mean["count"].item() == 7 and mean["count"].dtype == torch.int64


# What is refused before the first step -------------------------------------------------------------------------------


def refusal(tmp_path: Path, train: list[Utterance], dev: list[Utterance], model: AcousticModel, **data: object) -> str:
    with pytest.raises(InputError) as caught:
        finetune(model, train, dev, QUICK, out=tmp_path / "run", data=DataConfig(**data))
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
    return str(caught.value)


def changed(train: list[Utterance], numbers: Sequence[int], **changes: object) -> list[Utterance]:
    return [replace(u, **changes) if i in numbers else u for i, u in enumerate(train)]


def test_texts_longer_than_their_frames_are_listed(corpus: Corpus, tmp_path: Path) -> None:
    train, dev = corpus
    message = refusal(tmp_path, changed(train, [2, 5], text="abc " * 200), dev, make_model(train))
    assert train[2].id in message and train[5].id in message and train[3].id not in message
    assert "2 training utterances" in message and "frames for 799" in message


def test_repeats_need_a_frame_between_them(corpus: Corpus, tmp_path: Path) -> None:
    """As many encoder frames as symbols: enough without neighbours that are equal, one too few with them."""
    train, dev = corpus
    frames = -(-PRESETS["kaldi-mvn"].frames(round(train[0].duration * 16_000)) // 4)
    fits = ("abc" * frames)[:frames]
    short = settings(steps=1, evaluate_every_steps=1)
    finetune(make_model(train), changed(train, [0], text=fits), dev, short, out=tmp_path / "fits")
    message = refusal(tmp_path, changed(train, [0], text="a" + fits[:-1]), dev, make_model(train))
    assert f"{train[0].id} ({frames} frames for {frames + 1})" in message


def test_an_utterance_may_be_feasible_at_slow_speeds_only(corpus: Corpus, tmp_path: Path) -> None:
    train, dev = corpus
    model = make_model(train)
    frames = -(-PRESETS["kaldi-mvn"].frames(round(train[0].duration * 16_000)) // 4)
    tight = changed(train, [0], text=("abc" * frames)[: frames + 1])
    assert train[0].id in refusal(tmp_path, tight, dev, model)
    config = settings(steps=1, evaluate_every_steps=1, speed_factors=(0.9, 1.0, 1.1))
    finetune(model, tight, dev, config, out=tmp_path / "slow")
    assert torch.isfinite(model.head.weight).all()


@pytest.mark.parametrize("text", ["", "  ", "?!"])
def test_empty_texts_are_listed(corpus: Corpus, tmp_path: Path, text: str) -> None:
    train, dev = corpus
    message = refusal(tmp_path, changed(train, [1, 7], text=text), dev, make_model(train))
    assert train[1].id in message and train[7].id in message and "2 training utterances have no text" in message


def test_unknown_symbols_are_refused_or_counted(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, dev = corpus
    strange = changed(train, [4], text="ab ŋa")
    message = refusal(tmp_path, strange, dev, make_model(train))
    assert train[4].id in message and "ŋ" in message
    data = DataConfig(unknown_symbols="skip")
    finetune(make_model(train), strange, dev, settings(steps=1, evaluate_every_steps=1), out=tmp_path / "s", data=data)
    assert "'ŋ': 1" in capsys.readouterr().err


def test_long_utterances_are_listed(corpus: Corpus, tmp_path: Path) -> None:
    train, dev = corpus
    limit = sorted(u.duration for u in train)[-2]
    longest = max(train, key=lambda u: u.duration)
    message = refusal(tmp_path, train, dev, make_model(train), max_duration_s=limit)
    assert longest.id in message and "1 training utterances are longer" in message


def test_classify_needs_one_word(corpus: Corpus, tmp_path: Path) -> None:
    train, dev = ([replace(u, text="ab") for u in part] for part in corpus)
    model = make_model(train, "dnn", task="classify")
    message = refusal(tmp_path, changed(train, [3], text="ab ab"), dev, model)
    assert train[3].id in message and "one label" in message


def test_missing_train_or_dev_data_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    train, dev = corpus
    assert "no training utterance" in refusal(tmp_path, [], dev, make_model(train))
    assert "dev" in refusal(tmp_path, train, [], make_model(train))
    assert "dev" in refusal(tmp_path, train, [replace(u, text="") for u in dev], make_model(train))
    assert dev[1].id in refusal(tmp_path, train, changed(dev, [1], duration=0.01), make_model(train))


# What stops a run ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_its_utterance(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    train, dev = corpus
    get = FeatureStore.get

    def poisoned(store: FeatureStore, index: int, speed_index: int = 0) -> np.ndarray:
        features = get(store, index, speed_index)
        if index == 6 and len(store.frames[0]) == len(train):
            features[3, 3] = value
        return features

    monkeypatch.setattr(FeatureStore, "get", poisoned)
    with pytest.raises(InputError, match="loss is not finite") as caught:
        finetune(make_model(train, "dnn"), train, dev, QUICK, out=tmp_path)
    others = [u.id for u in train if u.id != train[6].id and u.id in str(caught.value)]
    assert train[6].id in str(caught.value) and not others


def test_a_gradient_that_is_not_finite_is_an_error_before_it_reaches_the_weights(
    corpus: Corpus, tmp_path: Path
) -> None:
    train, dev = corpus
    model = make_model(train, "dnn")
    before = model.head.weight.detach().clone()
    model.head.weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(InputError, match="gradient is not finite at step 1") as caught:
        finetune(model, train, dev, QUICK, out=tmp_path)
    assert any(u.id in str(caught.value) for u in train)
    assert torch.equal(model.head.weight.cpu(), before)


def test_output_of_only_blanks_is_reported_once(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, dev = corpus
    model = make_model(train, "dnn")
    with torch.no_grad():
        model.head.bias[0] = 100.0
    config = settings(steps=6, evaluate_every_steps=1, encoder_lr=0.0, head_lr=1e-9)
    finetune(model, train, dev, config, out=tmp_path)
    warnings = [line for line in capsys.readouterr().err.splitlines() if "outputs only blanks" in line]
    assert len(warnings) == 1 and "after 2 steps" in warnings[0] and dev[0].id in warnings[0], (
        "after a third of the steps"
    )


# Frozen --------------------------------------------------------------------------------------------------------------


def state(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def moved(before: dict[str, Tensor], module: torch.nn.Module) -> set[str]:
    return {name for name, value in module.state_dict().items() if not torch.equal(value.cpu(), before[name].cpu())}


@pytest.mark.parametrize("encoder", ["conformer", "cnn"])
def test_a_frozen_encoder_is_bit_identical_after_training(corpus: Corpus, tmp_path: Path, encoder: str) -> None:
    train, dev = corpus
    model = make_model(train, encoder, dropout=0.1)
    if encoder == "cnn":
        assert "strided.0.norm.running_var" in state(model.encoder), "its buffers are what this test is about"
    encoder_before, head_before = state(model.encoder), state(model.head)
    config = settings(
        steps=6, freeze="encoder"
    )  # three evaluations: their float32 mean, computed as such, is not exact
    finetune(model, train, dev, config, out=tmp_path)
    assert moved(encoder_before, model.encoder) == set()
    assert moved(head_before, model.head) == {"weight", "bias"}


def test_only_the_lowest_layers_stay_frozen(corpus: Corpus, tmp_path: Path) -> None:
    train, dev = corpus
    model = make_model(train, "cnn")
    before = state(model.encoder)
    finetune(model, train, dev, settings(freeze=2), out=tmp_path)
    assert {name.rsplit(".", 2)[0] for name in moved(before, model.encoder)} == {"layers.1", "layers.2", "layers.3"}


def test_gradual_unfreezing_must_end_within_the_run(corpus: Corpus, tmp_path: Path) -> None:
    """Five groups, top down: the lowest is unfrozen after ten steps."""
    train, dev = corpus
    config = settings(steps=6, unfreeze_every_steps=2)
    with pytest.raises(
        InputError, match=r"unfreeze_every_steps = 2 unfreezes .* at step 11, and the run ends at step 6"
    ):
        finetune(make_model(train, "cnn"), train, dev, config, out=tmp_path)


def test_of_equal_evaluations_the_latest_are_kept(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, dev = corpus
    monkeypatch.setattr("speechxfer.training.selection.score_hypotheses", lambda *_: SimpleNamespace(wer=0.5, cer=0.5))
    monkeypatch.setattr("speechxfer.training.selection.fit_confidences", lambda *_: None)
    finetune(make_model(train, "dnn"), train, dev, settings(steps=8, average_best=2), out=tmp_path)
    assert {path.name for path in (tmp_path / "best").iterdir()} == {
        "step-0000006.safetensors",
        "step-0000008.safetensors",
    }


@pytest.mark.parametrize(
    ("train_s", "step_s", "steps"),
    [
        (600.0, 30.0, 1200),  # 60 epochs
        (3600.0, 30.0, 2940),  # 24.5 epochs: 36,000 s times the root of 6, which is 2.4495
        (3600.0, 60.0, 1470),  # half as many of twice the size
        (10.0, 30.0, 250),  # the fewest
        (54_000.0, 30.0, 11_384),  # 6.3 epochs: the root of 90 is 9.4868
        (360_000.0, 300.0, 3600),  # 3 epochs, the fewest
    ],
)
def test_default_steps_by_hand(train_s: float, step_s: float, steps: int) -> None:
    assert abs(schedule.default_steps(train_s, step_s) - steps) <= 1


def test_without_a_number_the_steps_follow_from_the_training_speech(corpus: Corpus, tmp_path: Path) -> None:
    """12 utterances of about a second are far below the amount at which steps begin to grow."""
    train, dev = corpus
    quick = settings(steps=None, batch_s=1000.0, evaluate_every_steps=200)
    finetune(make_model(train, "dnn"), train, dev, quick, out=tmp_path / "run")
    assert training_cost(tmp_path / "run")[0] == 250
    with pytest.raises(InputError, match=r"warmup_steps = 250 leaves none of finetune\.steps = 250"):
        config = settings(steps=None, batch_s=1000.0, warmup_steps=250, evaluate_every_steps=None)
        prepare_run(make_model(train, "dnn"), train, dev, config, DataConfig(), tmp_path / "other")


# Which utterances, how often, in which process -----------------------------------------------------------------------


@pytest.mark.parametrize(("processes", "batch_s"), [(1, 4.0), (2, 4.0), (2, 0.5), (3, 100.0)])
def test_every_utterance_is_used_once_per_epoch(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int, batch_s: float
) -> None:
    train, dev = corpus
    train = train[:11]  # divides by no number of processes
    config = settings(steps=30, evaluate_every_steps=30, batch_s=batch_s)
    run = prepare_run(make_model(train), train, dev, config, DataConfig(), tmp_path)
    used: list[list[tuple[int, str]]] = []
    for rank in range(processes):
        fake = SimpleNamespace(num_processes=processes, process_index=rank)
        loaded = list(iterate_batches(replace(run, accelerator=fake), 0, 0, 0))
        used.append([(planned.epoch, name) for planned, batch in loaded for name in batch.ids])
        assert len(loaded) == 30, "every process does all steps, none waits for another"
    counts = Counter(itertools.chain(*used))
    whole = range(max(epoch for epoch, _ in counts))  # the last one ended with the last step
    assert len(whole) >= 1
    assert {entry: count for entry, count in counts.items() if entry[0] in whole} == {
        (epoch, u.id): 1 for epoch in whole for u in train
    }


def test_a_resumed_epoch_has_the_same_batches(corpus: Corpus, tmp_path: Path) -> None:
    train, dev = corpus
    config = FinetuneConfig(steps=20, batch_s=3.0)  # with speeds and masks, which have to be the same again
    run = prepare_run(make_model(train), train, dev, config, DataConfig(), tmp_path)
    whole = list(iterate_batches(run, 0, 0, 0))
    assert len(whole) == 20 and whole[-1][0].epoch > 1
    for step, (last, _) in enumerate(whole[:-1], start=1):
        resumed = list(iterate_batches(run, step, last.epoch, last.position))
        assert [batch.ids for _, batch in resumed] == [batch.ids for _, batch in whole[step:]]
        assert all(torch.equal(a.features, b.features) for (_, a), (_, b) in zip(resumed, whole[step:], strict=True))
    assert len({batch.ids for _, batch in whole}) > 6, "epochs differ"


def test_loading_goes_on_across_epochs(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last batch of epoch 0 is handed out, batches of epoch 1 are already being loaded."""
    train, dev = corpus
    run = prepare_run(make_model(train), train, dev, settings(steps=40, batch_s=4.0), DataConfig(), tmp_path)
    planned: list[int] = []
    plan = loading._plan_batches

    def watched(*arguments: Any) -> Any:
        for each in plan(*arguments):
            planned.append(each.epoch)
            yield each

    monkeypatch.setattr(loading, "_plan_batches", watched)
    highest = {
        each.epoch: max(planned) for each, _ in iterate_batches(run, 0, 0, 0)
    }  # when the epoch's last batch came
    assert len(highest) > 3 and highest[0] >= 1 and highest[1] >= 2


def test_metrics_tell_waits_and_padding(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of all utterances, whose batch takes 20 ms to load; evaluations, here of 0.2 s, are no time of steps."""
    train, dev = corpus
    load, evaluate_dev = loading._load, loop.evaluate_dev

    def slow_load(*arguments: Any) -> Any:
        time.sleep(0.02)
        return load(*arguments)

    evaluated = []

    def slow_evaluation(*arguments: Any) -> None:
        evaluated.append(time.monotonic())
        time.sleep(0.2)
        evaluate_dev(*arguments)

    monkeypatch.setattr(loading, "_load", slow_load)
    monkeypatch.setattr(loop, "evaluate_dev", slow_evaluation)
    monkeypatch.setattr(loading, "load_in_background", lambda load, planned: map(load, planned))
    finetune(make_model(train), train, dev, settings(steps=20, batch_s=1000, evaluate_every_steps=5), out=tmp_path)
    losses = [row for row in rows(tmp_path) if "loss" in row]
    samples = [soundfile.info(utterance.audio_filepath).frames for utterance in train]
    frames = [1 + (count - 400) // 160 for count in samples]  # windows of 25 ms every 10 ms
    for row in losses:
        assert row["padding"] == pytest.approx(1 - sum(frames) / (len(frames) * max(frames)))
        assert 10 * 0.02 <= row["wait_s"] < row["step_s"]
    assert losses[1]["step_s"] <= evaluated[3] - evaluated[1] - 2 * 0.2, "from the row of step 10 to that of step 20"


def test_masks_cover_both_of_two_stacked_frames(corpus: Corpus, tmp_path: Path) -> None:
    """The features of Wav2Vec2-BERT are pairs of frames of 80 bands."""
    train, dev = corpus
    model = make_model(train, "dnn", features="seamless")
    run = prepare_run(model, train, dev, settings(spec_augment=4.0), DataConfig(), tmp_path)
    masked_bands = 0
    for epoch in range(5):
        augmented, plain = loading._augment(run, 0, 0, epoch), run.data.features.get(0, 0)
        masked = (augmented == plain.mean()).all(axis=0).reshape(2, 80)
        assert np.array_equal(masked[0], masked[1])
        masked_bands += masked[0].sum()
    assert masked_bands > 20


def test_batch_statistics_become_the_same_in_all_processes(corpus: Corpus) -> None:
    """Each process gathers them on its own share; counts of batches are the same anyway and stay whole numbers."""
    model = make_model(corpus[0], "cnn")
    norm = model.encoder.strided[0].norm
    before, count = norm.running_mean.clone(), norm.num_batches_tracked.clone()
    calls: list[str] = []
    mean_with_other = SimpleNamespace(num_processes=2, reduce=lambda own, how: calls.append(how) or own + 0.5)
    selection._average_buffers(model, mean_with_other)
    assert torch.equal(norm.running_mean, before + 0.5) and torch.equal(norm.num_batches_tracked, count)
    assert set(calls) == {"mean"}
    model.encoder.eval()  # as where it is frozen
    selection._average_buffers(model, mean_with_other)
    assert torch.equal(norm.running_mean, before + 0.5)


# Choosing and stopping -----------------------------------------------------------------------------------------------


def test_patience_stops_early_and_a_stopped_run_stays_stopped(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, dev = corpus
    config = settings(steps=40, evaluate_every_steps=2, patience=3, encoder_lr=0.0, head_lr=1e-12)
    first = finetune(make_model(train, "dnn"), train, dev, config, out=tmp_path)
    steps = [row["step"] for row in rows(tmp_path) if "dev_wer" in row]
    assert steps == [2, 4, 6, 8], "the first is the best, then three that are not better"
    assert "stopping at step 8" in capsys.readouterr().err
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".json"}
    again = finetune(make_model(train, "dnn"), train, dev, config, out=tmp_path)
    assert [row["step"] for row in rows(tmp_path) if "dev_wer" in row] == steps
    assert {path: path.read_bytes() for path in files} == files
    assert moved(state(first), again) == set()


def test_the_best_evaluation_is_kept_where_the_average_is_worse(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores follow a script: step 4 is best, 6 second, and their average is worse than both."""
    train, dev = corpus
    script = iter([0.9, 0.2, 0.3, 0.4, 0.8, 0.2])  # four evaluations, the average, the selected weights once more
    saved: dict[int, dict[str, Tensor]] = {}
    model = make_model(train, "dnn")

    def scored(*_: object) -> SimpleNamespace:
        saved[len(saved)] = state(model)
        wer = next(script)
        return SimpleNamespace(wer=wer, cer=wer)

    monkeypatch.setattr("speechxfer.training.selection.score_hypotheses", scored)
    monkeypatch.setattr("speechxfer.training.selection.fit_confidences", lambda *_: None)
    finetune(model, train, dev, settings(steps=8, average_best=2), out=tmp_path)
    assert moved(saved[1], model) == set()
    assert moved(average([saved[1], saved[2]]), model) != set()
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == [
        "step-0000004.safetensors",
        "step-0000006.safetensors",
    ]


def test_the_average_is_kept_where_dev_scores_are_equal(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, dev = corpus
    script = iter([0.9, 0.2, 0.3, 0.4, 0.2])
    saved: dict[int, dict[str, Tensor]] = {}
    model = make_model(train, "dnn")

    def scored(*_: object) -> SimpleNamespace:
        saved[len(saved)] = state(model)
        wer = next(script)
        return SimpleNamespace(wer=wer, cer=wer)

    monkeypatch.setattr("speechxfer.training.selection.score_hypotheses", scored)
    monkeypatch.setattr("speechxfer.training.selection.fit_confidences", lambda *_: None)
    finetune(model, train, dev, settings(steps=8, average_best=2), out=tmp_path)
    assert moved(average([saved[1], saved[2]]), model) == set()


def test_a_run_is_not_resumed_with_another_configuration(corpus: Corpus, tmp_path: Path) -> None:
    """From Python only the folder tells which run it holds: returning the old model silently would be wrong."""
    train, dev = corpus
    finetune(make_model(train, "dnn"), train, dev, QUICK, out=tmp_path)
    for other in (
        {"config": settings(encoder_lr=1e-5)},
        {"config": settings(freeze="encoder")},
        {"config": QUICK, "train": changed(train, [0], text="ccc")},
    ):
        arguments = {"train": train, "dev": dev, **other}
        with pytest.raises(InputError, match="holds a run that was started differently"):
            finetune(make_model(train, "dnn"), **arguments, out=tmp_path)
    others = [make_model(train, "dnn", dropout=0.3), make_model(train, "dnn", features="kaldi")]
    others.append(make_model(train, "dnn"))
    torch.nn.init.zeros_(others[-1].head.weight)
    for model, what in zip(others, ("model", "model", "first weights"), strict=True):
        with pytest.raises(InputError, match=what):
            finetune(model, train, dev, QUICK, out=tmp_path)
    assert not finetune(make_model(train, "dnn"), train, dev, QUICK, out=tmp_path).training


def test_another_number_of_processes_is_named(corpus: Corpus, tmp_path: Path) -> None:
    """As after a restart on fewer machines; the state is edited, since two processes are slow to start."""
    train, dev = corpus
    finetune(make_model(train, "dnn"), train, dev, QUICK, out=tmp_path)
    pointer = tmp_path / "state" / "current.json"
    state = json.loads(pointer.read_text())
    state["fingerprint"]["processes"] = 3
    pointer.write_text(json.dumps(state))
    with pytest.raises(InputError, match=r"trained by 3 process\(es\), and now there are 1, .*start as many as before"):
        finetune(make_model(train, "dnn"), train, dev, QUICK, out=tmp_path)


def test_one_process_may_train_in_both_number_formats(corpus: Corpus, tmp_path: Path) -> None:
    train, dev = corpus
    for precision in ("fp32", "bf16", "auto"):
        config = settings(steps=1, evaluate_every_steps=1, precision=precision)
        model = finetune(make_model(train, "dnn"), train, dev, config, out=tmp_path / precision)
        assert model.head.weight.dtype == torch.float32


# Models are trained -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("source")
    train = write_tone_corpus(folder / "train.jsonl", 40, letters="abcdef", seed=1)
    return train, write_tone_corpus(folder / "dev.jsonl", 16, letters="abcdef", seed=2)


@pytest.fixture(scope="module")
def reader(tones: Corpus, tmp_path_factory: pytest.TempPathFactory) -> AcousticModel:
    """A model that reads tones, trained from random weights."""
    config = settings(steps=60, evaluate_every_steps=20, encoder_lr=3e-3, head_lr=3e-3)
    return finetune(make_model(tones[0]), *tones, config, out=tmp_path_factory.mktemp("reader"))


def test_random_weights_are_trained(reader: AcousticModel, tones: Corpus) -> None:
    untrained = evaluate(make_model(tones[0]), tones[1])
    assert untrained.wer > 0.9
    assert evaluate(reader, tones[1]).wer < 0.1


def test_transfer_to_another_alphabet_beats_scratch_at_the_same_budget(reader: AcousticModel, tmp_path: Path) -> None:
    """Permuted letters and two new ones: other pitches for all of them, and the same kind of sound."""
    train = write_tone_corpus(tmp_path / "train.jsonl", 40, letters="fdbhgeca", seed=3)
    dev = write_tone_corpus(tmp_path / "dev.jsonl", 16, letters="fdbhgeca", seed=4)
    config = settings(steps=30, evaluate_every_steps=15, encoder_lr=5e-4, head_lr=3e-3)
    adapted = transfer(reader, Vocabulary.from_texts(u.text for u in train)).model
    cer = {
        name: evaluate(finetune(model, train, dev, config, out=tmp_path / name), dev).cer
        for name, model in (("scratch", make_model(train)), ("transfer", adapted))
    }
    assert cer["transfer"] < 0.7 * cer["scratch"], cer


def test_a_classifier_is_trained(tmp_path: Path) -> None:
    """Commands: one word per utterance, by the articles' feed-forward network; of four words chance gets three wrong."""
    train, dev = (
        write_tone_corpus(
            tmp_path / f"{split}.jsonl", count, letters="abcd", seed=count, words=(1, 1), letters_in_word=1
        )
        for split, count in (("train", 32), ("dev", 12))
    )
    model = make_model(train, "dnn", task="classify", features="kaldi")
    config = settings(steps=60, evaluate_every_steps=30, encoder_lr=3e-3, head_lr=3e-3)
    report = evaluate(finetune(model, train, dev, config, out=tmp_path / "run"), dev)
    assert report.words == 12 and report.wer < 0.1


# Recordings that are distorted while loading ------------------------------------------------------------------------


def test_distortions_differ_between_epochs_and_not_between_runs(corpus: Corpus, tmp_path: Path) -> None:
    train, dev = corpus
    distorted = settings(distortion=1.0)
    weights = [
        state(finetune(make_model(train), train, dev, config, out=tmp_path / str(number)))
        for number, config in enumerate((QUICK, distorted, distorted))
    ]
    assert not torch.equal(weights[0]["head.weight"], weights[1]["head.weight"])
    assert all(torch.equal(weights[1][name], weights[2][name]) for name in weights[1])
