"""Manifests for audio-cmn: 8,596 words and 1,679 toned syllables of Mandarin, one woman each, 3.5 hours.

Story: Yue Tan recorded the words of the official list HSK 2000 for Shtooka (packs.shtooka.net/cmn-caen-tan), Chen
Wang the syllables; Hugo Lopez curated both.
Address: https://github.com/hugolpz/audio-cmn
Licence: CC BY-SA.
Layout: ``64k/hsk/cmn-<characters>.mp3`` (22.05 kHz mono) and ``64k/syllabs/cmn-<pinyin><tone>.mp3`` (48 kHz mono); a
name is the text. The other folders hold the same recordings at other qualities. Excluded and printed: 28
interjections, whose names start with an underscore (``cmn-_ng1``).

Written: words/{train,dev,test}.jsonl (texts in characters) and syllables/{train,dev,test}.jsonl (texts in pinyin with
the tone's number; ``v`` for u with two dots); dev and test 100 words and 20 syllables each, by hash.

    python -m data_scripts.prepare_mandarin audio-cmn data/mandarin
"""

import re
from pathlib import Path

from data_scripts.corpus import Segment, command_line, enforce_count, measure, skip, split_by_text, write_splits
from speechxfer.data import Utterance
from speechxfer.errors import InputError

SETS = {  # folder: name of the set, recordings used, held out for dev and again for test, speaker
    "hsk": ("words", 8596, 100, "yue-tan"),
    "syllabs": ("syllables", 1679, 20, "chen-wang"),
}
SYLLABLE = re.compile(r"[a-zü]*[aeiouvü][a-zü]*[1-5]")


def prepare(corpus_dir: Path, out_dir: Path, *, partial: bool = False) -> dict[str, Path]:
    """Write the manifests and return them by set and split (``words/train``).

    Raises:
        InputError: the layout or the counts are not the published ones.
    """
    splits: dict[str, list[Utterance]] = {}
    for folder, (name, count, held_out, speaker) in SETS.items():
        segments = _segments(Path(corpus_dir) / "64k" / folder, name, speaker)
        utterances = [item.utterance for item in measure(segments, partial=partial)]
        enforce_count(f"mandarin: {name}", len(utterances), count, partial=partial)
        held = split_by_text(utterances, f"mandarin {name}", held_out)
        splits |= {f"{name}/{split}": members for split, members in held.items()}
    return write_splits(Path(out_dir), splits)


def _segments(folder: Path, name: str, speaker: str) -> list[Segment]:
    paths = sorted(folder.glob("cmn-*.mp3"))
    if not paths:
        raise InputError(f"{folder}: no cmn-*.mp3; expected the recordings there: give the repository's folder")
    segments = []
    for path in paths:
        text = path.stem.removeprefix("cmn-")
        if name == "syllables" and not SYLLABLE.fullmatch(text):
            skip(path.stem, "no syllable in pinyin with a vowel and a tone")
            continue
        segments.append(Segment(f"cmn-{name}-{text}", path, text, str(path), speaker=speaker, lang="cmn"))
    return segments


if __name__ == "__main__":
    command_line(prepare, __doc__)
