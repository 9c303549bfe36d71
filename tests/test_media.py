"""Reading files that libsndfile does not read (FFmpeg): positions, segments, what is refused or reported, memory."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechxfer.data import audio, decoded_files, decoder, media
from speechxfer.data.audio import read_audio
from speechxfer.data.decoded_files import DecodedFiles, SequentialReaders
from speechxfer.data.decoder import decode_audio, read_audio_header
from speechxfer.data.headers import Samples, UnreadableAudioError
from speechxfer.errors import InputError
from tests.media_files import FORMATS, write_media, write_silent_video

LOSSY = (".m4a", ".mp4", ".webm", ".mkv")
PRIMING_S = 0.025  # what raw AAC and AMR files do not state


def clicks(rate: int, seconds: float = 3.0, every_s: float = 0.5) -> np.ndarray:
    """A faint tone with bursts of noise of 10 ms, whose positions survive lossy coding."""
    generator = np.random.default_rng(0)
    samples = 0.01 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate)) / rate)
    for start in np.arange(every_s, seconds - 0.1, every_s):
        first = round(start * rate)
        samples[first : first + rate // 100] += 0.5 * generator.standard_normal(rate // 100).clip(-1.5, 1.5)
    return samples.astype(np.float32)


def lag(decoded: Samples, original: np.ndarray, at: int, width: int, furthest: int) -> int:
    """By how many samples the decoded signal is late at a burst of the original: the maximum of the cross-correlation."""
    burst = original[at : at + width]
    scores = [float(burst @ decoded[at + shift : at + shift + width]) for shift in range(-furthest, furthest + 1)]
    return int(np.argmax(scores)) - furthest


@pytest.mark.parametrize("suffix", LOSSY)
def test_positions_are_exact_in_lossy_files(tmp_path: Path, suffix: str) -> None:
    """The encoder's priming is dropped; the length is that of what was encoded, in WebM to the millisecond, of AAC in Matroska
    to the frame."""
    path, rate = tmp_path / f"a{suffix}", FORMATS[suffix][2]
    original = clicks(rate)
    write_media(path, suffix, original)
    decoded = read_audio(path, sample_rate_hz=rate)
    for start_s in (0.5, 1.5, 2.5):
        assert lag(decoded, original, round(start_s * rate), rate // 100, rate // 40) == 0
    header = read_audio_header(path)
    assert (header.rate_hz, header.channels, header.truncated) == (rate, 1, False)
    tolerance = {".webm": rate / 1000, ".mkv": 1024 + rate / 1000}.get(suffix, 0)
    assert abs(header.samples - len(original)) <= tolerance and abs(len(decoded) - len(original)) <= tolerance


@pytest.mark.parametrize(("suffix", "container"), [(".alac.m4a", "MP4"), (".mov", "MP4")])
def test_lossless_files_are_exact_to_the_sample(tmp_path: Path, suffix: str, container: str) -> None:
    path, ramp = tmp_path / f"a{suffix}", np.arange(20_000, dtype=np.float32) / 32768
    rate = write_media(path, suffix, ramp)
    assert np.abs(read_audio(path, sample_rate_hz=rate) - ramp).max() <= 1 / 32768
    assert read_audio_header(path).container == container
    stereo = np.stack([ramp, -ramp / 2], axis=1)
    write_media(path, suffix, stereo)
    assert np.abs(decode_audio(path).samples - stereo).max() <= 1 / 32768


@pytest.mark.parametrize("suffix", [".aac", ".amr"])
def test_files_that_do_not_state_their_priming_are_late_by_it(tmp_path: Path, suffix: str) -> None:
    path, rate = tmp_path / f"a{suffix}", FORMATS[suffix][2]
    original = clicks(rate)
    write_media(path, suffix, original)
    decoded = read_audio(path, sample_rate_hz=rate)
    assert 0 < len(decoded) - len(original) < 2 * PRIMING_S * rate + 1024
    if suffix == ".aac":
        assert lag(decoded, original, rate // 2, rate // 100, rate // 30) == 1024  # of FFmpeg's encoder


def test_segments_are_cut_from_the_whole_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where they overlap; a file that is too large for the cache is decoded again only for a segment far back."""
    path = tmp_path / "a.m4a"
    rate = write_media(path, ".m4a", clicks(44_100, 6.0))
    whole = read_audio(path, sample_rate_hz=rate)
    opened: list[Path | str] = []

    class Counted(media.MediaReader):
        def __init__(self, path: Path | str, header: media.AudioHeader) -> None:
            opened.append(path)
            super().__init__(path, header)

    monkeypatch.setattr(decoder, "MediaReader", Counted)
    monkeypatch.setattr(decoder, "_decoded_files", DecodedFiles())
    for cache_bytes, kept in ((256_000_000, 1 << 21), (1000, 2 * rate)):
        monkeypatch.setattr(decoded_files, "DECODED_CACHE_BYTES", cache_bytes)
        monkeypatch.setattr(decoded_files, "KEPT_SAMPLES", kept)
        monkeypatch.setattr(decoder, "_sequential_readers", SequentialReaders())
        opened.clear()
        for start in (0, 777, rate, rate // 2, 3 * rate, 2 * rate, 4 * rate):
            segment = read_audio(path, sample_rate_hz=rate, offset_s=start / rate, duration_s=1.5)
            assert np.array_equal(segment, whole[start : start + round(1.5 * rate)])
        assert len(opened) == 1
    read_audio(path, sample_rate_hz=rate, offset_s=0.0, duration_s=1.0)
    assert len(opened) == 2
    assert decoder._sequential_readers._kept.shape[0] <= 2 * rate + round(1.5 * rate)


def test_sound_that_begins_after_the_picture_is_preceded_by_silence(tmp_path: Path) -> None:
    path, original = tmp_path / "a.mp4", clicks(16_000)
    rate = write_media(path, ".mp4", original, start_s=0.7)
    decoded = read_audio(path)
    assert np.abs(decoded[: round(0.65 * rate)]).max() < 1e-4  # the priming begins at 0.64 s
    late = np.concatenate([np.zeros(round(0.7 * rate), np.float32), original])
    assert abs(lag(decoded, late, round(1.2 * rate), rate // 100, rate // 20)) <= 1
    assert abs(len(decoded) - len(late)) <= rate / 100


def test_a_live_recording_without_length_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As browsers record: sizes and duration are not known when the file is begun."""
    path, original = tmp_path / "a.webm", clicks(48_000)
    rate = write_media(path, ".webm", original, options={"live": "1"})
    header = read_audio_header(path)
    assert abs(header.samples - len(original)) <= rate / 1000 and not header.truncated
    read_audio(path, sample_rate_hz=rate)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("suffix", "options"), [(".m4a", {"movflags": "faststart"}), (".webm", {}), (".mkv", {})])
def test_a_truncated_file_is_read_as_far_as_it_goes(
    tmp_path: Path, suffix: str, options: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    path, rate = tmp_path / f"a{suffix}", FORMATS[suffix][2]
    write_media(path, suffix, 0.1 * np.random.default_rng(0).standard_normal(3 * rate), options=options)
    whole = read_audio(path, sample_rate_hz=rate)
    data = path.read_bytes()
    path.write_bytes(data[: round(0.8 * len(data))])
    header = read_audio_header(path)
    assert header.truncated and 0.1 * rate < header.missing_samples < 0.9 * rate
    assert header.samples + header.missing_samples == pytest.approx(len(whole), abs=rate / 50)
    for duration_s in (None, 3.0):
        part = read_audio(path, sample_rate_hz=rate, duration_s=duration_s)
        assert np.array_equal(part, whole[: len(part)])
        assert "ms are missing at the end; it is read as far as the data goes" in capsys.readouterr().err
    path.write_bytes(data[: round(0.3 * len(data))])
    with pytest.raises(UnreadableAudioError, match=r"it is truncated: \d+ of \d+ samples are missing"):
        read_audio(path, sample_rate_hz=rate)


def test_an_mp4_without_its_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    write_media(path, ".m4a", clicks(44_100))
    path.write_bytes(path.read_bytes()[:20_000])
    for read in (read_audio, read_audio_header):
        with pytest.raises(UnreadableAudioError, match=r"a\.m4a: not readable as audio .*index of an MP4 file"):
            read(path)


def damaged(path: Path, at: float = 0.5, count: int = 4_000) -> None:
    """Overwrite so many bytes from this share of the file on."""
    data = bytearray(path.read_bytes())
    first = round(at * len(data))
    data[first : first + count] = np.random.default_rng(0).bytes(count)
    path.write_bytes(data)


def test_a_damaged_file_that_loses_samples_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    rate = write_media(path, ".alac.m4a", 0.1 * np.random.default_rng(0).standard_normal(3 * 44_100))
    damaged(path, count=30_000)
    with pytest.raises(UnreadableAudioError, match=r"truncated or damaged after 1\.\d s"):
        read_audio(path, sample_rate_hz=rate)


def test_a_webm_that_cannot_be_read_after_its_middle_is_truncated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.webm"
    rate = write_media(path, ".webm", clicks(48_000))
    whole = read_audio(path, sample_rate_hz=rate)
    damaged(path, at=0.7)
    part = read_audio(path, sample_rate_hz=rate)
    assert 0.5 * len(whole) < len(part) < 0.75 * len(whole)
    assert np.array_equal(part[: -rate // 10], whole[: len(part) - rate // 10])
    assert "ms are missing at the end" in capsys.readouterr().err
    damaged(path, at=0.3)
    with pytest.raises(UnreadableAudioError, match="samples are missing"):
        read_audio(path, sample_rate_hz=rate)


def test_where_packets_are_missing_silence_keeps_the_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, original = tmp_path / "a.m4a", clicks(44_100)
    rate = write_media(path, ".m4a", original, omitted=range(50, 70))  # packets of 1,024 samples
    decoded = read_audio(path, sample_rate_hz=rate)
    gap_s = 20 * 1024 / rate
    assert read_audio_header(path).gaps_s == pytest.approx(gap_s)
    assert f"sound is missing where the timestamps skip, {gap_s:.1f} s altogether" in capsys.readouterr().err
    assert len(decoded) == len(original)
    assert np.all(decoded[50 * 1024 : 69 * 1024] == 0)
    assert lag(decoded, original, round(2.5 * rate), rate // 100, rate // 40) == 0


def test_what_has_no_sound_or_is_no_recording_is_named(tmp_path: Path) -> None:
    write_silent_video(tmp_path / "silent.mp4")
    (tmp_path / "list.m4a").write_text("#EXTM3U\n#EXTINF:3,\nfile:///etc/hostname\n")  # never followed
    (tmp_path / "empty.webm").write_bytes(b"")
    (tmp_path / "noise.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + np.random.default_rng(0).bytes(5000))
    for name, reason in (
        ("silent.mp4", "no audio track"),
        ("list.m4a", "not readable as audio"),
        ("empty.webm", "not readable as audio"),
        ("noise.m4a", "not readable as audio"),
    ):
        with pytest.raises(UnreadableAudioError, match=rf"{name}: .*{reason}"):
            read_audio(tmp_path / name)


def test_without_pyav_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_media(tmp_path / "a.m4a", ".m4a", clicks(44_100, 1.0))
    soundfile.write(tmp_path / "a.wav", clicks(16_000), 16_000)
    monkeypatch.setitem(sys.modules, "av", None)  # importing it fails
    with pytest.raises(InputError, match=r"a\.m4a: reading MP4 needs the package av; .*speechxfer\[media\]"):
        read_audio(tmp_path / "a.m4a")
    assert len(audio.read_audio(tmp_path / "a.wav")) == 48_000
