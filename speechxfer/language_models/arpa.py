"""ARPA files: the text format of n-gram models, in (also compressed with gzip) and out.

A file is untrusted: every count, number and word is checked, memory follows what is there and not what the header promises.

Source: the format as SRILM's ngram-format(5) describes it; as in KenLM, ``<UNK>`` means ``<unk>``, a model without it gives
unknown words 10^-100, n-grams whose suffixes were pruned are read, and those whose context is missing are refused.
"""

import gzip
import io
import math
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

import numpy as np

from speechxfer.errors import InputError
from speechxfer.language_models.tables import (
    BEGIN,
    END,
    MAX_NGRAMS,
    MAX_ORDER,
    MISSING_LOG10,
    SPECIAL,
    UNKNOWN,
    WORD_BOUNDARY,
    Floats,
    Ints,
    NgramTables,
    Unit,
    check_words,
    find_links,
    find_rows,
)
from speechxfer.runtime import atomic_file

LN10 = math.log(10)
BLOCK_BYTES = 1 << 22
LINES_AT_ONCE = 1 << 16
ROUNDING = 1e-5  # a log-probability of more than 0 by this much is a rounding error
_COUNT = re.compile(rb"ngram\s+(\d{1,2})\s*=\s*(\d{1,12})\s*")
FIX = "write the file again, or train one with `speechxfer lm train`"


def read_arpa(path: Path | str, unit: Unit | None = None) -> NgramTables:
    """Read an ARPA file, compressed or not.

    Args:
        path: the file; a name that ends in ``.gz`` means gzip.
        unit: what a word of the model is; None: "character" if all words are single characters and one of them is
            the word boundary ("▁", or "|" as in wav2letter), else "word".

    Raises:
        InputError: the file cannot be read, or is not what its header promises. The message names file and line.
    """
    path = Path(path)
    with _open(path) as stream:
        lines = _Lines(stream, path)
        counts = _read_counts(lines)
        words, keys, log_probs, backoffs = _read_words(lines, counts)
        links = np.zeros(1 + len(words), dtype=np.int32)
        for order in range(2, len(counts) + 1):
            new, probs, weights = _read_ngrams(lines, order, counts, words, keys)
            links = np.concatenate([links, find_links(keys, links, new, len(words))])
            keys, log_probs = np.concatenate([keys, new]), np.concatenate([log_probs, probs])
            backoffs = np.concatenate([backoffs, weights]) if order < len(counts) else backoffs
        _expect(lines, b"\\end\\")
    if len(counts) == 1:
        backoffs = backoffs[:1]
    found: Unit = unit or _guess_unit(words)
    names = tuple(WORD_BOUNDARY if word == "|" and _uses_bar(words, found) else word for word in words)
    sizes = (len(words), *counts[1:])
    return NgramTables(names, sizes, keys, log_probs, backoffs, links, found)


def _guess_unit(words: list[str]) -> Unit:
    rest = words[len(SPECIAL) :]
    is_character = all(len(word) == 1 for word in rest) and ("|" in rest or WORD_BOUNDARY in rest)
    return "character" if is_character else "word"


def _uses_bar(words: list[str], unit: Unit) -> bool:
    return unit == "character" and WORD_BOUNDARY not in words


class _Lines:
    """The lines of a file, many at a time; none may be longer than `BLOCK_BYTES`."""

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self.path, self.number = path, 0  # of the last line taken
        self._stream = stream
        self._lines: list[bytes] = []  # last one first
        self._rest = b""

    def take(self, most: int) -> list[bytes]:
        """At most so many lines; none at the end of the file."""
        if not self._lines:
            self._read_block()
        taken = self._lines[-most:][::-1]
        del self._lines[-most:]
        self.number += len(taken)
        return taken

    def fail(self, problem: str, number: int | None = None) -> NoReturn:
        """Raise an InputError that names the line taken last, or that of a number."""
        raise InputError(f"{self.path}:{number or self.number}: {problem}; {FIX}")

    def _read_block(self) -> None:
        try:
            block = self._stream.read(BLOCK_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{self.path}: cannot be read ({error}); {FIX}") from error
        *lines, rest = (self._rest + block).split(b"\n")
        if block and not lines:
            self.number += 1
            self.fail(f"a line of more than {BLOCK_BYTES:,} bytes")
        if not block and rest:
            lines, rest = [rest], b""
        self._lines, self._rest = lines[::-1], rest


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)  # a pipe or device may never end
        file = path.open("rb") if is_file else None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}); {FIX}") from error
    if file is None:
        raise InputError(f"{path}: is not a file; name an ARPA file")
    with file, gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file as stream:
        yield cast(BinaryIO, stream)


