"""Findings of `speechxfer check`: each fault is made by hand in a tiny corpus, and the expected finding is worked out by hand.

Used in many cases: one second at 16 kHz gives 1 + (16000 - 400) // 160 = 98 frames, 49 after one halving, 25 after two; so
CTC aligns 25 symbols without repeats, and not 26.
"""

import itertools
import json
import math
import os
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torchaudio.compliance import kaldi

from speechxfer.checking.checker import check_manifests
from speechxfer.checking.feasibility import ctc_frames_needed, kaldi_frames, resampled_count, subsampled_frames
from speechxfer.checking.findings import ADVICE
from speechxfer.checking.repair import repair
from speechxfer.checking.report import CheckReport
from speechxfer.checking.settings import CheckSettings
from speechxfer.data.manifest import read_manifest
from speechxfer.errors import InputError
from tests.pipes import unread_pipe

RATE_HZ = 16_000
TEXT = "kitabu"


def noise(seconds: float = 1.0, *, seed: int = 0, level: float = 0.1, rate_hz: int = RATE_HZ) -> np.ndarray:
    samples = np.random.default_rng(seed).uniform(-level, level, round(seconds * rate_hz))
    return samples.astype(np.float32)


def tone(amplitude: float, hz: float = 100.0) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(RATE_HZ) / RATE_HZ)).astype(np.float32)


class Corpus:
    """Manifests under construction: lines are plain dictionaries, written as JSON without the code under test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[str, list[dict[str, object] | str]] = {}
        self.seed = 0

    def add(self, split: str, name: str, samples: np.ndarray | None = None, **row: object) -> None:
        """An utterance with a recording of its own; `row` changes or adds fields, and settings of the file."""
        rate_hz, subtype, suffix = (row.pop(key, default) for key, default in SETTINGS.items())
        if samples is None:
            self.seed += 1
            samples = noise(seed=self.seed)
        path = self.folder / "audio" / f"{name}.{suffix}"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, samples, rate_hz, subtype=subtype)
        values = {"id": name, "audio_filepath": f"audio/{path.name}", "duration": len(samples) / rate_hz, "text": TEXT}
        self.rows.setdefault(split, []).append(values | row)

    def line(self, split: str, row: dict[str, object] | str) -> None:
        self.rows.setdefault(split, []).append(row)

    def path(self, split: str) -> Path:
        return self.folder / f"{split}.jsonl"

    def write(self) -> list[Path]:
        for split, rows in self.rows.items():
            lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
            self.path(split).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return [self.path(split) for split in self.rows]

    def check(self, **options: object) -> CheckReport:
        return check_manifests(self.write(), CheckSettings(**options))


SETTINGS = {"rate_hz": RATE_HZ, "subtype": "PCM_16", "suffix": "wav"}


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Three utterances of train without faults."""
    corpus = Corpus(tmp_path)
    for name in ("a", "b", "c"):
        corpus.add("train", name)
    return corpus


def findings_of(report: CheckReport) -> list[tuple[str, str, str, str]]:
    return [(finding.severity, finding.kind, finding.split, finding.id) for finding in report.findings]


def error(kind: str, name: str = "bad", split: str = "train") -> tuple[str, str, str, str]:
    return ("error", kind, split, name)


def warning(kind: str, name: str = "bad", split: str = "train") -> tuple[str, str, str, str]:
    return ("warning", kind, split, name)


def message(report: CheckReport, kind: str) -> str:
    return next(finding.message for finding in report.findings if finding.kind == kind)


# --------------------------------------------------------------------------------------------------------- no faults
def test_a_corpus_without_faults_has_no_findings(corpus: Corpus) -> None:
    corpus.add("dev", "d", text="tabu")
    corpus.add("test", "e", text="katu")
    report = corpus.check()
    assert findings_of(report) == []
    assert report.errors == () and report.warnings == ()
    assert str(report).splitlines()[-1] == "ready: no errors, 0 warnings in 5 utterances"


