"""Alignment: paths against torchaudio, an enumeration and hand-worked cases; times of tones, flags, long recordings, the verb."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from torch import Tensor, nn

from speechxfer.alignment import AlignmentOptions, Flag, align, annotate
from speechxfer.alignment import trellis as search
from speechxfer.alignment.boundaries import base_letter
from speechxfer.alignment.pieces import FoundUnit, FoundUtterance, ctc_times, cut_pieces
from speechxfer.alignment.transcripts import WILDCARD, Transcript, TranscriptWord, build_transcript
from speechxfer.alignment.trellis import Costs, find_path
from speechxfer.data.manifest import Utterance, write_manifest
from speechxfer.errors import InputError
from speechxfer.features.presets import PRESETS
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.models.architecture import Architecture
from speechxfer.text.normalizer import Normalizer
from speechxfer.text.vocabulary import BLANK, Vocabulary
from tests.test_cli import Speechxfer, assert_refused, speechxfer  # noqa: F401
from tests.tone_corpus import RATE_HZ, pitches

LETTERS = "abcdef"
FRAME_S = 0.04


# Paths ---------------------------------------------------------------------------------------------------------------
def of_words(*words: list[int]) -> Transcript:
    """A transcript of words without spaces between them."""
    ids = [symbol for word in words for symbol in word]
    ends = np.cumsum([len(word) for word in words]).tolist()
    built = (TranscriptWord("x", end - len(word), end, ()) for word, end in zip(words, ends, strict=True))
    return Transcript(tuple(ids), tuple(built))


def random_case(seed: int, frames: int, symbols: int) -> tuple[Tensor, list[int]]:
    generator = torch.Generator().manual_seed(seed)
    log_probs = torch.randn(frames, 5, generator=generator).mul(2).log_softmax(-1)
    return log_probs, torch.randint(1, 5, (symbols,), generator=generator).tolist()


@pytest.mark.parametrize("block", [512, 7])
def test_without_costs_the_path_is_that_of_torchaudio(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "BLOCK", block)
    compared = 0
    for seed in range(80):
        log_probs, ids = random_case(seed, 3 + seed % 30, 1 + seed % 9)
        path = find_path(log_probs.numpy(), of_words(ids), None)
        if len(log_probs) < len(ids) + sum(a == b for a, b in pairwise(ids)):
            assert path is None
            continue
        assert path is not None
        labels, scores = torchaudio.functional.forced_align(log_probs[None], torch.tensor([ids]), blank=0)
        spans = torchaudio.functional.merge_tokens(labels[0], scores[0])
        assert path.spans == tuple((span.start, span.end) for span in spans)
        assert path.score == pytest.approx(float(scores.sum()), abs=1e-4)
        compared += 1
    assert compared > 50


def best_score(log_probs: np.ndarray, words: list[list[int]], costs: Costs) -> float:  # noqa: C901
    """The best score by trying every path, written as in the definition: one frame and one event after the other."""
    frames = len(log_probs)

    def emitted(frame: int, symbol: int) -> float:
        return max(float(log_probs[frame, symbol]), costs.floor)

    def garbage(frame: int) -> float:
        return max(float(log_probs[frame, 0]), float(log_probs[frame, 1:].max()) - costs.garbage_symbol)

    @cache
    def between(frame: int, word: int, place: str) -> float:
        """Best rest from `frame` on, having done `word` words; `place` is where the frame before was."""
        ends = [0.0] if word == len(words) and frame == frames else []
        if frame == frames:
            rest = sum(map(len, words[word:]))
            return max([*ends, -costs.skip - costs.skip_symbol * rest if rest and place != "skip" else -np.inf])
        options = [emitted(frame, 0) + between(frame + 1, word, "blank")]
        entry = 0.0 if place == "garbage" else costs.garbage
        options.append(garbage(frame) - entry + between(frame + 1, word, "garbage"))
        if word < len(words) and place != "skip":
            symbol = words[word][0]
            if place != f"symbol {symbol}":
                options.append(emitted(frame, symbol) + inside(frame + 1, word, 0, "symbol"))
            for after in range(word + 1, len(words) + 1):
                cost = costs.skip + costs.skip_symbol * sum(map(len, words[word:after]))
                options.append(between(frame, after, "skip") - cost)
        return max(options)

    @cache
    def inside(frame: int, word: int, index: int, place: str) -> float:
        """Best rest, `index` being the last symbol of `word` that was begun; `place` is "symbol" or "blank"."""
        symbols = words[word]
        if index == len(symbols) - 1:
            same = between(frame, word + 1, f"symbol {symbols[index]}" if place == "symbol" else "blank")
            stay = -np.inf
            if frame < frames and place == "symbol":
                stay = emitted(frame, symbols[index]) + inside(frame + 1, word, index, "symbol")
            return max(same, stay)
        if frame == frames:
            return -np.inf
        options = [emitted(frame, 0) + inside(frame + 1, word, index, "blank")]
        if place == "symbol":
            options.append(emitted(frame, symbols[index]) + inside(frame + 1, word, index, "symbol"))
        if place == "blank" or symbols[index] != symbols[index + 1]:
            options.append(emitted(frame, symbols[index + 1]) + inside(frame + 1, word, index + 1, "symbol"))
        return max(options)

    return between(0, 0, "blank")


@pytest.mark.parametrize("block", [512, 3])
def test_with_costs_no_path_is_better(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "BLOCK", block)
    costs = Costs(floor=-3.0, garbage=0.7, garbage_symbol=0.4, skip=1.0, skip_symbol=0.3)
    skipped = garbage = 0
    for seed in range(60):
        log_probs, ids = random_case(seed, 2 + seed % 6, 5)
        words = [ids[:2], ids[2:3], ids[3:]]
        path = find_path(log_probs.numpy(), of_words(*words), costs)
        assert path is not None
        assert path.score == pytest.approx(best_score(log_probs.numpy(), words, costs), abs=1e-4), seed
        skipped += sum(span is None for span in path.spans)
        garbage += len(path.garbage)
    assert skipped > 20 and garbage > 5


def frames_of(*symbols: int, count: int = 4) -> np.ndarray:
    """Log-probabilities of frames in each of which one symbol has probability 0.97 and the others 0.01."""
    values = np.full((len(symbols), count), np.log(0.01), dtype=np.float32)
    values[np.arange(len(symbols)), symbols] = np.log(0.97)
    return values


def test_a_missing_word_is_skipped_and_other_speech_is_garbage_by_hand() -> None:
    """Forcing the word "1 2" into blanks costs 2 * ln 0.01 = -9.2, skipping it -8 - 2 * 0.5 = -9 in all, so it is skipped."""
    costs = Costs(skip=8.0, skip_symbol=0.5, garbage=1.0, garbage_symbol=1.0)
    path = find_path(frames_of(3, 0, 0, 0, 3), of_words([3], [1, 2], [3]), costs)
    assert path and path.spans == ((0, 1), None, None, (4, 5)) and path.garbage == ()
    assert path.score == pytest.approx(5 * np.log(0.97) - 9.0, abs=1e-5)
    forced = find_path(frames_of(3, 0, 0, 0, 3), of_words([3], [1, 2], [3]), None)
    assert forced and forced.score == pytest.approx(3 * np.log(0.97) + 2 * np.log(0.01), abs=1e-5)
    other = find_path(frames_of(3, 0, 1, 2, 1, 0, 3), of_words([3], [3]), costs)
    assert other and other.spans == ((0, 1), (6, 7))
    assert other.garbage in (((1, 5),), ((2, 5),)), "the blank before it costs the same in both states"
    assert other.score == pytest.approx(7 * np.log(0.97) - 1.0 - 3 * 1.0, abs=1e-5)


def test_a_window_that_follows_the_path_gives_the_same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    symbols = generator.integers(1, 30, size=400)
    frames = np.stack([symbols, np.zeros_like(symbols)], axis=1).ravel()
    transcript = of_words(*symbols.reshape(-1, 4).tolist())
    log_probs = frames_of(*frames.tolist(), count=30)
    monkeypatch.setattr(search, "BLOCK", 16)
    whole = find_path(log_probs, transcript, Costs())
    monkeypatch.setattr(search, "WINDOW", 60)
    assert find_path(log_probs, transcript, Costs()) == whole
    assert whole and None not in whole.spans


# Transcripts ---------------------------------------------------------------------------------------------------------
def test_units_are_letters_with_their_marks() -> None:
    vocabulary = Vocabulary.from_texts(["ẹ́ la"], normalizer=Normalizer(form="NFD"))
    transcript = build_transcript(Normalizer(form="NFD")("lẹ́ a"), vocabulary, unknown="error", where="u")
    first, second = transcript.words
    assert [len(unit.text) for unit in first.units] == [1, 3]
    assert [(unit.first, unit.end) for unit in first.units] == [(0, 1), (1, 4)]
    assert (second.first, second.end) == (5, 6) and transcript.junctions == (0, 4, 6)
    assert [base_letter(unit.text) for unit in first.units] == ["l", "e"]


def test_unknown_symbols_are_an_error_or_wildcards() -> None:
    vocabulary = Vocabulary.from_texts(["ab c"])
    with pytest.raises(InputError, match=r"u1: not in the vocabulary .*'x' x2.*--unknown wildcard"):
        build_transcript("axx b", vocabulary, unknown="error", where="u1")
    transcript = build_transcript("axx b", vocabulary, unknown="wildcard", where="u1")
    assert transcript.ids == (2, WILDCARD, WILDCARD, 1, 3)
    assert [word.unknown for word in transcript.words] == [("x", "x"), ()]
    phones = Vocabulary((BLANK, "a", "ts"), "phones")
    assert build_transcript("ts q", phones, unknown="wildcard", where="u").ids == (2, WILDCARD)


def test_a_wildcard_takes_the_frame_of_any_symbol() -> None:
    path = find_path(frames_of(1, 0, 2, 0, 3), of_words([1, WILDCARD, 3]), None)
    assert path and path.spans == ((0, 1), (2, 3), (4, 5))


def test_boundaries_of_ctc_are_in_the_middle_by_hand() -> None:
    """Two letters of a word, then, after a pause, a word of one symbol with two letters."""
    units = [
        FoundUnit(0, "a", True, 1.0, 1.04, 0, 1, 0.9),
        FoundUnit(0, "b", False, 1.2, 1.24, 0, 1, 0.9),
        FoundUnit(1, "c", True, 2.0, 2.04, 0, 2, 0.9),
        FoundUnit(1, "d", False, 2.0, 2.04, 1, 2, 0.9),
    ]
    times = ctc_times(units, 0.0, 3.0)
    expected = [(0.9, 1.12), (1.12, 1.34), (1.9, 2.02), (2.02, 2.14)]
    assert np.allclose(times, expected)


def test_every_unit_is_in_one_piece() -> None:
    """Also one whose last encoder frame ends after the recording, and those around untranscribed speech."""
    starts = [0.4, 0.8, *np.arange(4.0, 60.0, 0.5).tolist(), 60.0]
    units = tuple(FoundUnit(i, "a", True, start, start + 0.04, 0, 1, 0.9) for i, start in enumerate(starts))
    found = FoundUtterance(units, {}, (), (Flag("b", 1.2, 3.6),))
    pieces = cut_pieces(7, found, 59.99)
    assert sum(len(piece.units) for piece in pieces) == len(units)
    assert next(len(piece.units) for piece in pieces) == 2
    assert all(piece.duration_s <= 22 and piece.utterance == 7 for piece in pieces)
    spans = [(piece.start_s, piece.start_s + piece.duration_s) for piece in pieces]
    assert all(a[1] <= b[0] + 1e-9 for a, b in pairwise(spans)) and spans[0][1] <= 1.2 and spans[1][0] >= 3.0
    assert spans[-1][1] <= 59.99
    times = [piece.start_s + time for piece in pieces for pair in piece.times for time in pair]
    assert times == sorted(times)


# Tones ---------------------------------------------------------------------------------------------------------------
class ToneEncoder(nn.Module):
    """Energy of each letter's band, averaged over four frames: an exact reader of tones, so that nothing must be trained."""

    output_dim = len(LETTERS)
    subsampling = 4
    has_uniform_layers = False
    adapters = nn.ModuleList()
    lora_modules = ()

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        low, high = (1127 * np.log1p(hz / 700) for hz in (20.0, 8000.0))
        mels = [1127 * np.log1p(hz / 700) for hz in pitches(LETTERS).values()]
        bands = [round((mel - low) / (high - low) * 81) - 1 for mel in mels]
        energies = torch.nn.functional.avg_pool1d(features[..., bands].transpose(1, 2), 4).transpose(1, 2)
        return energies, lengths // 4

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return lengths // 4

    def layer_groups(self) -> list[nn.Module]:
        return [self]


