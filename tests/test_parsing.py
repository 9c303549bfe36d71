"""Files from outside: whatever they hold, reading them ends soon, with a value or with one error that names the file."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from speechxfer.errors import InputError
from speechxfer.runtime import read_bytes, read_json, read_toml
from speechxfer.runtime.parsing import MAX_YAML_BYTES, parse_json, parse_toml, parse_yaml
from tests.pipes import unread_pipe

FIX = "copy it again"
LIMIT_S = 20.0  # far above the milliseconds that a refusal takes, far below what an attack asks for

BILLION = 'a: &a ["x","x","x","x","x","x","x","x","x"]\n' + "".join(
    f"{name}: &{name} [{','.join(['*' + last] * 9)}]\n" for last, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {k: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{','.join(['*' + last] * 9)}], {name}: 1}}\n"
    for last, name in zip("abcdefgh", "bcdefghi", strict=True)
)
CHAIN = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 500))


def read_yaml(path: Path, *, fix: str, max_bytes: int = MAX_YAML_BYTES) -> Any:
    return parse_yaml(read_bytes(path, fix=fix, max_bytes=max_bytes), str(path), fix=fix)


ATTACKS = [
    (read_json, "[" * 100_000 + "]" * 100_000, "deeper than 64"),
    (read_json, '{"a":' * 500 + "1" + "}" * 500, "deeper than 64"),
    (read_json, '{"a": ' + "9" * 4000 + "}", "whole number"),
    (read_json, '{"a": -' + "9" * 100_000 + "}", "whole number"),
    (read_json, '{"a": "\\ud800"}', "surrogate"),
    (read_json, '{"\\udc00": 1}', "surrogate"),
    (read_json, '{"a": 1, "b": 2, "a": 3}', "'a' occurs twice"),
    (read_json, "{'a': 1}", "not JSON"),
    (read_json, "", "not JSON"),
    (read_toml, "a = " + "[" * 100_000 + "]" * 100_000, "deeper than 64"),
    (read_toml, "a" + ".a" * 5_000 + " = 1", "deeper than 64"),
    (read_toml, "a = " + "9" * 4000, "whole number"),
    (read_toml, "a = " + "9" * 100_000, "digits"),
    (read_toml, 'a = "\\ud800"', "not TOML"),
    (read_toml, "a = 1\na = 2", "not TOML"),
    (read_yaml, "[" * 50_000 + "]" * 50_000, "deeper than 64"),
    (read_yaml, CHAIN, "deeper than 64"),
    (read_yaml, BILLION, "aliases that expand"),
    (read_yaml, MERGES, "aliases that expand"),
    (read_yaml, "a: &a [*a]", "an alias within its own anchor"),
    (read_yaml, "a: " + "9" * 4000, "whole number"),
    (read_yaml, "a: " + ":".join(["59"] * 4000), "whole number"),
    (read_yaml, 'a: "\\ud800"', "surrogate"),
    (read_yaml, "a: 1\na: 2", "'a' occurs twice"),
    (read_yaml, "a: 2001-99-99", "not YAML"),
    (read_yaml, "a: [", "not YAML"),
    (read_yaml, "a: !!python/object/apply:os.system ['touch hacked']", "not YAML"),
    (read_yaml, "a: !!python/name:os.system", "not YAML"),
    (read_yaml, "[1]: 2\n? {a: b}\n: 3", "not YAML"),
]


@pytest.mark.parametrize(("read", "text", "message"), ATTACKS, ids=[f"{i}-{a[2]}" for i, a in enumerate(ATTACKS)])
def test_attacks_end_in_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[..., Any], text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config"
    path.write_text(text)
    started = time.monotonic()
    with pytest.raises(InputError, match=message) as caught:
        read(path, fix=FIX)
    assert time.monotonic() - started < LIMIT_S
    assert str(caught.value).startswith(f"{path}: ") and str(caught.value).endswith(FIX)
    assert len(str(caught.value)) < 1000
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("read", [read_json, read_toml, read_yaml])
def test_what_is_no_file_of_text_is_refused(tmp_path: Path, read: Callable[..., Any]) -> None:
    (tmp_path / "latin").write_bytes(b'a = "\xe9"')
    (tmp_path / "large").write_bytes(b" " * 101)
    with pytest.raises(InputError, match=r"gone: cannot be read \(No such file or directory\); copy it again"):
        read(tmp_path / "gone", fix=FIX)
    with pytest.raises(InputError, match="is a folder, not a file"):
        read(tmp_path, fix=FIX)
    with unread_pipe(tmp_path / "pipe") as pipe, pytest.raises(InputError, match="is a pipe or device"):
        read(pipe, fix=FIX)
    with pytest.raises(InputError, match="not UTF-8 at byte 5"):
        read(tmp_path / "latin", fix=FIX)
    with pytest.raises(InputError, match="has 101 bytes; expected at most 100"):
        read(tmp_path / "large", fix=FIX, max_bytes=100)
    with pytest.raises(InputError, match="null byte"):
        read(Path("a\0b"), fix=FIX)


def test_ordinary_values_are_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b'\xef\xbb\xbf{"a": [1, -2.5, 9223372036854775807, true, null, "\\ud83d\\ude00 \xc5\x8b"]}')
    assert read_json(path, fix=FIX) == {"a": [1, -2.5, 2**63 - 1, True, None, "😀 ŋ"]}
    path.write_text("[finetune]\nsteps = 5\nspeeds = [0.9, 1.0]\n")
    assert read_toml(path, fix=FIX) == {"finetune": {"steps": 5, "speeds": [0.9, 1.0]}}
    path.write_text("shared: &s {x: 1}\nencoder: {<<: *s, layers: 4}\nlabels: [' ', a]\nnothing:\n")
    assert read_yaml(path, fix=FIX) == {
        "shared": {"x": 1},
        "encoder": {"x": 1, "layers": 4},
        "labels": [" ", "a"],
        "nothing": None,
    }
    path.write_text("")
    assert read_yaml(path, fix=FIX) is None


def test_depth_is_counted_alike(tmp_path: Path) -> None:
    """63 lists around a value are 64 levels; one more is refused in each format."""
    for depth, accepted in ((63, True), (64, False)):
        nested = "[" * depth + "1" + "]" * depth
        for parse, text in ((parse_json, nested), (parse_yaml, nested), (parse_toml, f"a={nested[1:-1]}")):
            if accepted:
                assert parse(text, "here", fix=FIX)
            else:
                with pytest.raises(InputError, match="here: nested deeper"):
                    parse(text, "here", fix=FIX)


def test_a_large_yaml_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(InputError, match=f"expected at most {MAX_YAML_BYTES:,}"):
        parse_yaml(b"#" * (MAX_YAML_BYTES + 1), "here", fix=FIX)