def _expect(lines: _Lines, wanted: bytes) -> None:
    """Go on to the line `wanted`, over blank ones."""
    while taken := lines.take(1):
        if taken[0].strip() == wanted:
            return
        if taken[0].strip():
            lines.fail(f"expected {wanted.decode()!r}, found {_shown(taken[0])}")
    lines.fail(f"the file ends before {wanted.decode()!r}")


def _read_counts(lines: _Lines) -> tuple[int, ...]:
    while taken := lines.take(1):
        if taken[0].strip() == b"\\data\\":
            break
    else:
        raise InputError(f"{lines.path}: no line '\\data\\', so it is not an ARPA file; {FIX}")
    counts: list[int] = []
    while taken := lines.take(1):
        if not taken[0].strip():
            break
        found = _COUNT.fullmatch(taken[0].strip())
        if not found or int(found[1]) != len(counts) + 1:
            lines.fail(f"expected 'ngram {len(counts) + 1}=...', found {_shown(taken[0])}")
        counts.append(int(found[2]))
    if not 1 <= len(counts) <= MAX_ORDER:
        lines.fail(f"a model of order {len(counts)}; expected orders 1 to {MAX_ORDER}")
    if sum(counts) > MAX_NGRAMS:
        lines.fail(f"{sum(counts):,} n-grams; expected at most {MAX_NGRAMS:,}")
    return tuple(counts)


def _read_section(lines: _Lines, order: int, counts: tuple[int, ...]) -> Iterator[tuple[list[bytes], Floats, Floats]]:
    """The n-grams of one order, in parts: words (one list, n-gram after n-gram), log-probabilities, backoff weights (natural)."""
    _expect(lines, f"\\{order}-grams:".encode())
    missing = counts[order - 1]
    while missing:
        first = lines.number + 1
        taken = lines.take(min(missing, LINES_AT_ONCE))
        if not taken:
            lines.fail(f"the file ends where {missing:,} n-grams of order {order} are missing")
        fields = [line.split() for line in taken]
        blank = fields.count([])
        lengths = set(map(len, fields))
        if not lengths <= {0, order + 1, order + 2}:
            wrong = next(i for i, field in enumerate(fields) if len(field) not in (0, order + 1, order + 2))
            lines.fail(f"expected an n-gram of order {order}, found {_shown(taken[wrong])}", first + wrong)
        numbered = [field if len(field) == order + 2 else [*field, b"0"] for field in fields if field]
        missing -= len(taken) - blank
        flat = list(chain.from_iterable(numbered))
        words = list(chain.from_iterable(field[1:-1] for field in numbered)) if order > 1 else flat[1::3]
        try:
            log_probs, backoffs = _floats(flat[:: order + 2]), _floats(flat[order + 1 :: order + 2])
            is_bad = ~(log_probs <= ROUNDING) | np.isinf(log_probs) | ~np.isfinite(backoffs)
            wrong = int(is_bad.argmax()) if is_bad.any() else -1
        except ValueError:
            wrong = next(i for i, field in enumerate(numbered) if not (_is_number(field[0]) and _is_number(field[-1])))
        if wrong >= 0:
            at = [i for i, field in enumerate(fields) if field][wrong]
            lines.fail(f"expected a log10 probability of at most 0 and a weight, found {_shown(taken[at])}", first + at)
        yield words, (np.minimum(log_probs, 0) * LN10).astype(np.float32), (backoffs * LN10).astype(np.float32)


def _floats(fields: list[bytes]) -> np.ndarray:
    return np.fromiter(map(float, fields), dtype=np.float64, count=len(fields))


def _is_number(field: bytes) -> bool:
    try:
        return math.isfinite(float(field))
    except ValueError:
        return False


def _read_words(lines: _Lines, counts: tuple[int, ...]) -> tuple[list[str], Ints, Floats, Floats]:
    """The vocabulary, `SPECIAL` first, with the rows of order 1 (and row 0): keys, log-probabilities and backoff weights."""
    parts = list(_read_section(lines, 1, counts))
    raw = list(chain.from_iterable(part[0] for part in parts))
    try:
        names = [word.decode("utf-8") for word in raw]
    except UnicodeDecodeError as error:
        raise InputError(f"{lines.path}: the word {error.object!r} is not UTF-8; {FIX}") from error
    if UNKNOWN not in names:
        names = [UNKNOWN if name == "<UNK>" else name for name in names]
    log_probs = np.concatenate([part[1] for part in parts]) if parts else np.zeros(0, np.float32)
    backoffs = np.concatenate([part[2] for part in parts]) if parts else np.zeros(0, np.float32)
    if UNKNOWN not in names:
        names.append(UNKNOWN)
        log_probs = np.append(log_probs, np.float32(MISSING_LOG10 * LN10))
        backoffs = np.append(backoffs, np.float32(0))
    check_words(names, str(lines.path))
    for word in (BEGIN, END):
        if word not in names:
            raise InputError(f"{lines.path}: the word {word!r} is missing among the 1-grams; {FIX}")
    first = [names.index(word) for word in SPECIAL]
    places = np.array(first + [i for i in range(len(names)) if i not in first])
    keys = np.arange(-1, len(names), dtype=np.int64)
    zero = np.zeros(1, dtype=np.float32)
    return (
        [names[i] for i in places],
        keys,
        np.concatenate([zero, log_probs[places]]),
        np.concatenate([zero, backoffs[places]]),
    )