@pytest.fixture(scope="module")
def model() -> AcousticModel:
    """Reads tones: blank in silence, the space nearly as likely there."""
    vocabulary = Vocabulary((BLANK, " ", *LETTERS))
    architecture = Architecture("cnn", "tiny", 4)
    built = AcousticModel(architecture, vocabulary, PRESETS["kaldi"], Normalizer(), encoder=ToneEncoder())
    with torch.no_grad():
        built.head.weight.zero_()
        built.head.weight[2:] = torch.eye(len(LETTERS)) * 2
        built.head.bias[:] = torch.tensor([-4.0, -5.0, *[0.0] * len(LETTERS)])
    return built.eval()


def speak(text: str, seed: int) -> tuple[np.ndarray, list[tuple[str, float]]]:
    """Tones without gaps within a word, of 90 to 200 ms, with pauses between words; samples, letters with their starts."""
    generator = np.random.default_rng(seed)
    parts, starts, count = [np.zeros(3_200)], [], 3_200
    for word in text.split():
        for letter in word:
            length = int(generator.uniform(0.09, 0.2) * RATE_HZ)
            starts.append((letter, count / RATE_HZ))
            parts.append(0.2 * np.sin(2 * np.pi * pitches(LETTERS)[letter] * np.arange(length) / RATE_HZ))
            count += length
        pause = int(generator.uniform(0.1, 0.3) * RATE_HZ)
        parts.append(np.zeros(pause))
        count += pause
    samples = np.concatenate(parts)
    return samples + generator.normal(0, 1e-3, len(samples)), starts


