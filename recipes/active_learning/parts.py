r"""Training sets of the simulation: random minutes of a corpus, and chosen utterances with the texts of the corpus.

    python -m recipes.active_learning.parts random data/train.jsonl 30 1 data/random30-1.jsonl
    python -m recipes.active_learning.parts transcribe data/train.jsonl data/select30-1.jsonl data/random10-1.jsonl \
        data/chosen-1.jsonl

Random parts of one seed contain each other, and speakers have their shares of the corpus in them. `transcribe` stands for the
linguist: it writes the utterances of some manifests, with the texts that the corpus has, whatever the drafts say.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from speechxfer.data import Utterance, read_concatenated, read_manifest, take_seconds, total_duration_s, write_manifest
from speechxfer.errors import InputError


def random_part(corpus: Path, minutes: float, seed: int, out: Path) -> None:
    """Write a random part of a corpus, of just under so many minutes."""
    _write(out, take_seconds(read_manifest(corpus), 60.0 * minutes, f"random {seed}"))


def transcribe(corpus: Path, out: Path, manifests: Sequence[Path]) -> None:
    """Write the utterances of the manifests with the corpus's texts; InputError where it does not have one of them."""
    known = {utterance.id: utterance for utterance in read_manifest(corpus)}
    wanted = read_concatenated(manifests)
    missing = [utterance.id for utterance in wanted if utterance.id not in known]
    if missing:
        raise InputError(f"{missing[0]}: is not in {corpus}; give manifests of utterances of that corpus")
    _write(out, [known[utterance.id] for utterance in wanted])


def _write(out: Path, utterances: Sequence[Utterance]) -> None:
    write_manifest(out, utterances)
    symbols = sum(len(utterance.text) for utterance in utterances)
    print(f"{out}: {len(utterances):,} utterances, {total_duration_s(utterances) / 60:.1f} min, {symbols:,} characters")


def main() -> None:
    """Command line."""
    try:
        match sys.argv[1:]:
            case ["random", corpus, minutes, seed, out]:
                random_part(Path(corpus), float(minutes), int(seed), Path(out))
            case ["transcribe", corpus, out, *manifests] if manifests:
                transcribe(Path(corpus), Path(out), list(map(Path, manifests)))
            case _:
                raise InputError(f"usage: {__doc__}")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