def test_mini_an4_passes(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "mini_an4"
    rows = [line.split("\t") for line in (folder / "transcripts.tsv").read_text(encoding="utf-8").splitlines()]
    header, *rows = rows
    for split in ("train", "val"):
        utterances = [dict(zip(header, row, strict=True)) for row in rows if row[header.index("split")] == split]
        lines = [
            {
                "id": row["id"],
                "audio_filepath": str(folder / row["path"]),
                "offset": int(row["start"]) / RATE_HZ,
                "duration": int(row["frames"]) / RATE_HZ,
                "text": row["text"],
                "speaker": row["speaker"],
            }
            for row in utterances
        ]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = check_manifests([tmp_path / "train.jsonl", tmp_path / "val.jsonl"])
    assert report.errors == ()
    train, dev = report.splits
    assert (train.role, train.utterances, train.speakers, train.rates_hz) == ("train", 30, 27, (RATE_HZ,))
    assert (dev.role, dev.utterances, dev.speakers) == ("dev", 10, 6)


# ---------------------------------------------------------------------------------------------------- broken recordings
def test_missing_audio(corpus: Corpus) -> None:
    corpus.line("train", {"id": "bad", "audio_filepath": "audio/gone.wav", "duration": 1.0, "text": TEXT})
    corpus.line("train", {"id": "long", "audio_filepath": "x" * 5000, "duration": 1.0, "text": TEXT})
    report = corpus.check()
    assert findings_of(report) == [error("missing audio", name) for name in ("bad", "long")]
    assert str(corpus.folder / "audio" / "gone.wav") in message(report, "missing audio")


@pytest.mark.parametrize(("name", "data"), [("bad.wav", b"hello" * 99), ("bad.wav", b""), ("bad.raw", bytes(32000))])
def test_files_that_are_no_audio_are_unreadable(corpus: Corpus, name: str, data: bytes) -> None:
    (corpus.folder / "audio" / name).write_bytes(data)
    corpus.line("train", {"id": "bad", "audio_filepath": f"audio/{name}", "duration": 1.0, "text": TEXT})
    assert findings_of(corpus.check()) == [error("unreadable audio")]


def test_a_folder_in_place_of_a_file_is_unreadable(corpus: Corpus) -> None:
    corpus.line("train", {"id": "bad", "audio_filepath": "audio", "duration": 1.0, "text": TEXT})
    assert findings_of(corpus.check()) == [error("unreadable audio")]


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
def test_half_a_file_is_unreadable(corpus: Corpus, suffix: str) -> None:
    corpus.add("train", "bad", noise(2.0, seed=9), suffix=suffix, subtype=None)
    path = corpus.folder / "audio" / f"bad.{suffix}"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    kinds = {finding.kind for finding in corpus.check().errors if finding.id == "bad"}
    assert "unreadable audio" in kinds
    assert kinds <= {"unreadable audio", "duration"}


@pytest.mark.parametrize("duration_s", [1.5, 1.9, 2.0])
def test_a_truncated_wav_is_a_warning_with_either_duration(corpus: Corpus, duration_s: float) -> None:
    corpus.add("train", "bad", noise(2.0, seed=9))
    path = corpus.folder / "audio" / "bad.wav"
    path.write_bytes(path.read_bytes()[: 44 + 2 * round(1.5 * RATE_HZ)])
    corpus.rows["train"][-1]["duration"] = duration_s
    report = corpus.check()
    if duration_s == 1.5:
        assert ("warning", "duration") in {(f.severity, f.kind) for f in report.findings}  # the header promises 2 s
    else:
        assert findings_of(report) == [warning("truncated audio")]
        assert f"{round(1000 * (duration_s - 1.5))} ms are missing" in message(report, "truncated audio")


def test_a_truncated_ogg_is_a_warning(corpus: Corpus) -> None:
    corpus.add("train", "bad", noise(3.0, seed=9), suffix="ogg", subtype="VORBIS")
    path = corpus.folder / "audio" / "bad.ogg"
    data = path.read_bytes()
    path.write_bytes(data[: round(0.9 * len(data))])
    assert findings_of(corpus.check()) == [warning("truncated audio")]


def test_a_wav_of_which_most_is_missing_is_unreadable(corpus: Corpus) -> None:
    corpus.add("train", "bad", noise(2.0, seed=9))
    path = corpus.folder / "audio" / "bad.wav"
    path.write_bytes(path.read_bytes()[: 44 + 2 * round(0.9 * RATE_HZ)])
    assert findings_of(corpus.check()) == [error("unreadable audio")]


def test_a_header_written_to_a_pipe_is_no_fault(corpus: Corpus) -> None:
    corpus.add("train", "bad", noise(seed=9))
    path = corpus.folder / "audio" / "bad.wav"
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"  # the sizes of RIFF and of its data chunk
    path.write_bytes(data)
    assert findings_of(corpus.check()) == []


def test_a_flac_broken_in_its_middle_costs_only_the_segments_there(corpus: Corpus) -> None:
    soundfile.write(corpus.folder / "audio" / "long.flac", noise(20.0, seed=5), RATE_HZ)
    path = corpus.folder / "audio" / "long.flac"
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 60_000] = bytes(60_000)
    path.write_bytes(data)
    for i in (0, 9):
        row = {"id": f"s{i}", "audio_filepath": "audio/long.flac", "offset": i * 1.0, "duration": 1.0, "text": TEXT}
        corpus.line("train", row)
    corpus.line(
        "train", {"id": "bad", "audio_filepath": "audio/long.flac", "offset": 10.0, "duration": 2.0, "text": TEXT}
    )
    report = corpus.check()
    assert "s0" not in {finding.id for finding in report.findings}
    assert error("unreadable audio") in findings_of(report)


def test_wrong_rate_unless_resampling_is_allowed(corpus: Corpus) -> None:
    corpus.add("train", "bad", noise(seed=9, rate_hz=8000), rate_hz=8000)
    report = corpus.check()
    assert findings_of(report) == [error("wrong rate")]
    assert "8000 Hz" in message(report, "wrong rate") and "--resample" in message(report, "wrong rate")
    assert report.splits[0].rates_hz == (8000, 16000)
    assert findings_of(corpus.check(resample=True)) == []


def test_several_channels_unless_mixing_is_allowed(corpus: Corpus) -> None:
    corpus.add("train", "bad", np.stack([noise(seed=8), noise(seed=9)], axis=1))
    report = corpus.check()
    assert findings_of(report) == [error("several channels")]
    assert "--mono" in message(report, "several channels")
    assert findings_of(corpus.check(mono=True)) == []


def test_channels_that_cancel_are_silence_when_mixed(corpus: Corpus) -> None:
    corpus.add("train", "bad", np.stack([tone(0.5), -tone(0.5)], axis=1))
    assert findings_of(corpus.check(mono=True)) == [error("silence"), warning("cancelling channels")]


# --------------------------------------------------------------------------------------------------- place and length
def test_zero_length(corpus: Corpus) -> None:
    corpus.add("train", "empty", noise(0.0))
    corpus.add("train", "claimed", noise(0.0), duration=1.0)
    corpus.add("train", "nothing", duration=0.0)
    names = ("empty", "claimed", "nothing")
    assert findings_of(corpus.check()) == [error("zero length", name) for name in names]


@pytest.mark.parametrize(
    ("offset", "duration"),
    [(0.0, 3.0), (0.5, 1.0), (5.0, 1.0), (0.0, 1.0 + 801 / RATE_HZ)],
)
def test_a_segment_outside_its_file_is_an_error(corpus: Corpus, offset: float, duration: float) -> None:
    corpus.add("train", "bad", offset=offset, duration=duration)
    report = corpus.check()
    assert findings_of(report) == [error("duration")]
    assert report.findings[0].correct_duration_s is None


def test_a_duration_rounded_past_the_end_can_be_corrected(corpus: Corpus) -> None:
    corpus.add("train", "bad", noise(15995 / RATE_HZ, seed=9), duration=1.0)
    report = corpus.check()
    assert findings_of(report) == [error("duration")]
    assert report.findings[0].correct_duration_s == 15995 / RATE_HZ


def test_one_sample_too_many_is_tolerated_as_in_reading(corpus: Corpus) -> None:
    corpus.add("train", "fine", noise(15999 / RATE_HZ, seed=9), duration=1.0)
    assert findings_of(corpus.check()) == []


def test_a_file_used_in_part_by_one_utterance_is_a_warning(corpus: Corpus) -> None:
    corpus.add("train", "bad", noise(2.0, seed=9), duration=1.0)
    assert findings_of(corpus.check()) == [warning("duration")]


