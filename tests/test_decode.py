"""Decoding: greedy search against published outputs and itertools, windows of long utterances, pauses, order of utterances."""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from speechxfer.data.manifest import Utterance
from speechxfer.decoding import log_probs as decode
from speechxfer.decoding import transcription
from speechxfer.decoding.evaluation import evaluate, score_hypotheses
from speechxfer.decoding.greedy import GreedyDecoder
from speechxfer.decoding.hypotheses import Hypothesis, ScoredText, Word, find_symbol_spans, join_hypotheses
from speechxfer.decoding.segmentation import segment_utterances
from speechxfer.decoding.transcription import decode_utterances, transcribe
from speechxfer.decoding.windows import CONTEXT_S, MAX_WHOLE_S, WINDOW_S, window_utterances
from speechxfer.errors import InputError
from speechxfer.features import filterbank, log_mel
from speechxfer.features.batches import Batch, collate
from speechxfer.features.extraction import AudioOptions
from speechxfer.features.presets import PRESETS
from speechxfer.features.store import store_features
from speechxfer.models.acoustic_model import AcousticModel
from speechxfer.models.architecture import Architecture
from speechxfer.text.normalizer import Normalizer
from speechxfer.text.vocabulary import Vocabulary
from tests.tone_corpus import write_tone_corpus

# Greedy search -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([], []),
        ([0, 0], []),
        ([0, 3, 3, 0, 3, 5], [3, 3, 5]),
        ([1, 1, 1], [1]),
        ([1, 0, 1], [1, 1]),
        ([1, 2, 1], [1, 2, 1]),
        ([2, 0, 0, 2, 2, 0], [2, 2]),
    ],
)
def test_repeats_and_blanks_are_removed_by_hand(ids: list[int], expected: list[int]) -> None:
    assert [span.symbol for span in find_symbol_spans(ids)] == expected


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 3)))
def test_spans_are_groups_without_blanks(ids: list[int]) -> None:
    spans = find_symbol_spans(ids)
    assert [span.symbol for span in spans] == [symbol for symbol, _ in itertools.groupby(ids) if symbol != 0]
    emitted = [(span.symbol, frame) for span in spans for frame in range(span.start, span.end)]
    assert emitted == [(symbol, frame) for frame, symbol in enumerate(ids) if symbol != 0]


def decoded(log_probs: Tensor, symbols: str, task: str = "ctc") -> Hypothesis:
    """The hypothesis for log-probabilities `[frames, symbols]`; symbols from 1 on are `symbols`, a frame is 0.1 s."""
    vocabulary = Vocabulary(("<blank>", *symbols), "characters" if task == "ctc" else "words")
    [hypothesis] = GreedyDecoder(vocabulary, 0.1, task).decode([log_probs])
    return hypothesis


def test_greedy_equals_keras(shared_data: Path) -> None:
    """Published by Keras (after TensorFlow); its blank is the last symbol, ours the first."""
    case = json.loads((shared_data / "refvectors" / "ctc" / "ctc_known_values.json").read_text())["greedy"][0]
    for values, expected in zip(map(torch.tensor, case["values"]), case["expected"], strict=True):
        order = [case["blank"], *(i for i in range(values.shape[-1]) if i != case["blank"])]
        hypothesis = decoded(values[..., order].log(), "012")
        assert [int(symbol) for symbol in hypothesis.text] == expected


def test_greedy_reads_real_log_probabilities(shared_data: Path) -> None:
    """A LibriSpeech utterance decoded from another model's outputs; the text is from pyctcdecode's tests."""
    folder = shared_data / "refvectors" / "ctc"
    case = json.loads((folder / "ctc_known_values.json").read_text())["real_logits"]
    log_probs = torch.tensor(json.loads((folder / case["file"]).read_text()), dtype=torch.float32)
    order = [case["blank"], *(i for i in range(len(case["labels"])) if i != case["blank"])]
    symbols = "".join(case["labels"][i] for i in order[1:])
    hypothesis = decoded(log_probs[..., order], symbols)
    assert hypothesis.text == case["expected_greedy"]