def random_words(seed: int, count: int) -> str:
    """Words of two to four letters, no letter twice in succession."""
    generator = np.random.default_rng(seed)
    words = []
    for _ in range(count):
        word = ""
        while len(word) < generator.integers(2, 5):
            word += generator.choice([letter for letter in LETTERS if not word.endswith(letter)])
        words.append(word)
    return " ".join(words)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Utterance], list[list[tuple[str, float]]]]:
    folder = tmp_path_factory.mktemp("tones")
    utterances, starts = [], []
    for number in range(12):
        text = random_words(number, 9)
        samples, known = speak(text, number)
        path = folder / f"u{number}.wav"
        soundfile.write(path, samples, RATE_HZ)
        utterances.append(Utterance(path.stem, path, len(samples) / RATE_HZ, text, speaker=f"s{number % 2}"))
        starts.append(known)
    write_manifest(folder / "tones.jsonl", utterances)
    return utterances, starts


def start_errors(alignments: dict, corpus: tuple) -> np.ndarray:
    """Seconds between found and known starts of all letters."""
    errors = []
    for utterance, known in zip(*corpus, strict=True):
        symbols = [symbol for word in alignments[utterance.id].words for symbol in word.symbols]
        assert [symbol.text for symbol in symbols] == [letter for letter, _ in known]
        errors += [symbol.start_s - start_s for symbol, (_, start_s) in zip(symbols, known, strict=True)]
    return np.abs(errors)


