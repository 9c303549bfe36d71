"""Settings: defaults as documented, strictness, suggestions, overrides; expected values are written out by hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from speechxfer.config.loading import (
    SECTIONS,
    change_settings,
    load_config,
    parse_config,
    settings_from_scratch,
)
from speechxfer.config.settings import Config, FinetuneConfig
from speechxfer.errors import InputError

DEFAULTS = {
    "data": {
        "resample": False,
        "mono": False,
        "cache_dir": None,
        "max_duration_s": 30.0,
        "unknown_symbols": "error",
        "repeats": [],
    },
    "text": {
        "task": "ctc",
        "vocabulary": "characters",
        "form": "NFC",
        "lowercase": True,
        "punctuation": "strip",
        "bpe_size": 500,
        "letters": None,
    },
    "model": {
        "encoder": "conformer",
        "size": "small",
        "subsampling": 4,
        "features": "kaldi-mvn-78db-1.5s",
        "dropout": 0.1,
    },
    "transfer": {"head": "symbols", "symbol_map": None, "lora_rank": 0, "adapter_dim": 0, "extra_layers": 0},
    "finetune": {
        "seed": 1,
        "steps": None,
        "batch_s": None,
        "optimizer": "adamw",
        "encoder_lr": None,
        "head_lr": None,
        "layer_decay": 1.0,
        "warmup_steps": None,
        "weight_decay": 0.01,
        "freeze": "none",
        "unfreeze_every_steps": 0,
        "batch_norm": "train",
        "l2_sp": 0.0,
        "distillation": 0.0,
        "replay": 0.0,
        "source_manifests": [],
        "evaluate_every_steps": None,
        "patience": 0,
        "select_by": "wer",
        "average_best": 5,
        "precision": "auto",
        "gradient_checkpointing": False,
        "speed_factors": [0.9, 1.0, 1.1],
        "distortion": 0.0,
        "spec_augment": 1.0,
        "augment_warmup_steps": 0,
        "intermediate_ctc": None,
    },
}


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def message(path: Path | None, *overrides: str) -> str:
    """The one line a person sees."""
    with pytest.raises(InputError) as caught:
        load_config(path, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_a_file_the_settings_are_the_documented_defaults() -> None:
    assert load_config(None).model_dump(mode="json") == DEFAULTS


def test_file_then_overrides_the_last_wins(tmp_path: Path) -> None:
    path = write(tmp_path, "[finetune]\nsteps = 300\nbatch_s = 60\nseed = 4\n[transfer]\nhead = 'random'\n")
    config = load_config(path, ["finetune.steps=40", "finetune.seed = 7", "finetune.steps=50"])
    assert (config.finetune.steps, config.finetune.seed, config.finetune.batch_s) == (50, 7, 60.0)
    assert config.transfer.head == "random"
    assert config.model.encoder == "conformer"


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("finetune.freeze=encoder", "finetune", "freeze", "encoder"),
        ('finetune.freeze="encoder"', "finetune", "freeze", "encoder"),
        ("finetune.freeze=0", "finetune", "freeze", 0),
        ("data.resample=true", "data", "resample", True),
        ("data.cache_dir=/scratch/a=b", "data", "cache_dir", "/scratch/a=b"),
        ("data.cache_dir=2024-01-01", "data", "cache_dir", "2024-01-01"),
        ("finetune.l2_sp=0.5", "finetune", "l2_sp", 0.5),
        ("finetune.speed_factors=[1.0]", "finetune", "speed_factors", (1.0,)),
        ("finetune.encoder_lr=1e-4", "finetune", "encoder_lr", 0.0001),
        ("finetune.batch_s=8", "finetune", "batch_s", 8.0),
    ],
)
def test_override_values_are_toml_and_otherwise_text(override: str, section: str, key: str, value: object) -> None:
    found = getattr(getattr(load_config(None, [override]), section), key)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("key", "value"), [("finetune.steps", 40), ("finetune.freeze", "encoder"), ("data.cache_dir", "cache")]
)
def test_an_empty_override_resets_a_setting_to_its_default(tmp_path: Path, key: str, value: object) -> None:
    section, _, name = key.partition(".")
    path = write(tmp_path, f"[{section}]\n{name} = {json.dumps(value)}\n")
    assert getattr(getattr(load_config(path), section), name) == value
    assert load_config(path, [f"{key}="]) == Config()
    assert load_config(path, [f"{key}={value}", f"{key} = "]) == Config()
    assert load_config(path, [f"{key}=", f"{key}={value}"]) == load_config(path)


def test_an_override_cannot_contain_a_second_setting() -> None:
    config = load_config(None, ["data.cache_dir=1\nresample=true"])
    assert config.data.cache_dir == "1\nresample=true"
    assert config.data.resample is False


def test_unknown_key_names_file_key_and_the_near_one(tmp_path: Path) -> None:
    text = message(write(tmp_path, "[finetune]\nstepz = 3\n"))
    assert text.endswith("recipe.toml: unknown setting 'finetune.stepz'; did you mean finetune.steps?")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("fintune.steps=3", "unknown setting 'fintune'; did you mean finetune?"),
        ("transfer.steps=3", "unknown setting 'transfer.steps'; it belongs to another section: write finetune.steps"),
        ("data.zzz=3", "[data] has resample, mono, cache_dir, max_duration_s, unknown_symbols, repeats"),
        ("finetune.steps.more=3", "unknown setting 'finetune.steps.more'"),
        ("finetune.steps", "expected section.key=value"),
        ("steps=3", "expected section.key=value"),
        ("finetune.=3", "expected section.key=value"),
        ("finetune.stepz=", "unknown setting 'finetune.stepz'; did you mean finetune.steps?"),
        ("transfer.l2_sp=0", "it belongs to another section: write finetune.l2_sp"),
    ],
)
def test_bad_override_is_named_and_explained(override: str, expected: str) -> None:
    text = message(None, override)
    assert text.startswith(f"--set {override}: ")
    assert expected in text


def test_keys_outside_any_section_are_explained(tmp_path: Path) -> None:
    assert "unknown setting 'steps'; it belongs to another section: write finetune.steps" in message(
        write(tmp_path, "steps = 3\n")
    )
    assert "'finetune' must be a table; write its settings under [finetune]" in message(
        write(tmp_path, "finetune = 3\n")
    )
    assert "'finetune' is not a table" in message(write(tmp_path, "finetune = 3\n"), "finetune.steps=3")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "finetune.steps=abc",
            'finetune.steps = "abc" is not allowed: expected a whole number (number of updates; not set:',
        ),
        ("finetune.steps=1.5", "finetune.steps = 1.5 is not allowed: expected a whole number"),
        ("finetune.steps=true", "finetune.steps = true is not allowed: expected a whole number"),
        ("finetune.steps=-1", "expected greater than or equal to 1"),
        ("finetune.steps=0", "expected greater than or equal to 1"),
        ("finetune.batch_s=nan", "expected a finite number"),
        ("finetune.batch_s=inf", "expected a finite number"),
        ("finetune.batch_s=-1", "expected greater than 0"),
        ("finetune.speed_factors=1.0", "expected a list in brackets"),
        ("finetune.speed_factors=[9.0]", "expected less than or equal to 2"),
        ("finetune.speed_factors=[9.0, 9.0]", "expected less than or equal to 2 (speed"),
        ("data.resample=1", "expected true or false"),
        ("data.cache_dir=5", "expected a text in quotes"),
        ('data.cache_dir=""', "should have at least 1 character"),
        ("finetune.intermediate_ctc=-1.0", "expected greater than or equal to 0"),
        ("finetune.freeze=-1", "expected 'none' or 'encoder' or greater than or equal to 0"),
        ("finetune.freeze=all", "expected 'none' or 'encoder' or a whole number"),
        ("finetune.freeze=true", "expected 'none' or 'encoder' or a whole number"),
        ("model.subsampling=2", "expected 1, 4 or 8"),
        ("text.form=NFKC", "expected 'NFC' or 'NFD'"),
        ("text.bpe_size=1000000000000", "expected less than or equal to 100000"),
        ("data.repeats=[1, 1000000000]", "expected less than or equal to 1000"),
    ],
)
def test_wrong_type_or_range_is_refused_in_one_line(override: str, expected: str) -> None:
    assert expected in message(None, override)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["model.encoder=dnn"], "set model.subsampling to 1"),
        (["model.subsampling=1"], "set model.subsampling to 4 or 8"),
        (["text.task=classify"], 'set text.vocabulary = "words"'),
        (["transfer.head=random", "transfer.symbol_map=map.tsv"], "would ignore transfer.symbol_map"),
        (["finetune.steps=10", "finetune.warmup_steps=10"], "leaves none of finetune.steps = 10"),
        (["finetune.steps=10", "finetune.evaluate_every_steps=11"], "is more than finetune.steps = 10"),
        (["finetune.encoder_lr=0", "finetune.head_lr=0"], "nothing is trained"),
        (["finetune.speed_factors=[]"], "set [1.0]"),
        (
            ["finetune.freeze=encoder", "finetune.distillation=1.0"],
            "leaves nothing for finetune.distillation to regularise",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(overrides: list[str], expected: str) -> None:
    assert expected in message(None, *overrides)


def test_several_faults_are_all_reported(tmp_path: Path) -> None:
    text = message(write(tmp_path, "[finetune]\nstepz = 3\nseed = -1\n[data]\nmono = 2\n"))
    assert all(part in text for part in ("finetune.stepz", "finetune.seed = -1", "data.mono = 2"))


def test_unreadable_files_are_input_errors(tmp_path: Path) -> None:
    assert "No such file" in message(tmp_path / "absent.toml")
    assert "not TOML" in message(write(tmp_path, "[finetune\n"))
    path = tmp_path / "latin.toml"
    path.write_bytes("# caf\xe9\n".encode("latin-1"))
    assert "not UTF-8 at byte 5" in message(path)


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 5000, "9" * 400, "-" + "9" * 30])
def test_absurd_values_end_in_one_short_error(tmp_path: Path, value: str) -> None:
    assert len(message(None, f"finetune.steps={value}").removeprefix(f"--set finetune.steps={value}")) < 400
    assert str(tmp_path) in message(write(tmp_path, f"[finetune]\nsteps = {value}\n"))


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbf[finetune]\r\nsteps = 12\r\n")
    assert load_config(path).finetune.steps == 12


def test_settings_are_frozen_and_survive_json() -> None:
    config = load_config(None, ["finetune.speed_factors=[1.0]", "finetune.freeze=3", "model.subsampling=8"])
    assert parse_config(json.loads(json.dumps(config.model_dump(mode="json")))) == config
    with pytest.raises(ValidationError):
        config.finetune.steps = 3  # type: ignore[misc]


def test_python_users_get_the_same_checks() -> None:
    assert FinetuneConfig(steps=5).steps == 5
    with pytest.raises(ValidationError, match="stepz"):
        FinetuneConfig(stepz=5)  # type: ignore[call-arg]


def test_at_most_fifty_settings() -> None:
    assert sum(len(section.model_fields) for section in SECTIONS.values()) <= 50


def test_changed_settings_are_validated() -> None:
    config = change_settings(Config(), "finetune", steps=7, seed=3)
    assert (config.finetune.steps, config.finetune.seed) == (7, 3)
    assert change_settings(config, "finetune", steps=None, seed=1) == Config()
    with pytest.raises(InputError, match=r"finetune\.steps = 0 is not allowed"):
        change_settings(config, "finetune", steps=0)
    with pytest.raises(InputError, match=r"leaves none of finetune\.steps = 7"):
        change_settings(config, "finetune", warmup_steps=7)
    with pytest.raises(InputError, match=r"unknown setting 'finetune\.stepz'"):
        change_settings(config, "finetune", stepz=7)


def test_settings_from_scratch_keep_only_what_needs_no_source() -> None:
    config = load_config(
        None,
        ["transfer.adapter_dim=4", "finetune.freeze=2", "finetune.l2_sp=0.1", "finetune.steps=9", "model.size=tiny"],
    )
    assert settings_from_scratch(config) == load_config(None, ["finetune.steps=9", "model.size=tiny"])


def test_every_setting_says_what_it_is() -> None:
    assert list(SECTIONS) == list(Config.model_fields)
    settings = {f"{section}.{name}": f for section, m in SECTIONS.items() for name, f in m.model_fields.items()}
    assert len(settings) > 40
    assert [name for name, field in settings.items() if not field.description] == []


def test_importing_settings_does_not_import_torch() -> None:
    code = "import sys, speechxfer.config; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
