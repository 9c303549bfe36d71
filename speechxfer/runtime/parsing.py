"""Readers of untrusted JSON, TOML and YAML: what is ambiguous or would exhaust memory or time is refused.

Bounded are the size of a file, the depth of nesting (`MAX_DEPTH`), the digits of a whole number (`MAX_DIGITS`) and, in YAML, the
size after all aliases are expanded. Refused are keys that occur twice and halves of surrogate pairs, which no file in UTF-8 can
hold. Every refusal is one `InputError` that names the file, what is wrong and how to fix it; no content is ever executed.
"""

import codecs
import json
import os
import re
import stat
from collections import Counter
from pathlib import Path
from typing import Any

from speechxfer.errors import InputError
from speechxfer.runtime.extras import import_extra

MAX_BYTES = 256 << 20  # a score report of 100,000 utterances has about 100 MB
MAX_SETTINGS_BYTES = 1 << 20
MAX_YAML_BYTES = 4 << 20
MAX_YAML_NODES = 1_000_000
MAX_DEPTH = 64
MAX_DIGITS = 19  # 2 ** 63 has as many
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def read_bytes(path: Path | str, *, fix: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Content of a regular file of at most `max_bytes`.

    Args:
        path: the file; pipes and devices, which may never end, are refused.
        fix: what to do about a file that cannot be read; ends the message.
        max_bytes: bound on the size.

    Raises:
        InputError: the file is missing, unreadable, not a regular file or too large.
    """
    check_file(path, fix=fix, max_bytes=max_bytes)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); {fix}") from error


def check_file(path: Path | str, *, fix: str, max_bytes: int = MAX_BYTES) -> None:
    """InputError unless the path is a regular file of at most `max_bytes` that can be opened; arguments as `read_bytes`."""
    try:
        status = os.stat(path)
        is_file = stat.S_ISREG(status.st_mode)
        if is_file:
            open(path, "rb").close()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}); {fix}") from error
    if not is_file:
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
        raise InputError(f"{path}: is {kind}, not a file; {fix}")
    if status.st_size > max_bytes:
        raise InputError(f"{path}: has {status.st_size:,} bytes; expected at most {max_bytes:,}; {fix}")


def read_text(path: Path | str, *, fix: str, max_bytes: int = MAX_BYTES) -> str:
    """Text of a UTF-8 file, without a byte-order mark; arguments and errors as `read_bytes`."""
    return _decode(read_bytes(path, fix=fix, max_bytes=max_bytes), str(path), fix)


def read_json(path: Path | str, *, fix: str, max_bytes: int = MAX_BYTES) -> Any:
    """Value of a JSON file; arguments and errors as `read_bytes` and `parse_json`."""
    return parse_json(read_bytes(path, fix=fix, max_bytes=max_bytes), str(path), fix=fix)


def parse_json(text: str | bytes, where: str, *, fix: str) -> Any:
    """Value of a JSON text, such as one line of a JSON Lines file; `where` (``file`` or ``file:line``) opens the error.

    Raises:
        InputError: not UTF-8, not JSON, nested deeper than `MAX_DEPTH`, a whole number of more than `MAX_DIGITS` digits, a key
            twice in one object, or half a surrogate pair.
    """
    text = _decode(text, where, fix) if isinstance(text, bytes) else text
    try:
        value = _decoder.decode(text)
    except RecursionError as error:
        raise InputError(f"{where}: nested deeper than {MAX_DEPTH} levels; {fix}") from error
    except ValueError as error:
        raise InputError(f"{where}: not JSON ({error}); {fix}") from error
    if "\\u" in text or text.count("[") + text.count("{") >= MAX_DEPTH:
        _check_values(value, where, fix)
    return value


def read_toml(path: Path | str, *, fix: str, max_bytes: int = MAX_SETTINGS_BYTES) -> dict[str, Any]:
    """Tables of a TOML file.

    Raises:
        InputError: as `read_bytes`; not UTF-8, not TOML, too deep, or a number of too many digits.
    """
    return parse_toml(read_text(path, fix=fix, max_bytes=max_bytes), str(path), fix=fix)


def parse_toml(text: str, where: str, *, fix: str) -> dict[str, Any]:
    """Tables of a TOML text; `where` opens the error."""
    import tomllib

    try:
        tables = tomllib.loads(text)
    except RecursionError as error:
        raise InputError(f"{where}: nested deeper than {MAX_DEPTH} levels; {fix}") from error
    except ValueError as error:  # TOMLDecodeError, or a number beyond Python's limit
        raise InputError(f"{where}: not TOML: {error}; {fix}") from error
    _check_values(tables, where, fix)
    return tables


def parse_yaml(content: bytes | str, where: str, *, fix: str) -> Any:
    """Value of a YAML document of plain types; tags that name code are refused.

    Raises:
        InputError: PyYAML is missing (extra ``hf``); too large, not YAML, too deep, aliases that expand to more than
            `MAX_YAML_NODES` values, a key twice, a number of too many digits, or half a surrogate pair.
    """
    yaml = import_extra("yaml", "hf", f"{where}: YAML")
    if len(content) > MAX_YAML_BYTES:
        raise InputError(f"{where}: has {len(content):,} bytes; expected at most {MAX_YAML_BYTES:,}; {fix}")
    text = _decode(content, where, fix) if isinstance(content, bytes) else content
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_node(node, where, fix, {}, 1)
        value = loader.construct_document(node)
    except RecursionError as error:
        raise InputError(f"{where}: nested deeper than {MAX_DEPTH} levels; {fix}") from error
    except InputError:
        raise
    except (yaml.YAMLError, ValueError) as error:  # ValueError: such as a date that does not exist
        raise InputError(f"{where}: not YAML ({error}); {fix}") from error
    _check_values(value, where, fix)
    return value


def _decode(content: bytes, where: str, fix: str) -> str:
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 at byte {error.start}; {fix}") from error


def _bounded_int(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"a whole number of {len(digits):,} digits")
    return int(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError(f"key {_most_frequent([key for key, _ in pairs])!r} occurs twice")
    return value


_decoder = json.JSONDecoder(parse_int=_bounded_int, object_pairs_hook=_object)


def _most_frequent(names: list[str]) -> str:
    return Counter(names).most_common(1)[0][0]


def _check_values(value: Any, where: str, fix: str) -> None:
    """Refuse depth, digits and surrogates in nested lists and dictionaries; level by level, so that depth cannot exhaust it."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item.keys()
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str) and _SURROGATE.search(item):
                raise InputError(
                    f"{where}: half a surrogate pair in {item[:40]!a}; write the character in UTF-8; {fix}"
                )
            elif isinstance(item, int) and abs(item) >= 10**MAX_DIGITS:
                raise InputError(f"{where}: a whole number of more than {MAX_DIGITS} digits; {fix}")
        if not below:
            return
        level = below
    raise InputError(f"{where}: nested deeper than {MAX_DEPTH} levels; {fix}")


