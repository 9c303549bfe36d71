"""Writing of M4A, WebM and other files that FFmpeg encodes (PyAV), for tests of reading."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av", reason="PyAV (extra media) is not installed")

FORMATS = {  # suffix: container, encoder and rate
    ".m4a": ("ipod", "aac", 44_100),
    ".mp4": ("mp4", "aac", 16_000),
    ".webm": ("webm", "libopus", 48_000),
    ".mkv": ("matroska", "aac", 44_100),
    ".alac.m4a": ("ipod", "alac", 44_100),
    ".mov": ("mov", "pcm_s16le", 44_100),
    ".aac": ("adts", "aac", 44_100),
    ".amr": ("amr", "libopencore_amrnb", 8_000),
}


def write_media(
    path: Path,
    suffix: str,
    samples: np.ndarray,
    *,
    start_s: float | None = None,
    options: dict[str, str] | None = None,
    omitted: Sequence[int] = (),
) -> int:
    """Write float samples `[samples]` or `[samples, 2]` in the format of a suffix; returns the rate.

    Args:
        start_s: add a video track that begins at 0 and lasts as long, and let the sound begin here.
        options: of the container.
        omitted: numbers of packets that are not written.
    """
    container_name, codec, rate = FORMATS[suffix]
    layout = "mono" if samples.ndim == 1 else "stereo"
    planes = np.ascontiguousarray(samples[None] if samples.ndim == 1 else samples.T, dtype=np.float32)
    with av.open(str(path), "w", format=container_name, options=options or {}) as container:
        track = container.add_stream(codec, rate=rate, layout=layout)
        video = None
        if start_s is not None:
            video = container.add_stream("mpeg4", rate=10)
            video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
            for number in range(round((start_s + planes.shape[1] / rate) * 10)):
                image = av.VideoFrame.from_ndarray(np.full((32, 32, 3), number % 200, np.uint8), format="rgb24")
                image.pts = number
                container.mux(video.encode(image))
            container.mux(video.encode(None))
        whole = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
        whole.rate, whole.pts = rate, 0
        size = track.codec_context.frame_size or 0
        cut = av.AudioResampler(format=track.codec_context.format, layout=layout, rate=rate, frame_size=size)
        packets = []
        for frame in [*cut.resample(whole), *cut.resample(None)]:
            frame.pts += round((start_s or 0.0) * rate)
            packets += track.encode(frame)
        packets += track.encode(None)
        container.mux([packet for number, packet in enumerate(packets) if number not in omitted])
    return rate


def write_silent_video(path: Path) -> None:
    """An MP4 file with a video track and no audio track."""
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        for number in range(10):
            image = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            image.pts = number
            container.mux(video.encode(image))
        container.mux(video.encode(None))
