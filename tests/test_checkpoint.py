"""Checkpoints of our own: saving, loading and refusal of damaged, unknown or dangerous ones by name."""

import errno
import json
import pickle
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from recipes.shipping import copy_model
from speechxfer.checkpoints import model_folders, sources
from speechxfer.checkpoints.card import Card, read_card
from speechxfer.checkpoints.loading import load_model
from speechxfer.checkpoints.model_folders import save_model
from speechxfer.checkpoints.sources import resolve_source
from speechxfer.checkpoints.weights import read_weights
from speechxfer.errors import InputError
from speechxfer.features.presets import PRESETS
from speechxfer.features.spec import FeatureSpec
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.models.architecture import Architecture
from speechxfer.text.normalizer import Normalizer
from speechxfer.text.vocabulary import BLANK, Vocabulary
from speechxfer.workflows.model_description import describe

VOCABULARY = Vocabulary((BLANK, " ", *"abcẹŋ", "\u0301"))
CARD = Card("mboshi", "english", "mdw", "CC0-1.0", {"hours": 1.5, "note": "ω"})


def made(encoder: str = "dnn", task: str = "ctc", spec: FeatureSpec = PRESETS["kaldi-mvn"]) -> AcousticModel:
    torch.manual_seed(1)
    architecture = Architecture(encoder, "tiny", 1 if encoder == "dnn" else 8, dropout=0.2)
    model = AcousticModel(architecture, VOCABULARY, spec, Normalizer(form="NFD"), task)
    with torch.no_grad():
        model(torch.randn(2, 100, model.spec.dim), torch.tensor([100, 60]))
    return model.eval()