def test_letters_are_found_within_20_ms(model: AcousticModel, corpus: tuple) -> None:
    by_frames = align(model, corpus[0])
    by_ctc = align(model, corpus[0], options=AlignmentOptions(boundaries="ctc"))
    errors, errors_ctc = start_errors(by_frames, corpus), start_errors(by_ctc, corpus)
    assert (errors <= 0.02).mean() > 0.95 > (errors_ctc <= 0.02).mean()
    assert np.median(errors) < 0.5 * np.median(errors_ctc)
    for alignment in by_frames.values():
        assert alignment.corrected and not alignment.missing and not alignment.untranscribed
        times = [time for word in alignment.words for symbol in word.symbols for time in (symbol.start_s, symbol.end_s)]
        assert times == sorted(times)
        assert all(0.5 < word.score <= 1 for word in alignment.words)


def join(corpus: tuple, folder: Path) -> tuple[Utterance, list[float]]:
    """All utterances in one recording, and where each begins."""
    samples = [soundfile.read(utterance.audio_filepath)[0] for utterance in corpus[0]]
    offsets = np.cumsum([0, *map(len, samples)])
    path = folder / "long.wav"
    soundfile.write(path, np.concatenate(samples), RATE_HZ)
    text = " ".join(utterance.text for utterance in corpus[0])
    return Utterance("long", path, offsets[-1] / RATE_HZ, text), (offsets[:-1] / RATE_HZ).tolist()