def test_segments_of_one_file_are_fine(corpus: Corpus) -> None:
    corpus.add("train", "first", noise(2.0, seed=9), duration=1.0)
    corpus.line(
        "train", {"id": "second", "audio_filepath": "audio/first.wav", "offset": 1.0, "duration": 1.0, "text": TEXT}
    )
    assert findings_of(corpus.check()) == []


def test_shorter_than_one_frame(corpus: Corpus) -> None:
    corpus.add("train", "bad", noise(399 / RATE_HZ, seed=8), text="k")
    corpus.add("train", "fine", noise(400 / RATE_HZ, seed=9), text="k")
    assert findings_of(corpus.check()) == [error("too short")]


def test_longer_than_the_longest_of_training(corpus: Corpus) -> None:
    corpus.add("train", "bad", noise(30.5, seed=8))
    corpus.add("train", "fine", noise(30.0, seed=9))
    corpus.add("dev", "long", noise(30.5, seed=100), text=TEXT[::-1].strip())
    assert sorted(findings_of(corpus.check())) == sorted([error("too long"), ("warning", "too long", "dev", "long")])
    assert findings_of(corpus.check(max_duration_s=31.0)) == []


# ---------------------------------------------------------------------------------------------------------- the signal
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_that_are_no_numbers(corpus: Corpus, value: float) -> None:
    samples = noise(seed=9)
    samples[5000] = value
    corpus.add("train", "bad", samples, subtype="FLOAT")
    assert findings_of(corpus.check()) == [error("not finite")]


@pytest.mark.parametrize("samples", [np.zeros(RATE_HZ), tone(0.0009), np.full(RATE_HZ, 0.5)])
def test_silence(corpus: Corpus, samples: np.ndarray) -> None:
    corpus.add("train", "bad", samples, subtype="FLOAT")
    assert findings_of(corpus.check()) == [error("silence")]


def test_a_whisper_is_no_silence(corpus: Corpus) -> None:
    corpus.add("train", "fine", tone(0.0011), subtype="FLOAT")
    assert findings_of(corpus.check()) == []


def test_mostly_zeros(corpus: Corpus) -> None:
    for name, zeros in (("bad", 8200), ("fine", 7800)):
        samples = noise(seed=zeros)
        samples[:zeros] = 0.0
        corpus.add("train", name, samples, subtype="FLOAT")
    assert findings_of(corpus.check()) == [warning("digital zeros")]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_U8", "FLOAT", "ULAW"])
def test_clipping(corpus: Corpus, subtype: str) -> None:
    clipped = np.clip(tone(1.5, hz=200), -0.3, 1.0)  # only above: the lowest number of 8 bits is -1 exactly
    corpus.add("train", "bad", clipped, subtype=subtype)
    corpus.add("train", "fine", tone(0.9, hz=200), subtype=subtype)
    assert findings_of(corpus.check()) == [warning("clipping")]


def test_clipping_counts_runs_of_three_only(corpus: Corpus) -> None:
    """Full scale in 16 of 16000 samples (0.1 %) is allowed, 18 are too many, and so are not 1000 single or paired ones."""
    for name, run, starts in (("fine", 4, 4), ("pairs", 2, 500), ("bad", 3, 6)):
        samples = noise(seed=len(name), level=0.5)
        for start in range(starts):
            samples[start * 30 : start * 30 + run] = 1.0
        corpus.add("train", name, samples)
    report = corpus.check()
    assert findings_of(report) == [warning("clipping")]
    assert "0.1%" in message(report, "clipping")


# ------------------------------------------------------------------------------------------------------------ the text
@pytest.mark.parametrize("text", ["", "  ", "?!", "\u200b"])
def test_empty_text(corpus: Corpus, text: str) -> None:
    corpus.add("train", "bad", text=text)
    assert findings_of(corpus.check()) == [error("empty text")]


def test_ctc_needs_a_frame_for_each_symbol(corpus: Corpus) -> None:
    corpus.add("train", "fine", text="ab" * 12 + "a")  # 25 symbols in 25 encoder frames
    corpus.add("train", "bad", text="ab" * 13)
    report = corpus.check()
    assert findings_of(report) == [error("too few frames")]
    assert message(report, "too few frames").startswith(
        "25 encoder frames (1.00 s), but CTC needs 26 to align 26 symbols and 0 repeats"
    )


def test_ctc_needs_a_blank_between_equal_neighbours(corpus: Corpus) -> None:
    corpus.add("train", "fine", text="ab" * 11 + "aa")  # 24 symbols, one repeat
    corpus.add("train", "bad", text="ab" * 11 + "aab")
    assert findings_of(corpus.check()) == [error("too few frames")]


def test_in_held_out_data_ctc_only_warns(corpus: Corpus) -> None:
    corpus.add("test", "bad", text="ki" * 13)
    assert findings_of(corpus.check()) == [warning("too few frames", split="test")]


def test_ctc_is_checked_without_train_too(corpus: Corpus) -> None:
    corpus.rows.clear()
    corpus.add("test", "bad", text="ki" * 13)
    corpus.add("test", "fine", text="other")
    assert findings_of(corpus.check()) == [warning("too few frames", split="test")]


