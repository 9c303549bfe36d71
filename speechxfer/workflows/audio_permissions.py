"""Whether a model's audio may be resampled and mixed to one channel: as the user sets it, else as in its training."""

from speechxfer.checkpoints import read_card
from speechxfer.features import AudioOptions, FeatureSpec


def trained_audio_options(model: str, spec: FeatureSpec, resample: bool | None, mono: bool | None) -> AudioOptions:
    """How audio is read for the named model.

    Args:
        resample, mono: permissions as in `read_audio`; None: those of the run that trained the model, as its card states
            them, else not permitted.
    """
    details = read_card(model).details
    config = details.get("config")
    data = config.get("data") if isinstance(config, dict) else None
    stated = data if isinstance(data, dict) else {}
    return AudioOptions(
        spec,
        stated.get("resample") is True if resample is None else resample,
        stated.get("mono") is True if mono is None else mono,
    )