def test_a_long_recording_is_aligned_like_its_utterances(
    model: AcousticModel, corpus: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "BLOCK", 100)
    whole, offsets = join(corpus, tmp_path)
    assert whole.duration > 30, "longer than what is encoded in one window"
    parts = align(model, corpus[0])
    expected = [
        (word.text, offset + word.start_s, offset + word.end_s)
        for utterance, offset in zip(corpus[0], offsets, strict=True)
        for word in parts[utterance.id].words
    ]
    words = align(model, [whole])["long"].words
    assert [word.text for word in words] == [text for text, _, _ in expected]
    differences = [
        abs(w.start_s - start) + abs(w.end_s - end) for w, (_, start, end) in zip(words, expected, strict=True)
    ]
    assert np.mean(np.array(differences) <= 0.02) > 0.95 and max(differences) < 0.1


def test_missing_words_and_untranscribed_speech_are_flagged(
    model: AcousticModel, corpus: tuple, tmp_path: Path
) -> None:
    """The text lacks the third utterance and has words after the sixth that nobody says."""
    whole, offsets = join(corpus, tmp_path)
    texts = [utterance.text for utterance in corpus[0]]
    spoken, added = texts.pop(2), "fedcba abcdef fbdaec"
    texts.insert(5, added)
    utterance = Utterance("long", whole.audio_filepath, whole.duration, " ".join(texts))
    alignment = align(model, [utterance])["long"]
    assert [flag.text for flag in alignment.missing] == [added]
    assert offsets[6] - 0.5 < alignment.missing[0].start_s <= alignment.missing[0].end_s < offsets[6] + 0.5
    [flag] = alignment.untranscribed
    assert flag.text.replace(" ", "") == spoken.replace(" ", "")
    assert flag.start_s == pytest.approx(offsets[2] + 0.2, abs=0.1)
    assert flag.end_s == pytest.approx(offsets[3] - 0.2, abs=0.2)
    words = [word.text for word in alignment.words]
    assert words == " ".join(text for text in texts if text != added).split()
    known = [offsets[3] + start for _, start in corpus[1][3]]
    place = len(" ".join(texts[:2]).split())
    assert alignment.words[place].start_s == pytest.approx(known[0], abs=0.02)
    forced = align(model, [utterance], options=AlignmentOptions(forced=True))["long"]
    assert len(forced.words) == len(utterance.text.split()) and not forced.missing and not forced.untranscribed


