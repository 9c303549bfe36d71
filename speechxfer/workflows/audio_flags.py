"""Whether to convert sampling rate and channels: as asked, or as in the model's training."""

from typing import Any

from speechxfer.checkpoints import read_card


def resolve_audio_flags(name: str, resample: bool | None, mono: bool | None) -> dict[str, bool]:
    """`resample` and `mono` for audio given to the model `name`; None: as its training had them, False if its card has none."""
    details = read_card(name)["details"]
    config = details.get("config") if isinstance(details, dict) else None
    trained: Any = config.get("data") if isinstance(config, dict) else None
    stored = trained if isinstance(trained, dict) else {}
    return {
        "resample": stored.get("resample") is True if resample is None else resample,
        "mono": stored.get("mono") is True if mono is None else mono,
    }
