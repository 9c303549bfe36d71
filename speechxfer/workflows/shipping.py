"""Models for shipping: a copy of a model with its measured figures on its card."""

from dataclasses import replace
from pathlib import Path

from speechxfer.checkpoints import card_from_description, load_model, read_card, save_model
from speechxfer.errors import InputError
from speechxfer.features import FeatureSpec, feature_preset
from speechxfer.workflows.results import read_rows


def copy_model(
    name: Path | str,
    folder: Path | str,
    *,
    new_name: str = "",
    half: bool = False,
    results: str = "",
    limits: str = "",
    features: str = "",
) -> None:
    """Save a model again elsewhere with the card it has, under another name or in half precision for shipping.

    Args:
        results: a results.json; its rates go onto the card, but for those of models made from another source.
        limits: what a user must not expect of it; goes onto the card too.
        features: name of another feature preset that it shall hear with from now on.

    Raises:
        InputError: no such model or preset, or the preset's frames are of another size or rate.
    """
    card = card_from_description(read_card(name))
    rows = read_rows(Path(results)) if results else []
    figures = [row.summary() for row in rows if row.source == Path(card.parent).name]
    told = {key: value for key, value in (("figures", figures), ("limits", limits)) if value}
    card = replace(card, name=new_name or card.name, details=card.details | told)
    model = load_model(name)
    if features:
        model.spec = _exchanged(model.spec, feature_preset(features))
    save_model(model, folder, card, half=half)


def _exchanged(old: FeatureSpec, new: FeatureSpec) -> FeatureSpec:
    """The new features, if a network that was made for the old ones can read them."""
    shapes = [(spec.dim, spec.frames_per_s, spec.sample_rate_hz) for spec in (old, new)]
    if shapes[0] != shapes[1]:
        was, would = ("{} values at {:g} frames a second of {} Hz".format(*shape) for shape in shapes)
        raise InputError(f"features {new.name} have {would}, and the model hears {was}; choose a preset of that shape")
    return new
