"""Augmentation of a batch on a device, here the CPU: the features without it, and what each distortion does to known sounds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from speechxfer.config import DataConfig, FinetuneConfig
from speechxfer.features import (
    Augmentation,
    Batch,
    Filterbank,
    augment_batch,
    change_speed,
    collate_samples,
    feature_preset,
    filterbank,
    padding_mask,
)
from speechxfer.features import augmentation as draws
from speechxfer.features.batch_augmentation import distort_batch, mask_batch
from speechxfer.models import AcousticModel, Architecture
from speechxfer.text import Normalizer, Vocabulary
from speechxfer.training import finetune
from speechxfer.training.loading import iterate_batches
from speechxfer.training.preparation import prepare_run
from tests.tone_corpus import write_tone_corpus

RATE = 16_000
SHARES = ("ROOM_SHARE", "EQUALISED_SHARE", "BAND_SHARE", "NOISE_SHARE", "CLIPPED_SHARE")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noises(*seconds: float) -> list[np.ndarray]:
    """White noise of 16 bits."""
    random = np.random.default_rng(7)
    whole = [np.round(random.uniform(-8000, 8000, int(RATE * each))) / 32767 for each in seconds]
    return [values.astype(np.float32) for values in whole]


def batch_of(samples: list[np.ndarray]) -> Batch:
    return collate_samples([str(i) for i in range(len(samples))], samples, [[1, 2]] * len(samples))


def only(monkeypatch: pytest.MonkeyPatch, share: str) -> None:
    """Distort every utterance in one way alone."""
    for name in SHARES:
        monkeypatch.setattr(draws, name, 1.0 if name == share else 0.0)


def distorted(samples: list[np.ndarray], seed: int = 0) -> Tensor:
    batch = batch_of(samples)
    return distort_batch(batch.features / 32767, batch.lengths, generator(seed), RATE)


@pytest.mark.parametrize("preset", ["kaldi-mvn-78db-1.5s", "kaldi", "icefall"])
def test_without_augmentation_a_batch_has_the_features_of_its_utterances(preset: str) -> None:
    samples, spec = noises(1.0, 2.3, 0.4), feature_preset(preset)
    found = augment_batch(batch_of(samples), Filterbank(spec), [1.0] * 3, Augmentation(), generator())
    for row, length, values in zip(found.features, found.lengths.tolist(), samples, strict=True):
        expected = filterbank(values, spec)
        assert length == len(expected)
        assert torch.allclose(row[:length], expected, atol=2e-4)
        assert not row[length:].any()
    assert found.targets.tolist() == [1, 2] * 3 and found.target_lengths.tolist() == [2] * 3


def test_each_utterance_has_its_own_speed() -> None:
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    spec, speeds = feature_preset("kaldi"), [0.8, 1.0, 1.25, 0.93337]  # the last has no small ratio to 16 kHz
    found = augment_batch(batch_of([tone] * 4), Filterbank(spec), speeds, Augmentation(), generator())
    for row, length, speed in zip(found.features, found.lengths.tolist(), speeds, strict=True):
        expected = filterbank(change_speed(tone, speed, RATE), spec)
        assert length == len(expected)
        loud = expected > expected.max() - 7  # nepers: around the tone
        assert (row[:length] - expected)[loud][20:-20].abs().max() < 0.05


def test_noise_has_the_chosen_level(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "NOISE_SHARE")
    monkeypatch.setattr(draws, "SNR_DB", (12.0, 12.0))
    samples = noises(2.0, 1.0)
    for row, values in zip(distorted(samples), samples, strict=True):
        noise = row[: len(values)].numpy() - values
        assert 10 * np.log10(np.sum(values**2) / np.sum(noise**2)) == pytest.approx(12.0, abs=0.8)
        assert not row[len(values) :].any()


def test_a_room_decays_by_60_db_in_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "ROOM_SHARE")
    monkeypatch.setattr(draws, "REVERBERATION_S", (0.4, 0.4))
    click = np.zeros(RATE, dtype=np.float32)
    click[0] = 1.0
    [response] = distorted([click]).numpy()
    assert response[0] == pytest.approx(1.0, abs=1e-5)
    levels = [10 * np.log10(np.mean(response[int(RATE * t) : int(RATE * (t + 0.05))] ** 2)) for t in (0.05, 0.25)]
    assert levels[0] - levels[1] == pytest.approx(60 * 0.2 / 0.4, abs=2.5)
    assert not np.abs(response[int(0.41 * RATE) :]).max() > 1e-6


def test_a_narrow_line_passes_its_band_only(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "BAND_SHARE")
    monkeypatch.setattr(draws, "LOW_CUT_HZ", (300.0, 300.0))
    monkeypatch.setattr(draws, "HIGH_CUT_HZ", (3400.0, 3400.0))
    time_s = np.arange(RATE) / RATE
    tones = [(0.3 * np.sin(2 * np.pi * hz * time_s)).astype(np.float32) for hz in (50, 1000, 6000)]
    levels = [float(20 * np.log10(row[4000:12000].numpy().std() / tones[0].std())) for row in distorted(tones)]
    assert levels[0] < -40 and abs(levels[1]) < 0.5 and levels[2] < -40


def test_an_equaliser_tilts_the_spectrum(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "EQUALISED_SHARE")
    monkeypatch.setattr(draws, "BUMP_DB", (0.0, 0.0))
    monkeypatch.setattr(draws, "TILT_DB", (12.0, 12.0))
    time_s = np.arange(RATE) / RATE
    tones = [(0.3 * np.sin(2 * np.pi * hz * time_s)).astype(np.float32) for hz in (60, 7900)]
    low, high = (float(20 * np.log10(row[4000:12000].numpy().std())) for row in distorted(tones))
    octaves = np.log2(7900 / 60) / np.log2(8000 / 50)
    assert high - low == pytest.approx(12 * octaves, abs=0.3)


def test_clipping_cuts_at_a_share_of_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "CLIPPED_SHARE")
    monkeypatch.setattr(draws, "CLIP_RATIO", (0.25, 0.25))
    samples = noises(1.0)
    assert distorted(samples).abs().max() == pytest.approx(0.25 * np.abs(samples[0]).max(), rel=1e-3)


def test_nothing_chosen_changes_nothing_and_silence_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = noises(0.5, 1.0)
    assert not distorted([np.zeros(8000, np.float32)] * 8).any()
    for name in SHARES:
        monkeypatch.setattr(draws, name, 0.0)
    for row, values in zip(distorted(samples), samples, strict=True):
        assert np.allclose(row[: len(values)], values, atol=1e-5)


def test_utterances_of_a_batch_are_distorted_differently_and_repeatably() -> None:
    first, second = distorted(noises(1.0) * 2)
    assert (first - second).abs().max() > 0.01
    assert torch.equal(distorted(noises(1.0) * 2)[0], first) and not torch.equal(distorted(noises(1.0), 1)[0], first)


def test_masks_have_the_mean_and_leave_the_rest() -> None:
    features = torch.randn(40, 200, 80, generator=generator(1))
    frames = torch.full((40,), 200)
    frames[1::2] = 100
    features *= padding_mask(frames, 200)[..., None]
    before = features.clone()
    mask_batch(features, frames, generator(2), 80, 2.0)
    changed = features != before
    bands = changed[:, :100].all(dim=1)
    times = changed.all(dim=2)
    assert not changed[1::2, 100:].any(), "padding stays zero"
    assert torch.equal(changed, (bands[:, None] | times[..., None]) & padding_mask(frames, 200)[..., None])
    for row, count in enumerate(frames.tolist()):
        assert torch.allclose(features[row][changed[row]], before[row, :count].mean(), atol=1e-5)
    assert 20 < bands.sum(dim=1).max() <= 40, "two bands of up to 20 mels"
    assert 20 < times[::2].sum(dim=1).max() <= 40 and times[1::2].sum(dim=1).max() <= 20, "four times up to 5 %"


def test_a_run_that_computes_features_on_its_device_trains_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a GPU: other processes read recordings, and features are computed in each step."""
    train = write_tone_corpus(tmp_path / "train.jsonl", 12, letters="abc", seed=1, words=(1, 3))
    dev = write_tone_corpus(tmp_path / "dev.jsonl", 4, letters="abc", seed=2, words=(1, 3))
    config = FinetuneConfig(
        evaluate_every_steps=6, steps=12, batch_s=4.0, distortion=0.5, spec_augment=1.0, speed_factors=(0.9, 1.0)
    )
    monkeypatch.setattr("speechxfer.training.preparation.has_gpu", lambda: True)

    def build() -> AcousticModel:
        torch.manual_seed(0)
        vocabulary = Vocabulary.from_texts(u.text for u in train)
        return AcousticModel(Architecture("cnn", "tiny"), vocabulary, feature_preset("kaldi-mvn"), Normalizer())

    run = prepare_run(build(), train, dev, config, DataConfig(), tmp_path / "plan")
    assert run.data.computes_on_device
    whole = list(iterate_batches(run, 0, 0, 0))
    assert len(whole) == 12 and whole[-1][0].epoch > 0
    last = whole[4][0]
    resumed = list(iterate_batches(run, 5, last.epoch, last.position))
    assert [batch.ids for _, batch in resumed] == [batch.ids for _, batch in whole[5:]]
    assert all(torch.equal(a.features, b.features) for (_, a), (_, b) in zip(resumed, whole[5:], strict=True))
    for planned, batch in whole:
        rows = [int(run.data.frames[speed, i]) for i, speed in zip(planned.indices, planned.speeds, strict=True)]
        assert batch.lengths.tolist() == rows
    model = finetune(build(), train, dev, config, out=tmp_path / "run")
    assert (tmp_path / "run" / "metrics.jsonl").exists() and not model.training