def test_counts_and_confidence_by_hand() -> None:
    """Frames a, a, blank; confidence is the geometric mean of 0.5 and 0.9."""
    log_probs = torch.tensor([[0.4, 0.5, 0.1], [0.05, 0.9, 0.05], [0.8, 0.1, 0.1]]).log()
    hypothesis = decoded(log_probs, "ab")
    assert (hypothesis.text, hypothesis.frames, hypothesis.blank_frames) == ("a", 3, 1)
    assert hypothesis.confidence == pytest.approx((0.5 * 0.9) ** (1 / 2))
    silent = decoded(log_probs[2:3], "ab")
    assert (silent.text, silent.confidence, silent.words) == ("", 0.0, ())
    assert str(hypothesis) == "a (confidence 0.67)"


def test_times_of_words_by_hand() -> None:
    """Frames: blank, a, a, blank, b, space, blank, b. A word lasts from its first symbol's first frame to its last one's last."""
    path = [0, 2, 2, 0, 3, 1, 0, 3]
    probabilities = torch.full((8, 4), 0.01)
    for frame, (symbol, p) in enumerate(zip(path, [0.9, 0.5, 0.8, 0.9, 0.7, 0.6, 0.9, 0.4], strict=True)):
        probabilities[frame, symbol] = p
    hypothesis = decoded(probabilities.log(), " ab")
    assert hypothesis.text == "ab b"
    assert [word.text for word in hypothesis.words] == ["ab", "b"]
    assert [(word.start_s, word.end_s) for word in hypothesis.words] == [
        (pytest.approx(0.1), pytest.approx(0.5)),
        (pytest.approx(0.7), pytest.approx(0.8)),
    ]
    assert 0 < hypothesis.words[1].confidence < 0.4 < hypothesis.confidence  # test_confidence.py has the values


@pytest.mark.parametrize(
    ("vocabulary", "ids", "expected"),
    [
        (Vocabulary(("<blank>", " ", "a", "b")), [1, 2, 3, 1, 1, 3, 1], [("ab", 1, 2), ("b", 5, 5)]),
        (Vocabulary(("<blank>", " ", "\u0301", "e")), [3, 2, 1, 3], [("é", 0, 1), ("e", 3, 3)]),
        (Vocabulary(("<blank>", "t", "ʃ"), "phones"), [1, 2], [("t", 0, 0), ("ʃ", 1, 1)]),
        (
            Vocabulary(("<blank>", "a", "▁b", "▁", "c▁a"), "bpe", b"?"),
            [2, 1, 3, 1, 4],
            [("ba", 0, 1), ("ac", 3, 4), ("a", 4, 4)],
        ),
        (Vocabulary(("<blank>", "a")), [], []),
    ],
)
def test_words_of_symbols_by_hand(vocabulary: Vocabulary, ids: list[int], expected: list[tuple[str, int, int]]) -> None:
    assert vocabulary.split_words(ids) == expected
    assert " ".join(text for text, _, _ in expected) == vocabulary.decode(ids)


def test_a_word_is_the_likeliest_row() -> None:
    log_probs = torch.tensor([[[-math.inf, -2.0, -0.1]], [[-math.inf, -0.2, -3.0]]])
    assert [decoded(row, ["no", "yes"], "classify").text for row in log_probs] == ["yes", "no"]


# Utterances ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    return write_tone_corpus(tmp_path_factory.mktemp("tones") / "test.jsonl", 24, letters="abcd", seed=5, words=(1, 4))


@pytest.fixture(scope="module")
def model(utterances: list[Utterance]) -> AcousticModel:
    torch.manual_seed(2)
    vocabulary = Vocabulary.from_texts(utterance.text for utterance in utterances)
    return AcousticModel(Architecture("cnn", "tiny", 4, 0.5), vocabulary, PRESETS["kaldi-mvn"], Normalizer())


