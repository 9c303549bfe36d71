"""Reading audio: exact segments, what is refused, what is reported, and how much stays in memory."""

from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile

from speechxfer.data import decoded_files, decoder
from speechxfer.data.audio import collect_audio_warnings, read_audio, resample_audio
from speechxfer.data.decoded_files import DecodedFiles
from speechxfer.data.decoder import decode_audio, read_audio_header
from speechxfer.data.headers import UnreadableAudioError
from speechxfer.errors import InputError
from tests.pipes import unread_pipe

RATE = 16_000


def noise(samples: int, seed: int = 0, level: float = 0.1) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def tone(hz: float, samples: int = 2 * RATE, rate: int = RATE) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(samples) / rate)).astype(np.float32)


LOSSLESS = [("a.wav", "PCM_16"), ("a.flac", "PCM_16"), ("float.wav", "FLOAT")]
LOSSY = [("a.ogg", "VORBIS"), ("opus.ogg", "OPUS"), ("a.mp3", "MPEG_LAYER_III")]


@pytest.mark.parametrize(("name", "subtype"), LOSSLESS)
def test_segments_of_lossless_files_are_exact_to_the_sample(tmp_path: Path, name: str, subtype: str) -> None:
    ramp = np.arange(20_000, dtype=np.float32) / 32768  # each value is its own position
    soundfile.write(tmp_path / name, ramp, RATE, subtype=subtype)
    assert np.array_equal(read_audio(tmp_path / name), ramp)
    for start, count in ((0, 1), (1, 1), (777, 5000), (7919, 12_081), (19_999, 1), (5, 0)):
        segment = read_audio(tmp_path / name, offset_s=start / RATE, duration_s=count / RATE)
        assert segment.dtype == np.float32
        assert np.array_equal(segment, ramp[start : start + count])
    assert np.array_equal(read_audio(tmp_path / name, offset_s=0.5), ramp[8000:])


@pytest.mark.parametrize(("name", "subtype"), LOSSY)
def test_segments_of_lossy_files_are_cut_from_the_whole(tmp_path: Path, name: str, subtype: str) -> None:
    soundfile.write(tmp_path / name, noise(3 * RATE), RATE, subtype=subtype)
    whole, _ = soundfile.read(tmp_path / name, dtype="float32")
    assert np.array_equal(read_audio(tmp_path / name), whole)
    for start, count in ((0, 4000), (777, 5000), (31_234, 16_000), (len(whole) - 100, 100)):
        segment = read_audio(tmp_path / name, offset_s=start / RATE, duration_s=count / RATE)
        assert np.array_equal(segment, whole[start : start + count])


