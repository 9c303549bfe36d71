"""Write a symbol map that initialises the new head by position: row N from the source's row N, whatever its symbol.

A common mistake, measured for comparison with initialisation by symbol.
Usage: map_by_position.py SOURCE TRAIN.jsonl > map.tsv
"""

import sys

import speechxfer as sx


def main() -> None:
    """Print one line per symbol of the training text: target symbol, tab, source symbol."""
    source, train = sys.argv[1:]
    target = sx.Vocabulary.from_texts(u.text for u in sx.read_manifest(train))
    known = sx.load_model(source).vocabulary
    for pair in zip(target.symbols[1:], known.symbols[1:], strict=False):
        print(*pair, sep="\t")


if __name__ == "__main__":
    main()