def output(model: AcousticModel) -> torch.Tensor:
    features = torch.randn(2, 100, 80, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        log_probs, _ = model(features, torch.tensor([100, 60]))
    return log_probs[..., 1:]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_model(made(), tmp_path / "model", CARD)
    return tmp_path / "model"


def rewrite(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    description = json.loads((folder / "model.json").read_text())
    change(description)
    (folder / "model.json").write_text(json.dumps(description))


# --- Saving and loading -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["ctc", "classify"])
@pytest.mark.parametrize("encoder", ["conformer", "cnn", "dnn"])
def test_a_saved_model_is_loaded_bit_for_bit(tmp_path: Path, encoder: str, task: str) -> None:
    model = made(encoder, task)
    save_model(model.train(), tmp_path / "deep" / "model", CARD)
    loaded = load_model(tmp_path / "deep" / "model")
    assert not loaded.training
    assert torch.equal(output(loaded), output(model.eval()))
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():  # batch-norm buffers, too
        assert torch.equal(loaded.state_dict()[name], value)
    for field in ("architecture", "vocabulary", "spec", "normalizer", "task"):
        assert getattr(loaded, field) == getattr(model, field)


@pytest.mark.parametrize("encoder", ["conformer", "cnn", "dnn"])
def test_half_precision_is_half_the_size_and_close(tmp_path: Path, encoder: str) -> None:
    model = made(encoder)
    save_model(model, tmp_path / "full", CARD)
    save_model(model, tmp_path / "half", CARD, half=True)
    loaded = load_model(tmp_path / "half")
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert 0 < (output(loaded) - output(model)).abs().max() < 1e-2
    sizes = [(tmp_path / name / "weights.safetensors").stat().st_size for name in ("half", "full")]
    assert sizes[0] < 0.6 * sizes[1]


def test_the_folder_describes_itself(saved: Path) -> None:
    assert {path.name for path in saved.iterdir()} == {"model.json", "vocabulary.json", "weights.safetensors"}
    assert read_card(saved) == CARD
    text = (saved / "model.json").read_text(encoding="utf-8")
    assert "ω" in text
    description = json.loads(text)
    assert description["features"]["preemphasis"] == 0.97
    assert {name: len(values) for name, values in description["feature_values"].items()} == {
        **dict.fromkeys(("first", "middle", "last"), 80),
        "means": 53,  # of 0.55 s: 1 + (8800 - 400) // 160
    }


def test_weights_can_be_read_without_this_package(saved: Path) -> None:
    weights = safetensors.torch.load_file(saved / "weights.safetensors")
    assert torch.equal(weights["head.weight"], made().head.weight)


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_model(made(), tmp_path / name, CARD)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_name_is_resolved_to_a_folder(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_source(saved).path == saved
    assert resolve_source(saved.parent).path == saved  # a finished run has it in 'model'
    assert resolve_source(resolve_source(saved)) == resolve_source(saved)
    for version in (1, 2, 10):
        save_model(made(), saved.parent / f"small-{version}", CARD)
    monkeypatch.setattr(sources, "SHIPPED", saved.parent)
    newest, older = resolve_source("small"), resolve_source("small-2")
    assert (newest.name, newest.path.name, newest.is_shipped) == ("small-10", "small-10", True)
    assert (older.name, older.path.name) == ("small-2", "small-2")
    with pytest.raises(
        InputError, match=r"english: no model there; .* shipped model: model, small-1, small-10, small-2"
    ):
        resolve_source("english")


def test_a_shipped_model_is_never_replaced(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_folders, "SHIPPED", saved.parent)
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    with pytest.raises(InputError, match="a shipped model is immutable"):
        save_model(made("cnn"), saved, CARD)
    assert before == {path.name: path.read_bytes() for path in saved.iterdir()}


# --- Replacing ----------------------------------------------------------------------------------------------------------


def test_an_older_model_is_replaced_whole(saved: Path) -> None:
    save_model(made("cnn"), saved, Card("newer"))
    assert read_card(saved).name == "newer"
    assert load_model(saved).architecture.encoder == "cnn"
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    save_model(made(), tmp_path / "model", CARD)
    assert load_model(tmp_path / "model").vocabulary == VOCABULARY


@pytest.mark.parametrize("name", ["thesis.txt", "model.json and photo.jpg", "a file"])
def test_files_that_belong_to_no_model_are_never_overwritten(tmp_path: Path, name: str) -> None:
    place = tmp_path / "place"
    if name == "a file":
        place.write_text("precious")
    else:
        place.mkdir()
        for part in name.split(" and "):
            (place / part).write_text("precious")
    with pytest.raises(InputError, match=r"place: has .*, which is no part of a model"):
        save_model(made(), place, CARD)
    kept = [place] if place.is_file() else list(place.iterdir())
    assert kept
    assert all(path.read_text() == "precious" for path in kept)
    assert list(tmp_path.iterdir()) == [place]


def test_a_failure_while_saving_keeps_the_older_model(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_is_full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", disk_is_full)
    with pytest.raises(InputError, match="no space left on the disk"):
        save_model(made("cnn"), saved, Card("newer"))
    assert read_card(saved).name == "mboshi"
    assert torch.equal(output(load_model(saved)), output(made()))
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_a_save_that_was_killed_between_its_renames_loses_no_model(saved: Path) -> None:
    saved.rename(saved.with_name("model.older"))  # what is on disk after the first of the two renames
    assert torch.equal(output(load_model(saved)), output(made()))
    saved.rename(saved.with_name("model.older"))
    assert read_card(saved.parent).name == "mboshi"  # also as the run's model
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_all_files_of_a_model_have_the_same_permissions(saved: Path) -> None:
    assert len({path.stat().st_mode for path in saved.iterdir()}) == 1


def test_a_copy_keeps_its_card(saved: Path, tmp_path: Path) -> None:
    copy_model(saved, tmp_path / "shipped", new_name="small", half=True)
    assert read_card(tmp_path / "shipped") == replace(CARD, name="small")
    assert (output(load_model(tmp_path / "shipped")) - output(load_model(saved))).abs().max() < 1e-2
    copy_model(saved, tmp_path / "again")
    for path in saved.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_the_card_of_a_shipped_copy_states_figures_and_limits(saved: Path, tmp_path: Path) -> None:
    row = dict(name="source", source="", train_hours=1.0, split="far", decoder="greedy", seeds=[1], steps=3, wer=12.34)
    row |= dict(wer_low=11.0, wer_high=13.0, cer=5.0, cer_low=4.0, cer_high=6.0, command="c", commit="d", date="e")
    row |= dict(source=Path(read_card(saved).parent).name, hardware="f", wall_s=1.0)
    of_another = row | dict(source="its grandparent", wer=99.0)
    (tmp_path / "results.json").write_text(json.dumps([of_another, row]))
    copy_model(saved, tmp_path / "shipped", results=str(tmp_path / "results.json"), limits="no tones")
    details = read_card(tmp_path / "shipped").details
    figure = "far: WER 12.3 % [11.0, 13.0], CER 5.0 % [4.0, 6.0] (source, greedy)"
    assert details == read_card(saved).details | {"figures": [figure], "limits": "no tones"}
    assert f"figures: {figure}" in describe(str(tmp_path / "shipped"))


def test_the_card_of_a_shipped_copy_states_phone_errors_of_its_own_measurement(saved: Path, tmp_path: Path) -> None:
    rate = dict(value=41.26, low=40.0, high=42.04)
    row = dict(sets=["a/dev"], speakers=3, utterances=9, phones=90, per=rate, pfer=rate, mean_per=rate, mean_pfer=rate)
    greek = row | dict(group="unseen language, test", language="el", name="Greek", resampling="utterances")
    dutch, german, both = (
        row | dict(group="trained speaker", language=code, name=name, resampling="utterances")
        for code, name in (("nl", "Dutch"), ("de", "German"), ("all", "all"))
    )
    own = dict(model=saved.name, weights="w", command="c", commit="d", date="e", hardware="f")
    own |= dict(rows=[greek, dutch, german, both])
    other = own | dict(model="other", rows=[greek])
    path = tmp_path / "phone_results.json"
    path.write_text(json.dumps([other, own]))
    copy_model(saved, tmp_path / "shipped", phone_results=str(path))
    assert read_card(tmp_path / "shipped").details["figures"] == [
        "unseen language, test (Greek, 3 speakers; greedy): PER 41.3 [40.0, 42.0] %, PFER 41.3 [40.0, 42.0] %",
        "trained speaker (2 languages, 3 speakers; greedy): PER 41.3 [40.0, 42.0] %, PFER 41.3 [40.0, 42.0] %",
    ]
    path.write_text(json.dumps([other]))
    with pytest.raises(InputError, match=f"has no errors of {saved.name}; run stage `evaluate`"):
        copy_model(saved, tmp_path / "again", phone_results=str(path))


# --- Refusing -----------------------------------------------------------------------------------------------------------


def refused(folder: Path, *parts: str) -> None:
    with pytest.raises(InputError) as caught:
        load_model(folder)
    for part in (str(folder), *parts):
        assert part in str(caught.value)


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated_weights_are_refused(saved: Path, keep: int) -> None:
    data = (saved / "weights.safetensors").read_bytes()
    (saved / "weights.safetensors").write_bytes(data[:keep])
    refused(saved, "weights.safetensors", "damaged")


@pytest.mark.parametrize("name", ["weights.safetensors", "vocabulary.json", "model.json"])
def test_a_missing_file_is_refused(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(InputError, match="no model there" if name == "model.json" else name.replace(".", r"\.")):
        load_model(saved)


def test_weights_that_do_not_fit_are_refused(saved: Path) -> None:
    weights = read_weights(saved / "weights.safetensors")
    for changed in (
        weights | {"head.weight": torch.zeros(9, 64)},
        weights | {"unexpected": torch.zeros(1)},
        {name: value for name, value in weights.items() if name != "head.bias"},
    ):
        safetensors.torch.save_file(changed, saved / "weights.safetensors")
        refused(saved, "does not fit its own architecture")


def test_a_vocabulary_of_another_size_is_refused(saved: Path) -> None:
    Vocabulary((BLANK, *"abc")).save(saved / "vocabulary.json")
    refused(saved, "does not fit its own architecture")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"name": "x"}', "\udcff"])
def test_a_damaged_description_is_refused(saved: Path, text: str) -> None:
    (saved / "model.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    refused(saved, "model.json", "copy the model again")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_format_is_refused(saved: Path, version: object) -> None:
    rewrite(saved, lambda description: description.update(format=version))
    refused(saved, f"format {version}", "upgrade speechxfer")


LARGE_EPSILON = replace(PRESETS["kaldi-mvn"], normalize_epsilon=0.5)
STATISTICS = (1.0,) * 80
FIXED = replace(PRESETS["kaldi"], normalize="fixed", band_mean=STATISTICS, band_scale=STATISTICS)
NOT_COMPUTED = {"name", "version", "precision"}  # two labels, and a difference within rounding
OTHER_VALUES: dict[
    str, tuple[FeatureSpec, Any]
] = {  # a spec in which the field matters, and a value that changes it a little
    "sample_rate_hz": (PRESETS["kaldi"], 15_900),
    "mels": (PRESETS["kaldi"], 79),
    "scale": (PRESETS["kaldi"], 1.01),
    "window_samples": (PRESETS["kaldi"], 399),
    "hop_samples": (PRESETS["kaldi"], 159),
    "fft_size": (PRESETS["whisper"], 401),
    "window": (PRESETS["whisper"], "hann_symmetric"),
    "framing": (PRESETS["nemo-2024"], "center_constant"),
    "drop_last_frame": (PRESETS["nemo-2025"], False),
    "remove_dc": (PRESETS["kaldi"], False),
    "preemphasis": (PRESETS["kaldi"], 0.96),
    "preemphasis_on": (PRESETS["nemo-2025"], "frame"),
    "power": (PRESETS["kaldi"], 1.99),
    "mel_scale": (PRESETS["whisper"], "htk"),
    "mel_norm": (PRESETS["whisper"], "none"),
    "low_hz": (PRESETS["kaldi"], 21.0),
    "high_hz": (PRESETS["icefall"], -395.0),
    "floor": (PRESETS["kaldi"], 1.3e-7),
    "floor_mode": (PRESETS["nemo-2025"], "clamp"),
    "log": (PRESETS["whisper"], "ln"),
    "dynamic_range": (PRESETS["whisper"], 7.5),
    "offset": (PRESETS["whisper"], 4.1),
    "gain": (PRESETS["whisper"], 0.26),
    "normalize": (PRESETS["kaldi-mvn"], "none"),
    "normalize_ddof": (PRESETS["seamless"], 0),
    "normalize_epsilon": (PRESETS["kaldi-mvn"], 0.1),
    "normalize_epsilon_on": (LARGE_EPSILON, "variance"),
    "band_mean": (FIXED, [1.0] * 79 + [1.1]),
    "band_scale": (FIXED, [1.0] * 79 + [1.1]),
    "stack": (PRESETS["seamless"], 1),
    "shortest_samples": (PRESETS["kaldi-mvn-78db-1.5s"], 23_900),
    "surround_db": (PRESETS["kaldi-mvn-78db-1.5s"], 31.0),
}


def test_every_field_of_the_features_is_tested() -> None:
    assert set(OTHER_VALUES) == {field.name for field in fields(FeatureSpec)} - NOT_COMPUTED


@pytest.mark.parametrize("field", OTHER_VALUES)
def test_features_that_are_computed_differently_are_refused(tmp_path: Path, field: str) -> None:
    spec, value = OTHER_VALUES[field]
    save_model(made(spec=spec), tmp_path / "model", CARD)
    assert load_model(tmp_path / "model").spec == spec
    rewrite(tmp_path / "model", lambda description: description["features"].update({field: value}))
    refused(tmp_path / "model", f"features {spec.name!r} version 1 differently")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_model_of_any_preset_is_loaded(tmp_path: Path, preset: str) -> None:
    save_model(made(spec=PRESETS[preset]), tmp_path / "model", CARD)
    assert load_model(tmp_path / "model").spec == PRESETS[preset]


@pytest.mark.parametrize("part", ["first", "middle", "last", "means"])
@pytest.mark.parametrize("change", [0.05, -5.0, float("nan")])
def test_a_fingerprint_of_other_features_is_refused(saved: Path, part: str, change: float) -> None:
    def changed(description: dict[str, Any]) -> None:
        description["feature_values"][part][17] += change

    rewrite(saved, changed)
    refused(saved, "differently")


@pytest.mark.parametrize("values", [{}, {"first": [1.0]}])
def test_a_fingerprint_with_parts_missing_is_refused(saved: Path, values: dict[str, list[float]]) -> None:
    rewrite(saved, lambda description: description.update(feature_values=values))
    refused(saved, "differently")


def test_a_fingerprint_of_another_machines_rounding_is_accepted(saved: Path) -> None:
    def changed(description: dict[str, Any]) -> None:
        description["feature_values"] = {
            part: [value + 0.002 for value in values] for part, values in description["feature_values"].items()
        }

    rewrite(saved, changed)
    assert load_model(saved).vocabulary == VOCABULARY


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("features", "warp", 1.0),
        ("features", "window", "kaiser"),
        ("features", "mels", "80"),
        ("architecture", "encoder", "rnn"),
        ("architecture", "heads", 4),
        ("normalizer", "version", 9),
        ("normalizer", "casing", "title"),
        ("", "task", "translate"),
        ("", "feature_values", None),
        ("", "feature_values", ["a"]),
        ("", "feature_values", {"first": ["a"], "middle": [], "last": [], "means": []}),
    ],
)
def test_a_setting_this_version_does_not_know_is_refused(saved: Path, section: str, field: str, value: object) -> None:
    rewrite(saved, lambda d: (d[section] if section else d).update({field: value}))
    with pytest.raises(InputError):
        load_model(saved)


@pytest.mark.parametrize("field", ["features", "architecture", "normalizer", "feature_values", "task"])
def test_a_missing_field_is_refused(saved: Path, field: str) -> None:
    rewrite(saved, lambda description: description.pop(field))
    refused(saved, "model.json", field)


class Attack:
    """Runs code when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_a_pickle_is_never_opened(saved: Path, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    pickle.loads(pickle.dumps(Attack(mark)))
    assert mark.exists()  # the attack works
    mark.unlink()
    torch.save({"head.weight": Attack(mark)}, saved / "pytorch_model.bin")
    assert load_model(saved).vocabulary == VOCABULARY  # other files are not opened
    for write in (
        lambda path: torch.save(Attack(mark), path),
        lambda path: path.write_bytes(pickle.dumps(Attack(mark))),
    ):
        write(saved / "weights.safetensors")
        refused(saved, "weights.safetensors", "damaged")
    (saved / "weights.safetensors").unlink()
    refused(saved, "weights.safetensors", "missing")
    assert not mark.exists()