def test_a_very_short_utterance_has_times_within_it(model: AcousticModel, tmp_path: Path) -> None:
    """Features that set it in the middle of 1.5 s of noise give the times that those of the audio alone give."""
    samples, _ = speak("abc", 0)
    soundfile.write(tmp_path / "short.wav", samples, RATE_HZ)
    short = Utterance("short", tmp_path / "short.wav", len(samples) / RATE_HZ, "abc")
    assert short.duration < 1.2
    padded = copy.deepcopy(model)
    padded.spec = replace(model.spec, shortest_samples=24_000, surround_db=60.0)
    by_ctc = AlignmentOptions(boundaries="ctc")
    expected, found = (align(each, [short], options=by_ctc)["short"] for each in (model, padded))
    assert [word.text for word in found.words] == [word.text for word in expected.words] == ["abc"]
    for one, other in zip(found.words[0].symbols, expected.words[0].symbols, strict=True):
        assert (one.start_s, one.end_s) == pytest.approx((other.start_s, other.end_s), abs=0.041)
        assert 0 <= one.start_s < one.end_s <= short.duration


def test_little_speech_keeps_the_times_of_ctc(
    model: AcousticModel, corpus: tuple, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speechxfer.alignment.aligner.MIN_TRAINING_S", 10.0)
    alignment = align(model, corpus[0][:1])["u0"]
    assert not alignment.corrected
    assert "too little to train a frame classifier" in capsys.readouterr().err
    assert alignment == align(model, corpus[0][:1], options=AlignmentOptions(boundaries="ctc"))["u0"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": ""}, "u0: no text|no text to align: u0"),
        ({"text": "?!"}, "u0: the text has no word"),
        ({"text": "abx"}, "u0: not in the vocabulary"),
    ],
)
def test_what_cannot_be_aligned_is_named(model: AcousticModel, corpus: tuple, change: dict, message: str) -> None:
    first = corpus[0][0]
    with pytest.raises(InputError, match=message):
        align(model, [Utterance(**(vars(first) | change))])
    with pytest.raises(InputError, match="'u0' occurs twice"):
        align(model, [first, first])


def test_forcing_too_much_text_is_an_error(model: AcousticModel, corpus: tuple) -> None:
    long = Utterance(**(vars(corpus[0][0]) | {"text": "ab " * 200}))
    with pytest.raises(InputError, match=r"u0: 599 symbols do not fit into \d+ frames"):
        align(model, [long], options=AlignmentOptions(forced=True))
    assert align(model, [long])["u0"].missing


def test_annotations_have_tiers_by_speaker(model: AcousticModel, corpus: tuple, tmp_path: Path) -> None:
    """Two utterances of one recording by two speakers; times count from its start."""
    whole, offsets = join(corpus, tmp_path)
    parts = [
        Utterance(u.id, whole.audio_filepath, u.duration, u.text, offset, u.speaker)
        for u, offset in zip(corpus[0][:2], offsets, strict=False)
    ]
    [annotation] = annotate(parts, align(model, parts))
    names = [tier.name for tier in annotation.tiers]
    assert names == [f"{kind}@{speaker}" for speaker in ("s0", "s1") for kind in ("utterances", "words", "symbols")]
    second = annotation.tiers[4].intervals[0]
    assert second.text == parts[1].text.split()[0]
    assert second.start_s == pytest.approx(offsets[1] + corpus[1][1][0][1], abs=0.11), "CTC's times, up to 0.1 s early"
    assert annotation.duration_s == pytest.approx(whole.duration)