def test_every_utterance_has_a_hypothesis_in_order(
    model: AcousticModel, utterances: list[Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    model.eval()
    together = transcribe(model, utterances)
    assert list(together) == [utterance.id for utterance in utterances]
    assert len({hypothesis.text for hypothesis in together.values()}) > 10, "an untrained model writes different texts"
    monkeypatch.setattr(decode, "DECODE_FRAMES", 1)  # each alone
    alone = transcribe(model, utterances)
    assert {name: h.text for name, h in alone.items()} == {name: h.text for name, h in together.items()}


def test_words_of_a_very_short_utterance_have_times_within_it(utterances: list[Utterance]) -> None:
    """Features set it in the middle of 1.5 s of noise: 0.5 s of it before an utterance of half a second."""
    torch.manual_seed(5)
    spec, vocabulary = PRESETS["kaldi-mvn-78db-1.5s"], Vocabulary.from_texts(["a", "b", "c"], "words")
    model = AcousticModel(Architecture("cnn", "tiny", 4), vocabulary, spec, Normalizer()).eval()
    short = [replace(u, duration=0.5) for u in utterances if u.duration >= 1.5]
    found = transcribe(model, short)
    greedy, compared = GreedyDecoder.of_model(model), 0
    for index, log_probs in decode.compute_log_probs(model, short, AudioOptions(spec)):
        [padded] = greedy.decode([log_probs])
        times = [(word.start_s, word.end_s) for word in found[short[index].id].words]
        assert all(0.0 <= start < end <= 0.5 for start, end in times)
        inside = [(max(0.0, word.start_s - 0.5), min(0.5, word.end_s - 0.5)) for word in padded.words]
        pairs = zip(times, inside, strict=True)  # words of the noise alone have a millisecond at an end
        assert all(time == pytest.approx(span) for time, span in pairs if span[1] - span[0] > 0.002)
        compared += any(start > 0.0 for start, _ in times)
    assert compared
    whole = next(u for u in utterances if u.duration >= 1.5)
    words = transcribe(model, [whole])[whole.id].words
    [(_, log_probs)] = decode.compute_log_probs(model, [whole], AudioOptions(spec))
    assert words == greedy.decode([log_probs])[0].words


def test_batches_depend_on_the_utterances_alone(
    model: AcousticModel, utterances: list[Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes decode the batches that one process decodes, each batch once; a long utterance is not divided."""
    monkeypatch.setattr(decode, "DECODE_FRAMES", 500)
    monkeypatch.setattr("speechxfer.decoding.windows.MAX_WHOLE_S", 1.2)
    monkeypatch.setattr("speechxfer.decoding.windows.WINDOW_S", 0.5)
    monkeypatch.setattr("speechxfer.decoding.windows.CONTEXT_S", 0.1)
    audio = AudioOptions(model.spec)
    expected = {index: values for index, values in decode.compute_log_probs(model, utterances, audio)}
    computed: dict[int, Tensor] = {}
    batches: dict[int, list[tuple[str, ...]]] = {1: [], 2: []}
    for processes in (1, 2):
        seen = batches[processes]
        monkeypatch.setattr(
            decode, "collate", lambda ids, *rest, seen=seen: (seen.append(tuple(ids)), collate(ids, *rest))[1]
        )
        for rank in range(processes):
            monkeypatch.setattr(decode, "rank_and_world_size", lambda rank=rank, n=processes: (rank, n))
            part = dict(decode.compute_log_probs(model, utterances, audio))
            if processes == 2:
                assert part and not part.keys() & computed.keys()
                computed.update(part)
    assert sorted(batches[1]) == sorted(batches[2]) and len(batches[1]) > 3
    assert any("@" in ids[0] for ids in batches[1]), "some are long"
    assert computed.keys() == expected.keys() == set(range(24))
    assert all(torch.equal(computed[index], values) for index, values in expected.items())


def test_every_process_gets_the_hypotheses_of_all(
    model: AcousticModel, utterances: list[Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = transcribe(model, utterances)
    monkeypatch.setattr(decode, "DECODE_FRAMES", 500)
    audio = AudioOptions(model.spec)
    monkeypatch.setattr(decode, "rank_and_world_size", lambda: (1, 2))
    decoder = GreedyDecoder.of_model(model)
    others = [(i, decoder.decode([values])[0]) for i, values in decode.compute_log_probs(model, utterances, audio)]
    assert 0 < len(others) < 24
    monkeypatch.setattr(decode, "rank_and_world_size", lambda: (0, 2))
    monkeypatch.setattr(transcription, "rank_and_world_size", lambda: (0, 2))
    monkeypatch.setattr(transcription, "gather_items", lambda own: [*others, *own])
    together = transcribe(model, utterances)
    assert {name: h.text for name, h in together.items()} == {name: h.text for name, h in expected.items()}


def test_a_model_in_training_mode_is_evaluated_without_dropout_and_stays_in_training_mode(
    model: AcousticModel, utterances: list[Utterance]
) -> None:
    model.eval()
    expected = transcribe(model, utterances)
    model.train()
    buffers = [value.clone() for value in model.buffers()]
    assert transcribe(model, utterances) == expected
    assert model.training and all(torch.equal(a, b) for a, b in zip(buffers, model.buffers(), strict=True))


def test_stored_features_read_the_same(model: AcousticModel, utterances: list[Utterance], tmp_path: Path) -> None:
    audio = AudioOptions(model.spec)
    store = store_features(utterances, audio, tmp_path)
    assert decode_utterances(model, utterances, audio, store=store) == transcribe(model, utterances)


def test_errors_name_the_utterance_that_cannot_be_decoded(model: AcousticModel, utterances: list[Utterance]) -> None:
    with pytest.raises(InputError, match=f"{utterances[3].id}: 0.02 s is shorter than one analysis window"):
        transcribe(model, [*utterances[:3], replace(utterances[3], duration=0.02)])
    with pytest.raises(InputError, match=f"{utterances[3].id}' occurs twice"):
        transcribe(model, [*utterances, utterances[3]])
    gone = replace(utterances[0], audio_filepath=Path("gone.wav"))
    with pytest.raises(InputError, match=r"gone\.wav"):
        transcribe(model, [gone])


def test_evaluation_scores_the_manifests_own_texts(
    model: AcousticModel, utterances: list[Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    """References are the manifest's normalised texts, also where the vocabulary lacks a symbol."""
    said = {"x": "ab cd", "y": "a"}
    monkeypatch.setattr(
        "speechxfer.decoding.evaluation.transcribe",
        lambda *_, **__: {n: Hypothesis(t, 1, 0, 1.0) for n, t in said.items()},
    )
    spoken = [replace(utterances[0], id="x", text="AB, cd!"), replace(utterances[1], id="y", text="a ŋ")]
    report = evaluate(model, spoken)
    assert (report.words, report.deletions, report.substitutions, report.insertions) == (4, 1, 0, 0)
    assert report.unknown_symbols == (("ŋ", 1),)
    assert {row.reference for row in report.utterances} == {"AB, cd!", "a ŋ"}


def test_models_with_decomposed_symbols_are_scored_composed(utterances: list[Utterance]) -> None:
    """One wrong accent is one wrong character of two, whether the model writes it as one symbol or as two."""
    normalizer = Normalizer(form="NFD")
    vocabulary = Vocabulary.from_texts(["è", "a"], normalizer=normalizer)
    model = SimpleNamespace(normalizer=normalizer, vocabulary=vocabulary, calibration=None)
    report = score_hypotheses(model, [replace(utterances[0], id="x", text="éa")], {"x": Hypothesis("èa", 1, 0, 1.0)})
    assert report.cer == 0.5
    assert report.unknown_symbols == (("\u0301", 1),)


def test_phones_count_once_each_and_spaces_do_not(utterances: list[Utterance]) -> None:
    """Of t ʃ a one is wrong and one is missing: two thirds, in phones and in characters."""
    vocabulary = Vocabulary.from_texts(["t ʃ a ɪ"], "phones")
    model = SimpleNamespace(
        normalizer=Normalizer(lowercase=False, punctuation="keep"), vocabulary=vocabulary, calibration=None
    )
    report = score_hypotheses(
        model, [replace(utterances[0], id="x", text="t ʃ a")], {"x": Hypothesis("t ɪ", 1, 0, 1.0)}
    )
    assert report.wer == report.cer == pytest.approx(2 / 3)


# Windows -------------------------------------------------------------------------------------------------------------


def test_windows_by_hand() -> None:
    """45 s at 0.04 s: 1,125 frames in three windows of 375, with 2 s (50 frames) of context on each inner side."""
    long = Utterance("a", Path("a.wav"), 45.0, "text", offset=5.0, speaker="s")
    first, middle, last = window_utterances([long], 0.04)
    assert (first.utterance.offset, first.utterance.duration, first.keep) == (5.0, pytest.approx(17.0), slice(0, 375))
    assert (middle.utterance.offset, middle.utterance.duration) == (pytest.approx(18.0), pytest.approx(19.0))
    assert middle.keep == slice(50, 425)
    assert (last.utterance.offset, last.utterance.duration) == (pytest.approx(33.0), pytest.approx(17.0))
    assert last.keep == slice(50, None)
    assert window_utterances([replace(long, duration=30.0)], 0.04)[0].utterance.duration == 30.0


@settings(deadline=None, max_examples=80)
@given(st.floats(MAX_WHOLE_S + 0.01, 20_000.0), st.sampled_from([0.01, 0.02, 0.04, 0.08, 0.0125 * 4]))
def test_the_kept_frames_of_windows_follow_one_another(duration_s: float, frame_s: float) -> None:
    windows = window_utterances([Utterance("a", Path("a.wav"), duration_s)], frame_s)
    position = 0
    for number, window in enumerate(windows):
        start = round(window.utterance.offset / frame_s)
        assert start * frame_s == pytest.approx(window.utterance.offset), "windows start at frames"
        assert start + window.keep.start == position
        assert window.utterance.duration <= WINDOW_S + 2 * CONTEXT_S + 3 * frame_s
        if number:
            assert window.keep.start * frame_s >= CONTEXT_S - 1e-6
        if window.keep.stop is not None:
            position = start + window.keep.stop
            assert window.utterance.duration / frame_s - window.keep.stop >= CONTEXT_S / frame_s - 1e-6
    assert windows[-1].keep.stop is None
    assert windows[-1].utterance.offset + windows[-1].utterance.duration == pytest.approx(duration_s)


@pytest.fixture(scope="module")
def ten_minutes(tmp_path_factory: pytest.TempPathFactory) -> Utterance:
    """A recording of ten minutes of tones, with a pause of half a second about every five seconds."""
    folder = tmp_path_factory.mktemp("long")
    rows = write_tone_corpus(folder / "short.jsonl", 12, letters="abcd", seed=5, words=(3, 4))
    pause = np.random.default_rng(0).normal(0, 1e-4, 8_000)
    phrases = [part for row in rows for part in (soundfile.read(row.audio_filepath)[0], pause)]
    samples = np.resize(np.concatenate(phrases), 600 * 16_000).astype(np.float32)
    soundfile.write(folder / "long.wav", samples, 16_000)
    return Utterance("long", folder / "long.wav", 600.0, "a")


def test_ten_minutes_are_decoded_alike_by_every_path_in_bounded_batches(
    model: AcousticModel, ten_minutes: Utterance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A recording, an utterance of a manifest and dev in training: the same segments, cut at pauses; the encoder: windows."""
    shapes: list[tuple[int, ...]] = []
    monkeypatch.setattr(decode, "collate", lambda ids, features, *rest: observe(collate(ids, features, *rest), shapes))
    from_path = transcribe(model, ten_minutes.audio_filepath)
    from_manifest = transcribe(model, [ten_minutes])["long"]
    audio = AudioOptions(model.spec)
    segmented = segment_utterances([ten_minutes], audio)
    windows = [w.utterance for w in window_utterances(segmented.segments, decode.frame_duration_s(model))]
    store = store_features(windows, audio, tmp_path)
    from_dev = decode_utterances(model, segmented, audio, store=store)["long"]
    assert from_path == from_manifest == from_dev and len(from_path.text) > 100
    assert " ".join(word.text for word in from_path.words) == from_path.text
    assert all(a.end_s <= b.start_s + 0.041 for a, b in itertools.pairwise(from_path.words))
    assert from_path.words[-1].end_s > 590
    assert sum(segment.duration for segment in segmented.segments) == pytest.approx(600.0)
    assert 30 <= len(segmented.segments) < 160
    [encoded] = decode.encode_utterances(model, [ten_minutes], audio)
    assert abs(len(encoded) - 15_000) < 5
    assert max(frames for _, frames, _ in shapes) <= 2_404
    assert max(count * frames for count, frames, _ in shapes) <= decode.DECODE_FRAMES


def test_a_long_utterance_has_the_words_of_its_segments(model: AcousticModel, ten_minutes: Utterance) -> None:
    """With their times in the utterance, which starts 20 s after the recording."""
    part = replace(ten_minutes, offset=20.0, duration=100.0)
    audio = AudioOptions(model.spec)
    segments = segment_utterances([part], audio).segments
    whole, parts = transcribe(model, [part])["long"], transcribe(model, segments)
    assert whole.text == " ".join(parts[segment.id].text for segment in segments if parts[segment.id].text)
    expected = [
        (word.text, segment.offset - 20.0 + word.start_s, segment.offset - 20.0 + word.end_s)
        for segment in segments
        for word in parts[segment.id].words
    ]
    assert [word.text for word in whole.words] == [text for text, _, _ in expected]
    times = [time for word in whole.words for time in (word.start_s, word.end_s)]
    assert times == pytest.approx([time for _, *pair in expected for time in pair])


def test_hypotheses_of_segments_are_joined_by_hand() -> None:
    """Confidence is the geometric mean over all frames that are not blank: 0.5 twice and 0.25 once."""
    parts = [
        Hypothesis(
            "a b", 3, 1, 0.5, (Word("a", 0.0, 0.1, 0.5), Word("b", 0.2, 0.3, 0.5)), (ScoredText("a b", -1.0, -2.0),)
        ),
        Hypothesis("", 4, 4, 0.0, (), (ScoredText("", -0.5, -0.5),)),
        Hypothesis(
            "c", 2, 1, 0.25, (Word("c", 0.1, 0.2, 0.25),), (ScoredText("c", -3.0, -4.0), ScoredText("d", -5.0, -5.0))
        ),
    ]
    joined = join_hypotheses(parts, [0.0, 10.0, 20.0])
    assert (joined.text, joined.frames, joined.blank_frames) == ("a b c", 9, 6)
    assert joined.confidence == pytest.approx((0.5 * 0.5 * 0.25) ** (1 / 3))
    assert [(word.text, word.start_s, word.end_s) for word in joined.words[1:]] == [("b", 0.2, 0.3), ("c", 20.1, 20.2)]
    assert joined.alternatives == (ScoredText("a b c", -4.5, -6.5),)
    assert join_hypotheses(parts[1:2], [5.0]) == parts[1]


def test_windows_give_the_frames_of_the_whole(
    model: AcousticModel, ten_minutes: Utterance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The convolutional model sees less than the context of a window, so its outputs are those of the whole recording.

    Features must not be normalised over the window for that, so they are taken without it.
    """
    spec = replace(model.spec, normalize="none") if hasattr(model.spec, "normalize") else model.spec
    torch.manual_seed(3)
    plain = AcousticModel(model.architecture, model.vocabulary, spec, Normalizer()).eval()
    part = replace(ten_minutes, duration=70.0)
    audio = AudioOptions(spec)
    [(_, windowed)] = decode.compute_log_probs(plain, [part], audio)
    monkeypatch.setattr("speechxfer.decoding.windows.MAX_WHOLE_S", 100.0)
    [(_, whole)] = decode.compute_log_probs(plain, [part], audio)
    assert windowed.shape == whole.shape
    assert torch.allclose(windowed, whole, atol=1e-4)


def observe(batch: Batch, shapes: list[tuple[int, ...]]) -> Batch:
    """The batch, whose shape is noted."""
    shapes.append(tuple(batch.features.shape))
    return batch


def test_padding_is_not_decoded(model: AcousticModel, utterances: list[Utterance]) -> None:
    model.eval()
    longest = max(utterances, key=lambda u: u.duration)
    shortest = min(utterances, key=lambda u: u.duration)
    store = [decode.utterance_features(u, AudioOptions(model.spec)) for u in (shortest, longest)]
    decoder = GreedyDecoder.of_model(model)
    outputs = []
    for count in (1, 2):
        batch = collate(["a", "b"][:count], store[:count], [[], []][:count])
        with torch.inference_mode():
            log_probs, lengths = model(batch.features, batch.lengths)
        outputs.append(log_probs[0, : lengths[0]])
    alone, batched = decoder.decode(outputs)
    assert (batched.text, batched.frames, batched.blank_frames) == (alone.text, alone.frames, alone.blank_frames)


def test_the_filterbank_that_decoding_makes_can_be_used_in_training(
    model: AcousticModel, utterances: list[Utterance]
) -> None:
    """Its tables are no inference tensors, which autograd could not save."""
    log_mel._cached_filterbank.cache_clear()
    transcribe(model, utterances[:1])
    weight = torch.ones(80, requires_grad=True)
    tables = log_mel._cached_filterbank(model.spec)
    assert not any(table.is_inference() for table in tables.buffers())
    (filterbank(torch.ones(4_000), model.spec) * weight).sum().backward()
