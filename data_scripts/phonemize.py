"""Phonemise a manifest: replace its texts by phones, by the rules of espeak-ng or of ``spellings.py``.

    python -m data_scripts.phonemize data/kathleen/train.jsonl data/kathleen_phones/train.jsonl --voice en-us
    python -m data_scripts.phonemize data/debian/train.jsonl data/debian_phones/train.jsonl

The labels of a phone model (``recipes/multilingual``). They are what the text prescribes, not what the speaker said: accents,
slips and reductions are not in them. Without ``--voice`` each utterance is read by the voice of its language
(``lang``). Audio is not touched. An utterance that espeak-ng has no phones for, or reads partly as
another language, is excluded and printed.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data_scripts.corpus import exit_on_bad_input, path_argument, print_line, skip
from data_scripts.synthesize_multilingual import phones_of
from speechxfer.data import Utterance, read_manifest, write_manifest
from speechxfer.errors import InputError


def phonemize(manifest: Path, out: Path, *, voice: str = "") -> None:
    """Write `out`: the utterances of `manifest` with their phones, separated by spaces, as texts.

    `voice` is one of espeak-ng's; by default that of each utterance's language.

    Raises:
        InputError: a bad manifest, an unknown voice, an utterance without language and no voice given, or espeak-ng is not
            installed.
    """
    spoken: list[Utterance] = []
    for utterance in read_manifest(manifest):
        reader = voice or utterance.lang
        if not reader:
            raise InputError(f"{manifest}: {utterance.id}: it has no lang; give the voice of its language: --voice")
        phones = phones_of(utterance.text.lower(), reader, real_speech=True)
        if phones:
            spoken.append(replace(utterance, text=" ".join(phones)))
        else:
            skip(utterance.id, f"espeak-ng does not read all of {utterance.text!r} with the voice {reader}")
    if not spoken:
        raise InputError(f"{manifest}: espeak-ng reads none of it; give its language's voice")
    write_manifest(out, spoken)
    print_line(f"{out}: {len(spoken):,} utterances in phones")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("manifest", type=path_argument)
    parser.add_argument("out", type=path_argument)
    parser.add_argument("--voice", default="", help="of espeak-ng, for example en-us (default: each utterance's lang)")
    exit_on_bad_input(lambda: phonemize(**vars(parser.parse_args(arguments))))


if __name__ == "__main__":
    main()
