"""A manifest whose texts are letters becomes one whose texts are phones, by the rules of espeak-ng.

    python data_scripts/phonemize.py data/kathleen/train.jsonl data/kathleen_phones/train.jsonl --voice en-us

What it is: labels for a model of phones (``recipes/multilingual``). What it is not: what the speaker did say; accents,
slips and reductions stay unheard. Audio is not touched. An utterance that espeak-ng has no phones for, or reads partly as
another language, is left out and printed.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # lets `python data_scripts/phonemize.py` run

from data_scripts.corpus import exit_on_bad_input, say, skip
from data_scripts.synthesize_multilingual import phones_of
from speechxfer.errors import InputError
from speechxfer.manifest import Utterance, read_manifest, write_manifest


def phonemize(manifest: Path, out: Path, *, voice: str) -> None:
    """Write `out`: the utterances of `manifest` with their phones, separated by spaces, as texts.

    Raises:
        InputError: a bad manifest, an unknown voice, or espeak-ng is not installed.
    """
    spoken: list[Utterance] = []
    for utterance in read_manifest(manifest):
        phones = phones_of(utterance.text.lower(), voice)
        if phones:
            spoken.append(replace(utterance, text=" ".join(phones)))
        else:
            skip(utterance.id, f"espeak-ng does not read all of {utterance.text!r} with the voice {voice}")
    if not spoken:
        raise InputError(f"{manifest}: espeak-ng reads none of it with the voice {voice}; give its language's voice")
    write_manifest(out, spoken)
    say(f"{out}: {len(spoken):,} utterances in phones")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--voice", required=True, help="of espeak-ng, for example en-us")
    exit_on_bad_input(lambda: phonemize(**vars(parser.parse_args(arguments))))


if __name__ == "__main__":
    main()