def _check_node(node: Any, where: str, fix: str, sizes: dict[int, int], depth: int) -> int:
    """Number of values that a YAML node expands to; refuses what `parse_yaml` names. `sizes`: of nodes counted before."""
    if depth > MAX_DEPTH:
        raise InputError(f"{where}: nested deeper than {MAX_DEPTH} levels; {fix}")
    if id(node) in sizes:
        if sizes[id(node)] == 0:
            raise InputError(f"{where}: an alias within its own anchor, line {node.start_mark.line + 1}; {fix}")
        return sizes[id(node)]
    sizes[id(node)] = 0  # while its children are counted
    size = 1
    if isinstance(node.value, str):
        if node.tag == "tag:yaml.org,2002:int" and len(node.value) > MAX_DIGITS + 1:
            raise InputError(f"{where}: a whole number of {len(node.value):,} digits; {fix}")
    elif node.id == "mapping":
        names = [key.value for key, _ in node.value if isinstance(key.value, str)]
        if len(set(names)) < len(names):
            twice = f"key {_most_frequent(names)!r} occurs twice, line {node.start_mark.line + 1}"
            raise InputError(f"{where}: {twice}; {fix}")
        size += sum(_check_node(part, where, fix, sizes, depth + 1) for pair in node.value for part in pair)
    else:
        size += sum(_check_node(part, where, fix, sizes, depth + 1) for part in node.value)
    if size > MAX_YAML_NODES:
        raise InputError(f"{where}: aliases that expand to more than {MAX_YAML_NODES:,} values; {fix}")
    sizes[id(node)] = size
    return size