# The verb ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def loaded(model: AcousticModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The verb reads the model of tones."""
    module = "speechxfer.workflows.alignment_runs"
    monkeypatch.setattr(f"{module}.load_model", lambda name: model)
    monkeypatch.setattr(f"{module}.default_device", lambda: "cpu")
    monkeypatch.setattr(f"{module}.trained_audio_options", lambda name, spec, *rest: search_options(spec))
    yield


def search_options(spec: object) -> object:
    from speechxfer.features.extraction import AudioOptions

    return AudioOptions(spec)  # type: ignore[arg-type]


@pytest.mark.usefixtures("loaded")
def test_the_verb_aligns_a_manifest(speechxfer: Speechxfer, corpus: tuple, tmp_path: Path) -> None:  # noqa: F811
    manifest = corpus[0][0].audio_filepath.parent / "tones.jsonl"
    outcome = speechxfer("align", "tones", manifest, "--out", tmp_path / "out", "--format", "textgrid,eaf,ctm,json")
    assert outcome.code == 0, outcome
    assert "12 utterances: 108 words found, 0 missing; 0 untranscribed parts of 0.0 s" in outcome.out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"flags.tsv"} | {
        f"u{n}.{suffix}" for n in range(12) for suffix in ("TextGrid", "eaf", "ctm", "json")
    }
    rows = [line.split() for line in (tmp_path / "out" / "u0.ctm").read_text().splitlines()]
    assert [row[4] for row in rows] == corpus[0][0].text.split()
    assert float(rows[0][2]) == pytest.approx(corpus[1][0][0][1], abs=0.02)
    assert json.loads((tmp_path / "out" / "u0.json").read_text())["duration"] == pytest.approx(corpus[0][0].duration)
    again = speechxfer("align", "tones", manifest, "--out", tmp_path / "out", "--format", "eaf")
    assert_refused(again, "u0.eaf", "exists")


@pytest.mark.usefixtures("loaded")
def test_the_verb_aligns_a_recording_with_its_transcript(
    speechxfer: Speechxfer,  # noqa: F811
    corpus: tuple,
    tmp_path: Path,
) -> None:
    whole, _ = join(corpus, tmp_path)
    words = whole.text.split()
    text = tmp_path / "text.txt"
    text.write_text(" ".join(words[:9]) + "\nfedcba fbdaec\n" + " ".join(words[9:]) + "\n", encoding="utf-8")
    out = tmp_path / "out"
    formats = "textgrid,stm,trn,srt,vtt"
    outcome = speechxfer("align", "tones", whole.audio_filepath, "--text", text, "--out", out, "--format", formats)
    assert outcome.code == 0 and "108 words found, 2 missing" in outcome.out
    [_, row] = (out / "flags.tsv").read_text(encoding="utf-8").splitlines()
    assert row.split("\t")[3:] == ["missing", "fedcba fbdaec"]
    assert (out / "long.TextGrid").read_text(encoding="utf-8").count('class = "IntervalTier"') == 3
    for suffix in ("stm", "trn", "srt", "vtt"):  # formats of utterances
        assert "fedcba fbdaec" in " ".join((out / f"long.{suffix}").read_text(encoding="utf-8").split())


@pytest.mark.usefixtures("loaded")
def test_the_verb_refuses_what_it_cannot_align(speechxfer: Speechxfer, corpus: tuple, tmp_path: Path) -> None:  # noqa: F811
    audio, out = corpus[0][0].audio_filepath, tmp_path / "out"
    manifest = audio.parent / "tones.jsonl"
    assert_refused(speechxfer("align", "tones", audio, "--out", out), "needs its transcript", "--text FILE")
    assert_refused(speechxfer("align", "tones", manifest, "--text", "a.txt", "--out", out), "omit --text")
    assert_refused(speechxfer("align", "tones", audio, "--text", "none.txt", "--out", out), "none.txt")
    assert_refused(speechxfer("align", "tones", manifest, "--format", "doc", "--out", out), "'doc' is no format", "eaf")
    assert not out.exists()
