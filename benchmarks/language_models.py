"""Language models: time, memory and size of training on a million sentences, and the time of queries.

A benchmark, run by hand on one thread; it takes some minutes. The sentences are made: words follow each other as in a Markov
chain of 20,000 words, every eighth word comes from 400,000 rarer ones with frequencies that fall as in Zipf's law. Times are
seconds of one processor, so other work on the machine matters little; memory is the largest that belongs to the process alone,
without mapped files, which the system can write to disk at any time.

    python benchmarks/language_models.py
"""

import random
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

SENTENCES = 1_000_000
COMMON, RARE = 20_000, 400_000
BATCHES = (16, 300)
REPEATS = 300


def sentences(count: int) -> Iterator[str]:
    """Made sentences of 4 to 18 words; the same ones each time."""
    chooser = random.Random(5)
    syllables = [first + second for first in "bdfgklmnprstvz" for second in "aeiou"]

    def spelling(number: int) -> str:
        parts: list[str] = []
        while number or not parts:
            number, part = divmod(number, len(syllables))
            parts.append(syllables[part])
        return "".join(parts)

    words = [spelling(number) for number in range(COMMON + RARE)]
    followers = [[int(COMMON ** chooser.random()) - 1 for _ in range(12)] for _ in range(COMMON)]
    for _ in range(count):
        word, sentence = chooser.randrange(200), []
        for _ in range(chooser.randint(4, 18)):
            sentence.append(words[word])
            if chooser.random() < 0.125:
                sentence.append(words[COMMON + int(RARE ** chooser.random()) - 1])
            word = chooser.choice(followers[word]) if chooser.random() < 0.9 else int(COMMON ** chooser.random()) - 1
        yield " ".join(sentence)


class PrivateMemory(threading.Thread):
    """Follows the memory that belongs to this process alone (Linux)."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.largest_mib = 0
        self._ended = threading.Event()

    def run(self) -> None:
        """Look every 50 ms."""
        while not self._ended.wait(0.05):
            found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
            self.largest_mib = max(self.largest_mib, int(found[1]) // 1024 if found else 0)

    def stop(self) -> int:
        """The largest so far, in MiB."""
        self._ended.set()
        self.join()
        return self.largest_mib


def microseconds(call: Callable[[], object]) -> float:
    """Processor time of one call."""
    for _ in range(20):
        call()
    start = time.process_time()
    for _ in range(REPEATS):
        call()
    return (time.process_time() - start) / REPEATS * 1e6


def main() -> None:
    """Train models of both units, write ARPA, and query."""
    import torch

    from speechxfer.language_models import NgramSettings, Unit, read_language_model, train_ngrams, write_arpa

    torch.set_num_threads(1)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else SENTENCES
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text"
        text.write_text("\n".join(sentences(count)), encoding="utf-8")
        units: tuple[tuple[Unit, int], ...] = (("word", 4), ("character", 6))
        for unit, order in units:
            path = Path(folder) / f"{unit}.lm"
            memory, start = PrivateMemory(), time.process_time()
            memory.start()
            with text.open(encoding="utf-8") as lines:
                trained = train_ngrams(lines, path, NgramSettings(order, unit))
            print(f"{unit} {order}-gram: {trained}")
            print(
                f"  training {time.process_time() - start:.0f} s, {memory.stop()} MiB, {path.stat().st_size / 1e6:.0f} MB"
            )
            model = read_language_model(path)
            write_arpa(model.tables, Path(folder) / "model.arpa.gz")
            print(f"  as .arpa.gz {(Path(folder) / 'model.arpa.gz').stat().st_size / 1e6:.0f} MB")
            for batch in BATCHES:
                states = torch.randint(model.states, (batch,))
                words = torch.randint(len(model.words), (batch,))
                print(f"  score of {batch}: {microseconds(lambda: model.score(states, words)):.0f} us")  # noqa: B023
                if unit == "character":
                    print(f"  advance of {batch}: {microseconds(lambda: model.advance(states)):.0f} us")  # noqa: B023


if __name__ == "__main__":
    main()
