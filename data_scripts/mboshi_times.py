"""Reference times for Mboshi's official dev: the forced alignments that the corpus's authors publish.

    python -m data_scripts.mboshi_times mboshi-french-parallel-corpus data/mboshi

They are no human annotation. The corpus's README calls them "a silver standard rather than a gold standard", "imperfect forced
alignments obtained from a small corpus"; frames are 10 ms, and a unit lasts at least 30 ms.

Layout: ``forced_alignments_supervised_spkr/limsi-align/dev0.seg``, the newer ones, of words; lines ``#@ word=TEXT`` and, for each
phone, ``ID PHONE FLAG START FRAMES FRAMES FRAMES`` in frames of 10 ms. And ``.../align-kit-old/dev/ID.txt``, the older ones, of
letters; lines ``LETTER START END`` in seconds, ``SIL`` for silence, in capitals and partly without accents.

Written (``times.py``): ``words.times.jsonl`` by the newer ones; ``older_letters.times.jsonl`` and ``older_words.times.jsonl`` by
the older ones. An utterance is excluded, and counted, where the newer ones have other words than the text (an unknown word,
``<UNK>``, or an end that is missing), or the older ones another number of letters.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from data_scripts.corpus import command_line, one_space, print_line, read_lines
from data_scripts.prepare_mboshi import TEXT_SUFFIX
from data_scripts.times import TimedUnit, TimedUtterance, write_times
from speechxfer.errors import InputError
from speechxfer.runtime import read_bytes

FOLDER = "forced_alignments_supervised_spkr"
FRAMES_PER_S = 100
SILENT = ("[silence]", "</s>", "<s>")
MAX_BYTES = 64 << 20


def prepare(corpus_dir: Path, out_dir: Path, *, partial: bool = False) -> None:
    """Write the times of words and letters.

    Args:
        corpus_dir: the repository as cloned.
        out_dir: folder for the files.
        partial: accept that the older alignments are missing.

    Raises:
        InputError: a file is missing or has another layout.
    """
    folder = corpus_dir / FOLDER
    texts = _read_texts(corpus_dir / "full_corpus_newsplit" / "dev")
    newer = read_segments(folder / "limsi-align" / "dev0.seg")
    whole = [utterance for utterance in newer if _text_of(utterance) == texts.get(utterance.id)]
    _write(out_dir / "words.times.jsonl", whole, len(newer))
    old = folder / "align-kit-old" / "dev"
    if partial and not old.is_dir():
        return
    letters, words = [], []
    for id_, text in texts.items():
        units = read_letters(old / f"{id_}.txt")
        spelt = spell(text, units)
        if spelt:
            letters.append(TimedUtterance(id_, "symbols", tuple(spelt)))
            words.append(TimedUtterance(id_, "words", tuple(join_letters(text, spelt))))
    _write(out_dir / "older_letters.times.jsonl", letters, len(texts))
    _write(out_dir / "older_words.times.jsonl", words, len(texts))


def _read_texts(folder: Path) -> dict[str, str]:
    """Texts of an official split by id, with single spaces."""
    paths = sorted(folder.glob(f"*{TEXT_SUFFIX}"))
    return {path.name.removesuffix(TEXT_SUFFIX): one_space(" ".join(read_lines(path))) for path in paths}


def _text_of(utterance: TimedUtterance) -> str:
    return " ".join(unit.text for unit in utterance.units if unit.text)


def read_segments(path: Path) -> list[TimedUtterance]:
    """Words of ``dev0.seg``. The names of phones are in an encoding of their own and are not read."""
    words: dict[str, list[TimedUnit]] = {}
    word = ""
    for number, line in enumerate(read_bytes(path, fix="clone the corpus", max_bytes=MAX_BYTES).split(b"\n"), start=1):
        if line.startswith(b"#@ word="):
            word = line.removeprefix(b"#@ word=").split(b" nbs=")[0].decode("utf-8")
            is_first = True
        elif line and not line.startswith(b"#"):
            fields = line.split(b" ")
            if len(fields) != 7 or not fields[3].isdigit():
                raise InputError(f"{path}:{number}: expected an id, a phone and five numbers; clone the corpus again")
            if is_first:
                unit = TimedUnit("" if word in SILENT else word, int(fields[3]) / FRAMES_PER_S)
                words.setdefault(fields[0].decode(), []).append(unit)
            is_first = False
    return [TimedUtterance(id_, "words", tuple(units)) for id_, units in words.items()]


def read_letters(path: Path) -> list[TimedUnit]:
    """Letters of one file of the older alignments."""
    units = []
    for number, line in enumerate(read_lines(path), start=1):
        fields = line.split()
        if fields:
            try:
                letter, start, _ = fields
                units.append(TimedUnit("" if letter == "SIL" else letter.lower(), float(start)))
            except ValueError as error:
                raise InputError(
                    f"{path}:{number}: expected a letter, a start and an end; clone the corpus again"
                ) from error
    return units


def spell(text: str, units: Sequence[TimedUnit]) -> list[TimedUnit]:
    """The units with the letters of the text, accents included; none where their numbers differ."""
    letters = iter(text.replace(" ", ""))
    if sum(bool(unit.text) for unit in units) != len(text.replace(" ", "")):
        return []
    return [TimedUnit(next(letters) if unit.text else "", unit.start_s) for unit in units]


def join_letters(text: str, letters: Iterable[TimedUnit]) -> list[TimedUnit]:
    """Words, each starting with its first letter; pauses inside a word are dropped."""
    words: list[TimedUnit] = []
    rest = [len(word) for word in text.split()]
    names = iter(text.split())
    left = 0
    for letter in letters:
        if letter.text and not left:
            words.append(TimedUnit(next(names), letter.start_s))
            left = rest.pop(0)
        elif not letter.text and not left:
            words.append(letter)
        left -= bool(letter.text)
    return words


def _write(path: Path, utterances: Sequence[TimedUtterance], count: int) -> None:
    if not utterances:
        raise InputError(f"{path}: there is no utterance with times; clone the corpus again")
    write_times(path, utterances)
    print_line(f"{path}: {len(utterances)} utterances; {count - len(utterances)} excluded")


if __name__ == "__main__":
    command_line(prepare, __doc__)