def _read_ngrams(
    lines: _Lines, order: int, counts: tuple[int, ...], words: list[str], keys: Ints
) -> tuple[Ints, Floats, Floats]:
    """Keys (ascending), log-probabilities and backoff weights of one order above 1; `keys`: of all lower orders."""
    ids = {word.encode(): i for i, word in enumerate(words)}
    ids.setdefault(b"<UNK>", ids[UNKNOWN.encode()])
    new, log_probs, backoffs = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
    for names, probs, weights in _read_section(lines, order, counts):
        found = np.fromiter(map(ids.get, names, repeat(-1)), dtype=np.int64, count=len(names)).reshape(-1, order)
        if (found < 0).any():
            raise InputError(
                f"{lines.path}: {names[int((found.ravel() < 0).argmax())]!r} is not among the 1-grams; {FIX}"
            )
        context = 1 + found[:, 0]
        for place in range(1, order - 1):
            context = find_rows(keys, context * len(words) + found[:, place])
            _refuse_missing(context < 0, names, order, lines.path)
        new.append(context * len(words) + found[:, -1])
        log_probs.append(probs)
        backoffs.append(weights)
    joined, weights = np.concatenate(new), np.concatenate(backoffs)
    places = np.argsort(joined, kind="stable")
    joined = joined[places]
    if (joined[1:] == joined[:-1]).any():
        word = words[int(joined[1:][joined[1:] == joined[:-1]][0] % len(words))]
        raise InputError(f"{lines.path}: an n-gram of order {order} that ends in {word!r} occurs twice; {FIX}")
    if order == len(counts) and weights.any():
        raise InputError(f"{lines.path}: an n-gram of the highest order, {order}, has a backoff weight; {FIX}")
    return joined, np.concatenate(log_probs)[places], weights[places]


def _refuse_missing(is_missing: np.ndarray, names: list[bytes], order: int, path: Path) -> None:
    if is_missing.any():
        first = int(is_missing.argmax()) * order
        ngram = b" ".join(names[first : first + order]).decode("utf-8", "replace")
        raise InputError(
            f"{path}: the n-gram {ngram!r} is there, but its context (without its last word) is not; {FIX}"
        )


def _shown(line: bytes) -> str:
    return repr(line[:80].decode("utf-8", "replace"))


def write_arpa(tables: NgramTables, path: Path | str) -> None:
    """Write an ARPA file, compressed if its name ends in ``.gz``; the same model gives the same bytes.

    Raises:
        InputError: the place cannot be written.
    """
    path = Path(path)
    with atomic_file(path) as partial, partial.open("wb") as file:
        if path.suffix == ".gz":
            with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as stream:
                _write(tables, io.BufferedWriter(cast(io.RawIOBase, stream), BLOCK_BYTES))
        else:
            _write(tables, io.BufferedWriter(cast(io.RawIOBase, file), BLOCK_BYTES))


def _write(tables: NgramTables, stream: io.BufferedWriter) -> None:
    counts = "".join(f"ngram {order}={count}\n" for order, count in enumerate(tables.counts, start=1))
    stream.write(f"\\data\\\n{counts}".encode())
    words = np.array(tables.words, dtype=object)
    for order in range(1, tables.order + 1):
        stream.write(f"\n\\{order}-grams:\n".encode())
        rows = tables.rows_of(order)
        for first in range(rows.start, rows.stop, LINES_AT_ONCE):
            part = np.arange(first, min(first + LINES_AT_ONCE, rows.stop))
            stream.write("".join(_format(tables, part, order, words)).encode())
    stream.write(b"\n\\end\\\n")
    stream.flush()
    stream.detach()


def _format(tables: NgramTables, rows: Ints, order: int, words: np.ndarray) -> list[str]:
    """The lines of some n-grams of one order."""
    columns, above = [], rows
    for _ in range(order):
        above, last = np.divmod(tables.keys[above], len(words))
        columns.append(words[last].tolist())
    ngrams = map(" ".join, zip(*columns[::-1], strict=True))
    log_probs = (tables.log_probs[rows] / LN10).tolist()
    if order == tables.order:
        return [f"{log_prob:.7g}\t{ngram}\n" for log_prob, ngram in zip(log_probs, ngrams, strict=True)]
    weights = (tables.backoffs[rows] / LN10).tolist()
    return [f"{p:.7g}\t{ngram}\t{weight:.7g}\n" for p, ngram, weight in zip(log_probs, ngrams, weights, strict=True)]