@pytest.mark.parametrize(
    ("options", "frames"),
    [
        ({"encoder_frames": partial(subsampled_frames, factor=8)}, 13),  # 98, 49, 25, 13
        ({"encoder_frames": partial(subsampled_frames, factor=1)}, 98),
        ({"sample_rate_hz": 8000, "resample": True, "feature_frames": lambda samples: 1 + (samples - 200) // 80}, 25),
        ({"encoder_frames": lambda frames: frames // 3}, 32),
        ({"feature_frames": lambda samples: samples // 500}, 8),  # 32, 16, 8
    ],
)
def test_ctc_follows_the_front_end(corpus: Corpus, options: dict[str, object], frames: int) -> None:
    corpus.add("train", "fine", text=("ab" * 50)[:frames])
    corpus.add("train", "bad", text=("ab" * 50)[: frames + 1])
    assert findings_of(corpus.check(**options)) == [error("too few frames")]


def test_ctc_after_resampling_counts_the_samples_that_come_out(corpus: Corpus) -> None:
    """0.2 s: 1600 samples at 8 kHz become 3200: 18 frames, 9, 5."""
    corpus.add("train", "fine", noise(0.2, seed=8, rate_hz=8000), rate_hz=8000, text="ababa")
    corpus.add("train", "bad", noise(0.2, seed=9, rate_hz=8000), rate_hz=8000, text="ababab")
    assert findings_of(corpus.check(resample=True)) == [error("too few frames")]


def test_words_are_symbols_where_asked(corpus: Corpus) -> None:
    corpus.add("train", "short", noise(0.2, seed=8), text="three")  # 5 encoder frames, 5 characters and a repeat
    assert findings_of(corpus.check()) == [error("too few frames", "short")]
    report = corpus.check(vocabulary_kind="words")
    assert findings_of(report) == []
    assert report.splits[0].symbols == 2


def test_symbols_unseen_in_train(corpus: Corpus) -> None:
    corpus.add("dev", "d1", text="kiŋaŋ")
    corpus.add("dev", "d2", text="Ŋ kita")  # capital: the same symbol; the space is another one that train lacks
    corpus.add("test", "e1", text="tabu")
    report = corpus.check()
    assert findings_of(report) == [warning("unseen symbol", "d1", "dev"), warning("unseen symbol", "d2", "dev")]
    assert [(symbol.split, symbol.symbol, symbol.count, symbol.ids) for symbol in report.unseen_symbols] == [
        ("dev", "ŋ", 3, ("d1", "d2")),
        ("dev", " ", 1, ("d2",)),
    ]
    assert "dev: 'ŋ' (U+014B LATIN SMALL LETTER ENG) x3 in 2 utterances: d1, d2" in str(report)


@pytest.mark.parametrize(
    ("text", "remarks"),
    [
        ("kitabu (laugh)", "(laugh)"),
        ("[noise] kitabu <bg>", "[noise], <bg>"),
        ("{x} kitabu *cough*", "{x}, *cough*"),
        ("kitabu（笑）", "（笑）"),
    ],
)
def test_words_in_brackets_may_be_remarks(corpus: Corpus, text: str, remarks: str) -> None:
    corpus.add("train", "odd", text=text)
    report = corpus.check()
    assert findings_of(report) == [warning("remark", "odd")]
    assert message(report, "remark").startswith(f"{remarks} in the text; expected only what is said")


@pytest.mark.parametrize("text", ["kita) bu", "kita * bu", "a < b", "(", "()"])
def test_a_single_bracket_is_no_remark(corpus: Corpus, text: str) -> None:
    corpus.add("train", "odd", text=f"kitabu {text}")
    assert findings_of(corpus.check()) == []


def test_little_speech_is_mentioned(corpus: Corpus) -> None:
    """Three utterances of a second; four more of 75 s make 303 s, which is enough."""
    assert "train has 3 s of speech; with less than 5 minutes, error rates stay high; record more if you can" in str(
        corpus.check()
    )
    for number in range(4):
        corpus.add("train", f"long{number}", noise(75.0, seed=50 + number))
    assert "of speech; with less" not in str(corpus.check(max_duration_s=80.0))


def test_speaking_rate_outliers(corpus: Corpus) -> None:
    """All at 10 characters a second: the least spread is 0.1; exp(6 * 0.1) = 1.82 times more or less is allowed."""
    corpus.rows.clear()
    for i in range(20):
        corpus.add("train", f"u{i}", text="kitabuhiki")
    for length in (5, 6, 18, 19):
        corpus.add("train", f"{length}", text=("kitabu" * 4)[:length])
    report = corpus.check()
    assert findings_of(report) == [warning("speaking rate", "5"), warning("speaking rate", "19")]
    low, high = 10 * math.exp(-0.6), 10 * math.exp(0.6)
    assert f"5.0 characters per second; expected {low:.1f} to {high:.1f}" in message(report, "speaking rate")


def test_speaking_rate_spread_is_the_median_absolute_deviation(corpus: Corpus) -> None:
    """Logs of 8, 10 and 12.5 per second, ten each: median log 10, deviation log 1.25, so 10 * 1.25 ** (6 * 1.4826)."""
    corpus.rows.clear()
    for length in (8, 10, 12.5):
        for i in range(10):
            corpus.add("train", f"{length}-{i}", noise(8 / length, seed=round(100 * length) + i), text="kitabuhi")
    corpus.add("train", "fine", noise(2.0, seed=1), text="kaka")
    corpus.add("train", "bad", noise(6.0, seed=2), text="kaka")
    low = 10 * 1.25 ** (-6 * 1.4826)
    assert 4 / 6 < low < 4 / 2
    assert findings_of(corpus.check()) == [warning("speaking rate")]


def test_a_few_utterances_have_no_speaking_rate(corpus: Corpus) -> None:
    for i in range(15):
        corpus.add("train", f"u{i}")
    corpus.add("train", "slow", noise(25.0, seed=99), text="k")
    assert findings_of(corpus.check()) == []


def test_languages_have_their_own_speaking_rates(corpus: Corpus) -> None:
    """Twenty slow ones would be outliers among thirty fast ones."""
    for i in range(50):
        fast = i < 30
        corpus.add("train", f"u{i}", text="kitabukitabukitabu" if fast else "kit", lang="xx" if fast else "yy")
    assert findings_of(corpus.check()) == []


# -------------------------------------------------------------------------------------------------- lines of a manifest
def test_every_broken_line_is_reported_and_the_others_are_checked(corpus: Corpus) -> None:
    lines = [
        "{not json",
        "[1, 2]",
        '{"id": "x", "duration": 1.0}',
        '{"id": 7, "audio_filepath": "a.wav", "duration": 1.0}',
        '{"id": "x", "audio_filepath": "a.wav", "duration": "1"}',
        '{"id": "x", "audio_filepath": "a.wav", "duration": -1}',
        '{"id": "x", "audio_filepath": "a.wav", "duration": NaN}',
        '{"id": "x", "audio_filepath": "a.wav", "duration": 1e308}',
        '{"id": "x", "audio_filepath": "a.wav", "duration": 1' + "0" * 400 + "}",
        '{"id": "x", "audio_filepath": "a.wav", "duration": 1' + "0" * 5000 + "}",
        '{"id": "x", "audio_filepath": "a.wav", "duration": 1, "text": "\\ud800"}',
        "[" * 100_000,
        '{"id": "", "audio_filepath": "a.wav", "duration": 1}',
    ]
    for line in lines:
        corpus.line("train", line)
    corpus.add("train", "bad", np.zeros(RATE_HZ))
    corpus.write()
    with corpus.path("train").open("ab") as file:
        file.write(b'\n{"id": "\xff"}\n')
    report = check_manifests([corpus.path("train")])
    numbers = [*range(4, 4 + len(lines)), 19]  # three good lines before, one and a blank one after
    assert findings_of(report) == [
        *(error("broken line", f"train.jsonl:{number}") for number in numbers),
        error("silence"),
    ]
    assert report.splits[0].utterances == 4
    assert all(f"{corpus.path('train')}:{f.line}: " in f.message for f in report.findings if f.kind == "broken line")


def test_a_manifest_without_utterances(corpus: Corpus) -> None:
    corpus.line("dev", "")
    report = corpus.check()
    assert findings_of(report) == [error("empty manifest", "dev.jsonl", "dev")]
    assert str(report).splitlines()[-1].startswith("not ready: 1 error")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.fixed_dictionaries(
                {
                    "id": st.text(max_size=2),
                    "audio_filepath": st.sampled_from(["audio/a.wav", "audio", "", "no", "\0"]),
                },
                optional={
                    "duration": st.floats() | st.integers() | st.none(),
                    "offset": st.floats(0, 2) | st.booleans(),
                    "text": st.text(max_size=5) | st.integers(),
                    "speaker": st.text(max_size=2),
                },
            ).map(lambda row: json.dumps(row).encode()),
        ),
        max_size=6,
    )
)
def test_no_content_stops_the_check(corpus: Corpus, lines: list[bytes]) -> None:
    corpus.write()
    corpus.path("dev").write_bytes(b"\n".join(lines))
    report = check_manifests([corpus.path("train"), corpus.path("dev")])
    assert str(report).encode()


def test_an_id_used_twice_in_a_manifest_is_an_error(corpus: Corpus) -> None:
    corpus.add("train", "other", id="b")
    report = corpus.check()
    assert findings_of(report) == [error("duplicate id", "b")]
    assert message(report, "duplicate id").startswith("line 4: id 'b' was already used on line 2 of train")


def test_an_id_used_in_two_manifests_is_a_warning(corpus: Corpus) -> None:
    corpus.add("dev", "other", id="b", text="tabu")
    assert findings_of(corpus.check()) == [warning("duplicate id", "b", "dev")]


# ------------------------------------------------------------------------------------------------------- shared things
def test_a_recording_in_train_and_test_is_an_error_in_train(corpus: Corpus) -> None:
    """Copied as FLAC under another name: the samples are the same."""
    samples = (noise(seed=77) * 32767).astype(np.int16)
    corpus.add("train", "copy", samples)
    corpus.add("dev", "kept", noise(seed=78))
    corpus.add("test", "original", samples, suffix="flac")
    corpus.add("test", "kept2", noise(seed=78))
    report = corpus.check()
    shared = [finding for finding in findings_of(report) if finding[1] == "duplicate audio"]
    assert shared == [error("duplicate audio", "copy"), error("duplicate audio", "kept", "dev")]
    assert "'original' in test" in message(report, "duplicate audio")


def test_within_a_split_the_first_copy_is_kept(corpus: Corpus) -> None:
    for name in ("first", "second", "third"):
        corpus.add("train", name, noise(seed=77))
    assert findings_of(corpus.check()) == [error("duplicate audio", "second"), error("duplicate audio", "third")]


def test_a_copy_without_faults_is_kept_rather_than_a_faulty_one(corpus: Corpus) -> None:
    corpus.add("train", "faulty", noise(seed=77), text="")
    corpus.add("train", "fine", noise(seed=77))
    assert set(findings_of(corpus.check())) == {error("empty text", "faulty"), error("duplicate audio", "faulty")}


def test_the_same_start_in_a_file_is_the_same_recording(corpus: Corpus) -> None:
    corpus.add("train", "long", noise(3.0, seed=9), offset=1.0, duration=2.0)
    corpus.line(
        "train", {"id": "bad", "audio_filepath": "audio/long.wav", "offset": 1.0, "duration": 1.0, "text": TEXT}
    )
    assert findings_of(corpus.check()) == [error("duplicate audio")]


@pytest.mark.parametrize(("offset", "leaks"), [(0.9, True), (1.1, False), (2.0, False)])
def test_segments_of_two_splits_that_overlap_by_more_than_half(corpus: Corpus, offset: float, leaks: bool) -> None:
    corpus.add("train", "bad", noise(4.0, seed=9), duration=2.0)
    row = {"id": "kept", "audio_filepath": "audio/bad.wav", "offset": offset, "duration": 2.0, "text": TEXT[:-1]}
    corpus.line("test", row)
    assert findings_of(corpus.check()) == [error("duplicate audio")] * leaks


def test_overlapping_speech_within_a_split_is_fine(corpus: Corpus) -> None:
    corpus.add("train", "one", noise(4.0, seed=9), duration=2.0)
    corpus.line("train", {"id": "two", "audio_filepath": "audio/one.wav", "offset": 0.5, "duration": 2.0, "text": TEXT})
    assert findings_of(corpus.check()) == []


def test_two_silent_recordings_are_no_copies(corpus: Corpus) -> None:
    corpus.add("train", "s1", np.zeros(RATE_HZ))
    corpus.add("train", "s2", np.zeros(RATE_HZ))
    assert findings_of(corpus.check()) == [error("silence", "s1"), error("silence", "s2")]


def test_speakers_shared_between_splits(corpus: Corpus) -> None:
    corpus.rows.clear()
    for split, speakers in (("train", "xxyz"), ("dev", "uv"), ("test", "xxyuq")):
        for i, speaker in enumerate(speakers):
            corpus.add(
                split, f"{split}{i}", speaker=speaker, text="kit" if split == "train" else f"kit{'ti' * (i + 1)}"
            )
    report = corpus.check()
    assert findings_of(report) == [
        ("warning", "shared speaker", "train + test", ""),
        ("warning", "shared speaker", "dev + test", ""),
    ]
    assert message(report, "shared speaker").startswith("train has 2 of test's 4 speakers too (x, y; 3 utterances)")


def test_nameless_speakers_are_not_shared(corpus: Corpus) -> None:
    corpus.add("dev", "d", text="taka", speaker="")
    corpus.rows["train"][0]["speaker"] = ""
    assert findings_of(corpus.check()) == []


def test_sentences_of_train_in_held_out_data(corpus: Corpus) -> None:
    corpus.rows.clear()
    corpus.add("train", "t1", text="Kitabu, hiki!")
    corpus.add("train", "t2", text="kitabu hiki")
    corpus.add("train", "t3", text="kitabu")
    corpus.add("dev", "d1", text="KITABU HIKI")
    corpus.add("test", "e1", text="hiki kitabu")
    corpus.add("test", "e2", text="kitabu.")
    report = corpus.check()
    assert findings_of(report) == [warning("shared sentence", "d1", "dev"), warning("shared sentence", "e2", "test")]
    assert "(t1, t2)" in message(report, "shared sentence")


# ---------------------------------------------------------------------------------------------------- roles and options
@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (("train", "dev", "test"), ("train", "dev", "test")),
        (("train-10min", "validation", "test_clean"), ("train", "dev", "test")),
        (("mine", "yours"), ("train", "test")),
        (("mine", "train"), ("test", "train")),
        (("test",), ("test",)),
        (("train_dev", "training"), ("dev", "train")),
        (("contest", "latest"), ("train", "test")),
    ],
)
def test_roles_come_from_the_files_names(corpus: Corpus, names: tuple[str, ...], roles: tuple[str, ...]) -> None:
    corpus.rows.clear()
    for name in names:
        corpus.add(name, f"of-{name}")
    report = corpus.check()
    assert tuple(split.name for split in report.splits) == names
    assert tuple(split.role for split in report.splits) == roles


def test_files_of_one_name_are_named_by_their_folders(corpus: Corpus, tmp_path: Path) -> None:
    corpus.write()
    (tmp_path / "more").mkdir()
    other = Corpus(tmp_path / "more")
    other.seed = 50
    other.add("train", "other")
    paths = [corpus.path("train"), *other.write()]
    report = check_manifests(paths)
    assert [split.name for split in report.splits] == [str(path) for path in paths]
    assert report.findings == ()


def test_wrong_calls_are_input_errors(corpus: Corpus) -> None:
    corpus.write()
    for call, words in (
        (lambda: check_manifests([]), "no manifest"),
        (lambda: check_manifests([corpus.folder / "no.jsonl"]), "no.jsonl"),
        (lambda: check_manifests([corpus.path("train")] * 2), "twice"),
    ):
        with pytest.raises(InputError, match=words):
            call()


def test_a_pipe_in_place_of_a_manifest_is_refused_at_once(tmp_path: Path) -> None:
    message = r"train\.jsonl: is a pipe or device, not a file; give the path of a manifest"
    with unread_pipe(tmp_path / "train.jsonl") as pipe, pytest.raises(InputError, match=message):
        check_manifests([pipe])


def test_lone_carriage_returns_end_lines_as_in_reading(corpus: Corpus) -> None:
    corpus.write()
    path = corpus.path("train")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r"))
    assert findings_of(check_manifests([path])) == []
    assert [utterance.id for utterance in read_manifest(path)] == ["a", "b", "c"]


@pytest.mark.parametrize("character", ["\t", "\n", "\r", "\x1b", "\u2028"])
def test_ids_with_control_characters_are_broken_lines(corpus: Corpus, character: str) -> None:
    corpus.add("train", "odd", id=f"a{character}b")
    report = corpus.check()
    assert findings_of(report) == [error("broken line", "train.jsonl:4")]
    assert "'id' contains the control character" in message(report, "broken line")
    assert all(finding.message.isprintable() for finding in report.findings)


# ------------------------------------------------------------------------------------------------- containers of many
@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_lossy_container_is_decoded_once_and_sliced(
    corpus: Corpus, subtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = noise(4.0, seed=9)
    samples[RATE_HZ : 2 * RATE_HZ] = 0.0
    path = corpus.folder / "audio" / "all.ogg"
    soundfile.write(path, samples, RATE_HZ, subtype=subtype)
    for i in (2, 0, 3):
        row = {"id": f"s{i}", "audio_filepath": "audio/all.ogg", "offset": i * 1.0, "duration": 1.0, "text": TEXT}
        corpus.line("train", row)
    row = {"id": "bad", "audio_filepath": "audio/all.ogg", "offset": 1.25, "duration": 0.5, "text": TEXT}
    corpus.line("train", row)
    reads = []
    read = soundfile.SoundFile.read
    monkeypatch.setattr(
        soundfile.SoundFile, "read", lambda self, *args, **more: reads.append(self.name) or read(self, *args, **more)
    )
    assert findings_of(corpus.check()) == [error("silence")]
    assert reads.count(os.fsencode(path)) == 1


def test_a_copy_of_a_segment_of_a_lossy_container_is_recognised(corpus: Corpus) -> None:
    """Exact slices of the whole decoded file, which seeking in it would not give."""
    path = corpus.folder / "audio" / "all.ogg"
    soundfile.write(path, noise(4.0, seed=9), RATE_HZ)
    whole, _ = soundfile.read(path, dtype="float32")
    for i in range(4):
        row = {"id": f"s{i}", "audio_filepath": "audio/all.ogg", "offset": i * 1.0, "duration": 1.0, "text": "taka"}
        corpus.line("test", row)
    corpus.add("train", "bad", whole[3 * RATE_HZ :], subtype="FLOAT")
    assert findings_of(corpus.check()) == [error("duplicate audio")]


# ----------------------------------------------------------------------------------------------------------- the rules
def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    """CTC's map from a path to its labels: merge repeats, then drop blanks (0)."""
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol)


def test_the_ctc_rule_equals_brute_force() -> None:
    """All paths of up to five frames over a blank and three symbols, against all label sequences of up to four."""
    for frames in range(6):
        reachable = {collapse(path) for path in itertools.product(range(4), repeat=frames)}
        for count in range(5):
            for symbols in itertools.product(range(1, 4), repeat=count):
                assert (symbols in reachable) == (ctc_frames_needed(symbols) <= frames), (frames, symbols)


def test_frames_are_those_of_kaldi_and_of_a_strided_convolution() -> None:
    for samples in (400, 559, 560, 561, 1599, 8000, 16000):
        expected = kaldi.fbank(torch.zeros(1, samples), num_mel_bins=4, dither=0.0).shape[0]
        assert kaldi_frames(samples) == expected
    assert kaldi_frames(399) == 0
    for frames in range(1, 40):
        halved = torch.nn.functional.conv1d(torch.zeros(1, 1, frames), torch.zeros(1, 1, 3), stride=2, padding=1)
        quartered = torch.nn.functional.conv1d(halved, torch.zeros(1, 1, 3), stride=2, padding=1)
        assert subsampled_frames(frames, 2) == halved.shape[-1]
        assert subsampled_frames(frames, 4) == quartered.shape[-1]
        assert subsampled_frames(frames, 1) == frames


@pytest.mark.parametrize("from_hz", [8000, 11025, 22050, 44100, 48000])
def test_resampled_lengths_are_librosas(from_hz: int) -> None:
    for samples in (1, 441, 1000, 4410, 44101):
        expected = librosa.resample(
            np.zeros(samples, np.float32), orig_sr=from_hz, target_sr=RATE_HZ, res_type="soxr_hq"
        )
        assert resampled_count(samples, from_hz, RATE_HZ) == len(expected)


def test_importing_it_loads_no_heavy_package() -> None:
    code = "import sys, speechxfer.checking; print({'torch', 'librosa', 'torchaudio'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


# ---------------------------------------------------------------------------------------------------------- the report
COLUMNS = ["split", "role", "utterances", "hours", "speakers", "symbols", "rate_hz", "errors", "warnings"]


@pytest.fixture
def faulty(corpus: Corpus) -> Corpus:
    """Eight silent utterances, a missing one, two that share a recording with test, and a broken line."""
    corpus.rows["train"][0]["duration"] = 1.01  # the file has 1 s
    for i in range(8):
        corpus.add("train", f"quiet{i}", np.zeros(RATE_HZ))
    corpus.line("train", {"id": "gone", "audio_filepath": "audio/gone.wav", "duration": 1.0, "text": TEXT})
    corpus.line("train", "{")
    corpus.add("train", "leak", noise(seed=77), text="Taka, taka", speaker="x")
    corpus.add("test", "kept", noise(seed=77), text="taka taka", speaker="x")
    corpus.add("test", "clip", np.clip(tone(2.0), -1, 1), text="bata")
    return corpus


def test_the_summary_lists_findings_and_next_steps(faulty: Corpus) -> None:
    report = faulty.check()
    lines = str(report).splitlines()
    assert lines[0].split() == COLUMNS
    assert lines[1].split() == ["train", "train", "13", "0.004", "1", "7", "16000", "12", "0"]
    assert lines[2].split() == ["test", "test", "2", "0.001", "1", "5", "16000", "0", "2"]
    text = "\n".join(lines)
    assert text.index("errors (") < text.index("warnings (") < text.index("next: ")
    assert "  silence: 8 (train: quiet0, quiet1, quiet2, quiet3, quiet4 and 3 more)" in lines
    assert "  missing audio: 1 (train: gone)" in lines
    train, test = faulty.path("train"), faulty.path("test")
    assert (
        lines[-2]
        == f"next: correct what you can; to remove 11 lines: speechxfer check {train} {test} --fix {train.parent / 'clean'}"
    )
    assert lines[-1] == "not ready: 12 errors, 3 warnings in 15 utterances"


def test_the_next_step_names_the_option_that_settles_an_error(corpus: Corpus) -> None:
    corpus.add("train", "bad", noise(seed=9, rate_hz=8000), rate_hz=8000)
    line = f"next: to convert while reading: speechxfer check {corpus.path('train')} --mono --resample"
    assert line in str(corpus.check(mono=True)).splitlines()


def test_suggested_commands_can_be_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are quoted and relative to the working directory, as given."""
    monkeypatch.chdir(tmp_path)
    corpus = Corpus(Path("my data"))
    corpus.folder.mkdir()
    corpus.add("train", "a")
    corpus.add("dev", "d", text="tabu")
    paths = corpus.write()
    options = ["--config", "my config.toml", "--model", "english"]
    report = check_manifests(paths, CheckSettings(mono=True), options=options)
    line = next(line for line in str(report).splitlines() if line.startswith("next: "))
    assert shlex.split(line.removeprefix("next: ")) == [
        *(
            "speechxfer",
            "adapt",
            "--train",
            "my data/train.jsonl",
            "--dev",
            "my data/dev.jsonl",
            "--out",
            "exp/adapted",
        ),
        *("--config", "my config.toml", "--source", "english", "--mono"),
    ]
    corpus.add("train", "quiet", np.zeros(RATE_HZ))
    report = check_manifests(corpus.write(), CheckSettings(mono=True), options=options)
    line = next(line for line in str(report).splitlines() if line.startswith("next: "))
    assert shlex.split(line.partition("1 line: ")[2]) == [
        *(
            "speechxfer",
            "check",
            "my data/train.jsonl",
            "my data/dev.jsonl",
            *options,
            "--mono",
            "--fix",
            "my data/clean",
        ),
    ]


# ----------------------------------------------------------------------------------------------------- repair
def test_repair_writes_what_remains_and_lists_what_was_removed(
    faulty: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in faulty.write()}
    out = tmp_path / "clean" / "er"
    paths = repair(faulty.check(), out)
    assert paths == [out / "train.jsonl", out / "test.jsonl", out / "removed.jsonl"]
    assert {path: path.read_bytes() for path in before} == before
    train = read_manifest(paths[0])
    assert [(u.id, u.duration, u.audio_filepath.name) for u in train] == [
        ("a", 1.0, "a.wav"),
        ("b", 1.0, "b.wav"),
        ("c", 1.0, "c.wav"),
    ]
    assert [(u.id, u.text, u.speaker) for u in read_manifest(paths[1])] == [
        ("kept", "taka taka", "x"),
        ("clip", "bata", ""),
    ]
    rows = [json.loads(line) for line in paths[2].read_text(encoding="utf-8").splitlines()]
    assert {row["id"] for row in rows} == {*(f"quiet{i}" for i in range(8)), "gone", "leak", "train.jsonl:13"}
    leak = next(row for row in rows if row["id"] == "leak")
    assert (leak["split"], leak["line"], [reason["kind"] for reason in leak["reasons"]]) == (
        "train",
        14,
        ["duplicate audio"],
    )
    printed = capsys.readouterr().out.splitlines()
    assert "removed: gone (train): missing audio" in printed
    assert "duration corrected: a (train): 1.01 to 1 s" in printed
    assert len(printed) == 11 + 1 + 1 + 1
    assert printed[-2].startswith(
        "warning: 10 of 13 in train are removed, most often for 'silence' (x8): record it again"
    )
    assert printed[-1].startswith(f"written to {out}: 3 of 13 in train, 2 of 2 in test;")
    assert check_manifests(paths[:2]).errors == ()


def test_repair_of_ids_used_twice_keeps_the_first(corpus: Corpus, tmp_path: Path) -> None:
    corpus.add("train", "other", id="b", text="tabu")
    paths = repair(corpus.check(), tmp_path / "clean")
    assert [(u.id, u.text) for u in read_manifest(paths[0])] == [("a", TEXT), ("b", TEXT), ("c", TEXT)]


def test_a_corrected_duration_does_not_keep_an_utterance_with_other_errors(corpus: Corpus, tmp_path: Path) -> None:
    corpus.add("train", "bad", np.zeros(RATE_HZ), duration=1.01)
    paths = repair(corpus.check(), tmp_path / "clean")
    assert [u.id for u in read_manifest(paths[0])] == ["a", "b", "c"]


def test_a_long_list_is_cut_on_the_screen_only(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(60):
        corpus.line("train", {"id": f"g{i}", "audio_filepath": "gone.wav", "duration": 1.0, "text": TEXT})
    *_, listed = repair(corpus.check(), tmp_path / "clean")
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 50 + 3
    assert printed[-3].startswith("and 10 more")
    assert len(listed.read_text().splitlines()) == 60


def test_repair_never_overwrites_what_was_checked(corpus: Corpus, tmp_path: Path) -> None:
    report = corpus.check()
    before = corpus.path("train").read_bytes()
    (tmp_path / "link").symlink_to(tmp_path)
    for folder in (tmp_path, tmp_path / "link", tmp_path / "audio" / ".."):
        with pytest.raises(InputError, match="never overwritten"):
            repair(report, folder)
    assert corpus.path("train").read_bytes() == before
    assert not (tmp_path / "removed.jsonl").exists()


def test_repair_refuses_to_overwrite_and_to_write_empty_manifests(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    other = Corpus(tmp_path / "more")
    other.add("train", "bad", np.zeros(RATE_HZ))
    paths = [*corpus.write(), *other.write()]
    with pytest.raises(InputError, match="two files would have this name"):
        repair(check_manifests(paths), tmp_path / "clean")
    with pytest.raises(InputError, match=r"no utterance would remain \(silence x1\)"):
        repair(check_manifests(paths[1:]), tmp_path / "clean")
    with pytest.raises(InputError, match="cannot be written"):
        repair(check_manifests(paths[:1]), tmp_path / "audio" / "a.wav" / "clean")
    assert not (tmp_path / "clean").exists()


def test_every_kind_of_finding_has_its_advice(faulty: Corpus) -> None:
    report = faulty.check()
    for finding in report.findings:
        if finding.kind not in ("broken line", "duration"):
            assert finding.message.endswith(ADVICE[finding.kind])


def test_the_characters_of_train_are_listed_with_rare_ones_and_digits(corpus: Corpus) -> None:
    for number in range(4):
        corpus.add("train", f"t{number}", text="kaka 1")
    corpus.add("train", "typo", text="kaqa")
    lines = str(corpus.check()).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("symbols of train: "))
    own = {symbol: int(count) for symbol, count in (part.split(" x") for part in lines[start][18:].split(", "))}
    assert own["q"] == 1 and own["1"] == 4
    rare = lines.index("  fewer than 5 times, too few to train on; typing errors?:", start)
    assert "    'q' (U+0071 LATIN SMALL LETTER Q) x1: typo" in lines[rare:]
    digits = lines.index("  digits, better written as they are said:", rare)
    assert lines[digits + 1] == "    '1' (U+0031 DIGIT ONE) x4: t0, t1, t2, t3"


# ----------------------------------------------------------------------------------------------------------- quick check
def quick(corpus: Corpus, **options: object) -> CheckReport:
    return check_manifests(corpus.write(), CheckSettings(**options), quick=True)


def test_a_quick_check_reads_texts_headers_and_names_of_files(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.add("train", "slow", rate_hz=8_000)
    corpus.add("train", "long", text="k i t a b u " * 5)  # 25 encoder frames for 59 symbols
    corpus.add("train", "beyond", duration=1.5)
    corpus.line("train", {"id": "gone", "audio_filepath": "gone.wav", "duration": 1.0, "text": TEXT})
    corpus.line("train", {"id": "again", "audio_filepath": "audio/a.wav", "duration": 1.0, "text": TEXT})
    corpus.line("train", "{")
    monkeypatch.setattr("speechxfer.checking.measurement.decode_audio", None)
    report = quick(corpus)
    assert findings_of(report) == [
        error("broken line", "train.jsonl:9"),
        error("missing audio", "gone"),
        error("wrong rate", "slow"),
        error("duration", "beyond"),
        error("too few frames", "long"),
        error("duplicate audio", "again"),
    ]
    assert report.splits[0].rates_hz == (8_000, 16_000)


def test_a_quick_check_says_what_it_did_not_look_at(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.add("train", "bad", np.zeros(RATE_HZ, np.float32))
    monkeypatch.setattr("speechxfer.checking.measurement.HEADERS", 3)
    report = quick(corpus)
    assert findings_of(report) == [] and findings_of(corpus.check()) == [error("silence")]
    [line] = [line for line in str(report).splitlines() if line.startswith("quick check:")]
    assert line.startswith("quick check: of 4 recordings the headers of 3 were read, and no sound; ")
    assert "Not checked: silence, clipping" in line
    assert line.endswith(f"All of it: speechxfer check {corpus.path('train')}")
    assert "quick check:" not in str(corpus.check())