def test_a_lossy_file_that_was_replaced_is_decoded_again(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    for seed in (1, 2):
        soundfile.write(path, noise(RATE, seed), RATE)
        whole, _ = soundfile.read(path, dtype="float32")
        assert np.array_equal(read_audio(path, offset_s=0.25, duration_s=0.5), whole[4000:12_000])


def test_several_channels_are_refused_or_averaged(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.tile(np.float32([0.5, -0.25]), (800, 1)), RATE, subtype="FLOAT")
    with pytest.raises(InputError, match=r"stereo\.wav: 2 channels.*--mono"):
        read_audio(path)
    assert np.array_equal(read_audio(path, mono=True), np.full(800, 0.125, np.float32))


def test_another_rate_is_refused_or_resampled(tmp_path: Path) -> None:
    path = tmp_path / "telephone.wav"
    soundfile.write(path, tone(440, 8000, rate=8000), 8000, subtype="FLOAT")
    with pytest.raises(InputError, match=r"telephone\.wav: 8000 Hz.*16000 Hz.*--resample"):
        read_audio(path)
    samples = read_audio(path, resample=True)
    assert samples.shape == (16_000,)
    assert np.abs(samples - tone(440, 16_000))[500:-500].max() < 1e-3  # the same tone, sampled more densely
    assert read_audio_header(path).rate_hz == 8000
    half = read_audio(path, offset_s=0.25, duration_s=0.5, resample=True)  # seconds, whatever the rate
    assert half.shape == (8000,)
    assert np.abs(half - tone(440, 16_000)[4000:12_000])[500:-500].max() < 1e-3


@pytest.mark.parametrize("from_hz", [8000, 11_025, 22_050, 44_100, 48_000, 0.9 * RATE, 1.1 * RATE])
@pytest.mark.parametrize("samples", [1, 2, 3, 100, 16_001])
def test_resampled_values_are_librosas(from_hz: float, samples: int) -> None:
    recording = noise(samples)
    expected = librosa.resample(recording, orig_sr=from_hz, target_sr=RATE, res_type="soxr_hq")
    resampled = resample_audio(recording, from_hz, RATE)
    assert resampled.dtype == np.float32 and np.array_equal(resampled, expected)


def written(path: Path, **options: Any) -> bytes:
    soundfile.write(path, noise(3 * RATE), RATE, **options)
    return path.read_bytes()


@pytest.mark.parametrize("name", ["gone.wav", "folder.wav", "empty.wav", "text.wav", "headerless.raw", "cut.flac"])
def test_what_is_no_audio_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "folder.wav":
        path.mkdir()
    elif name == "cut.flac":
        path.write_bytes(written(path)[:40_000])
    elif name != "gone.wav":
        path.write_bytes({"empty.wav": b"", "text.wav": b"hello " * 100, "headerless.raw": bytes(1000)}[name])
    with pytest.raises(InputError) as caught:
        read_audio(path)
    assert str(caught.value).startswith(f"{path}: ")
    if name != "cut.flac":  # whose header is whole
        with pytest.raises(InputError) as again:
            read_audio_header(path)
        assert str(again.value) == str(caught.value)
    assert ("missing" if name == "gone.wav" else "not readable as audio") in str(caught.value)


@pytest.mark.parametrize(("name", "subtype"), LOSSY)
def test_a_damaged_file_that_loses_samples_is_refused(tmp_path: Path, name: str, subtype: str) -> None:
    data = bytearray(written(tmp_path / name, subtype=subtype))
    middle = len(data) // 2
    data[middle : middle + 400] = np.random.default_rng(0).bytes(400)
    (tmp_path / name).write_bytes(data)
    for segment in ({}, {"offset_s": 1.0, "duration_s": 2.0}):
        with pytest.raises(InputError, match=rf"{name}: .*(truncated or damaged|not readable)"):
            read_audio(tmp_path / name, **segment)


def test_an_mp3_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.mp3"
    data = written(path)
    path.write_bytes(data[: len(data) // 2])
    for segment in ({}, {"duration_s": 3.0}, {"offset_s": 1.0, "duration_s": 1.9}):
        with pytest.raises(InputError, match=r"cut\.mp3: .*truncated"):
            read_audio(path, **segment)


def test_a_flac_of_unknown_length_is_read_by_its_manifest_only(tmp_path: Path) -> None:
    path = tmp_path / "stream.flac"
    data = bytearray(written(path))
    data[21:26] = bytes([data[21] & 0xF0, 0, 0, 0, 0])  # STREAMINFO's count of samples (36 bits; RFC 9639): unknown
    whole, _ = soundfile.read(path, dtype="float32")
    path.write_bytes(data)
    assert np.array_equal(read_audio(path, offset_s=0.5, duration_s=1.0), whole[8000:24_000])
    with pytest.raises(InputError, match=r"stream\.flac: the file does not say how long it is"):
        read_audio(path)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
@pytest.mark.parametrize(("offset_s", "duration_s"), [(0.0, 3.1), (2.9, 0.2), (3.1, None), (-0.5, 1.0), (4.0, 0.0)])
def test_a_segment_past_the_files_ends_is_refused(
    tmp_path: Path, name: str, offset_s: float, duration_s: float | None
) -> None:
    written(tmp_path / name)
    with pytest.raises(InputError, match=rf"{name}: .*of a file of 3 s; correct 'offset' and 'duration'"):
        read_audio(tmp_path / name, offset_s=offset_s, duration_s=duration_s)


# --- Truncated files ----------------------------------------------------------------------------------------------------


def truncated(path: Path, share: float, **options: Any) -> Path:
    """Three seconds of noise, of which only this share of the bytes is there."""
    data = written(path, **options)
    path.write_bytes(data[: round(share * len(data))])
    return path


def test_a_truncated_wav_is_read_as_far_as_it_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cut.wav"
    data = written(path)
    whole = read_audio(path)
    path.write_bytes(data[: 44 + 2 * 43_200])  # 4,800 of 48,000 samples are missing: 300 ms
    for segment in ({}, {"duration_s": 3.0}):
        assert np.array_equal(read_audio(path, **segment), whole[:43_200])
        assert capsys.readouterr().err == (
            f"warning: {path}: 300 ms are missing at the end; it is read as far as the data goes\n"
        )
    assert np.array_equal(read_audio(path, offset_s=2.25, duration_s=0.75), whole[36_000:43_200])
    assert np.array_equal(read_audio(path, offset_s=0.5, duration_s=0.5), whole[8_000:16_000])
    assert "300 ms" in capsys.readouterr().err
    assert decode_audio(path, duration_s=3.0).missing_s == pytest.approx(0.3)
    header = read_audio_header(path)
    assert (header.samples, header.missing_samples, header.truncated) == (43_200, 4_800, True)


@pytest.mark.parametrize("name", ["a.aiff", "a.au", "a.rf64", "a.w64"])
def test_truncated_files_of_other_formats_are_read_as_far_as_they_go(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, samples = tmp_path / name, tone(440.0, 16_000)
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    assert len(read_audio(path)) == 16_000 and capsys.readouterr().err == ""
    path.write_bytes(path.read_bytes()[:-8_000])  # 4,000 samples, a quarter of a second
    read = read_audio(path)
    assert np.abs(read - samples[:12_000]).max() < 2.0**-14
    missing_ms = 249 if name == "a.w64" else 250  # its log has the size of the whole file only, header included
    assert f"warning: {path}: {missing_ms} ms are missing" in capsys.readouterr().err
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(InputError, match=r"it is truncated: .* samples are missing"):
        read_audio(path)


@pytest.mark.parametrize("segment", [{"duration_s": 3.1}, {"offset_s": 2.6, "duration_s": 0.4}])
def test_a_segment_that_is_mostly_cut_off_is_refused(tmp_path: Path, segment: dict[str, float]) -> None:
    path = truncated(tmp_path / "cut.wav", 0.9)  # 2.7 s are there
    with pytest.raises(
        InputError, match=r"cut\.wav: .*(correct 'offset' and 'duration'|it is truncated: 48\d\d of 6400)"
    ):
        read_audio(path, **segment)


def test_a_wav_of_which_most_is_missing_is_refused(tmp_path: Path) -> None:
    path = truncated(tmp_path / "cut.wav", 0.4)
    for segment in ({}, {"duration_s": 0.5}):
        with pytest.raises(
            UnreadableAudioError, match=r"cut\.wav: it is truncated: 288\d\d of 48000 samples are missing"
        ):
            read_audio(path, **segment)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_truncated_ogg_is_read_as_far_as_it_goes(
    tmp_path: Path, subtype: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = truncated(tmp_path / "cut.ogg", 0.9, subtype=subtype)
    present, _ = soundfile.read(path, dtype="float32")
    assert np.array_equal(read_audio(path), present)
    assert "an unknown part is missing at the end" in capsys.readouterr().err
    assert np.array_equal(read_audio(path, duration_s=3.0), present)
    assert f"{round(1000 * (3 - len(present) / RATE))} ms are missing" in capsys.readouterr().err
    with pytest.raises(InputError, match="it is truncated"):
        read_audio(path, duration_s=30.0)
    data = written(path, subtype=subtype)
    read_audio(path)
    assert capsys.readouterr().err == ""
    path.write_bytes(data[: data.rindex(b"OggS")])  # whole pages, but not the last
    read_audio(path)
    assert "an unknown part is missing at the end" in capsys.readouterr().err


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_of_which_nothing_decodes_is_refused(tmp_path: Path, subtype: str) -> None:
    path = truncated(tmp_path / "cut.ogg", 0.35, subtype=subtype)
    with pytest.raises(UnreadableAudioError, match=r"cut\.ogg: "):
        read_audio(path)


def test_many_truncated_files_are_one_warning_with_five_names_and_a_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [truncated(tmp_path / f"{number}.wav", 0.99 - 0.01 * number) for number in range(8)]
    with collect_audio_warnings():
        for path in [*paths, *paths]:
            read_audio(path)
        assert capsys.readouterr().err == ""
    (line,) = capsys.readouterr().err.splitlines()
    named = ", ".join(map(str, paths[:5]))
    # The files are 96,044 bytes of 48,000 samples: 1 % less is 480 samples or 30 ms, 8 % less 240 ms.
    assert line == (
        f"warning: 8 recordings ({named} and 3 more): 30 to 240 ms are missing at the end; "
        "they are read as far as the data goes"
    )


def test_a_header_written_to_a_pipe_is_not_truncated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "stream.wav"
    data = bytearray(written(path))
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"  # the sizes of RIFF and of its data chunk
    path.write_bytes(data)
    assert len(read_audio(path)) == 3 * RATE
    assert capsys.readouterr().err == ""


# --- Other warnings, files that are none, memory --------------------------------------------------------------------------


def test_channels_that_cancel_each_other_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "stereo.wav"
    left, right = tone(440), noise(2 * RATE)
    for other, cancels in ((-left, True), (-0.95 * left, True), (right, False), (np.zeros_like(left), False)):
        soundfile.write(path, np.stack([left, other], axis=1), RATE)
        read_audio(path, mono=True)
        assert ("the channels cancel each other" in capsys.readouterr().err) == cancels


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    with unread_pipe(tmp_path / "pipe.wav") as pipe:
        for read in (read_audio, read_audio_header):
            with pytest.raises(InputError, match=r"pipe\.wav: not readable as audio \(it is a pipe or device\)"):
                read(pipe)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b.wav", "file/inside.wav"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="the audio file is missing"):
        read_audio(tmp_path / name)


def test_decoded_files_are_kept_within_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wholes = {}
    for number in range(4):
        path = tmp_path / f"{number}.ogg"
        soundfile.write(path, noise(RATE, number), RATE)
        wholes[path] = soundfile.read(path, dtype="float32")[0]
    monkeypatch.setattr(decoded_files, "DECODED_CACHE_BYTES", 3 * 4 * RATE)
    monkeypatch.setattr(decoder, "_decoded_files", DecodedFiles())
    for path, whole in wholes.items():
        assert np.array_equal(read_audio(path, offset_s=0.25, duration_s=0.5), whole[4000:12_000])
    kept = decoder._decoded_files._samples
    assert sum(samples.nbytes for samples in kept.values()) <= 3 * 4 * RATE
    assert {key[0] for key in kept} <= set(map(str, list(wholes)[1:]))


@pytest.mark.parametrize(("name", "subtype"), LOSSY)
def test_segments_of_large_lossy_files_are_cut_without_keeping_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, subtype: str
) -> None:
    written(tmp_path / name, subtype=subtype)
    whole, _ = soundfile.read(tmp_path / name, dtype="float32")
    monkeypatch.setattr(decoded_files, "DECODED_CACHE_BYTES", 1000)
    monkeypatch.setattr(decoder, "_decoded_files", DecodedFiles())
    for start, count in ((777, 5000), (5777, 100), (31_234, 16_000), (4000, 4000), (len(whole) - 100, 100)):
        segment = read_audio(tmp_path / name, offset_s=start / RATE, duration_s=count / RATE)
        np.testing.assert_allclose(segment, whole[start : start + count], atol=1e-6)
    assert not decoder._decoded_files._samples
