"""Alignment of utterances with their texts: log-probabilities, a path, boundaries."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from speechxfer.alignment.boundaries import Piece, Times, place_boundaries, train_classifier
from speechxfer.alignment.pieces import FoundUtterance, cut_pieces, place_found, read_path
from speechxfer.alignment.results import AlignedSymbol, AlignedWord, Alignment
from speechxfer.alignment.transcripts import Transcript, Unknown, build_transcript
from speechxfer.alignment.trellis import Costs, find_path
from speechxfer.data import Samples, Utterance, collect_audio_warnings
from speechxfer.decoding import compute_log_probs, frame_duration_s
from speechxfer.errors import InputError, first_names
from speechxfer.features import AudioOptions, feature_preset, utterance_features
from speechxfer.models import AcousticModel
from speechxfer.runtime import gather_items, log_info, track

Boundaries = Literal["frames", "ctc"]
FRAME_FEATURES = feature_preset("kaldi-mvn-78db")
MIN_TRAINING_S = 5.0  # of speech, for the frame classifier


@dataclass(frozen=True)
class AlignmentOptions:
    """How to align.

    Attributes:
        unknown: what happens to characters or phones that the model lacks: "error", or "wildcard", which stands for any one
            symbol and is listed in the word's `unknown`.
        forced: give every word a place, and flag nothing.
        boundaries: "frames", or "ctc" for the times of CTC alone.
    """

    unknown: Unknown = "error"
    forced: bool = False
    boundaries: Boundaries = "frames"


DEFAULT_OPTIONS = AlignmentOptions()


def align(
    model: AcousticModel,
    utterances: Sequence[Utterance],
    *,
    resample: bool = False,
    mono: bool = False,
    options: AlignmentOptions = DEFAULT_OPTIONS,
) -> dict[str, Alignment]:
    """Find when each word and symbol of the utterances' texts is spoken.

    Words that are not in the recording and speech that is not in the text are flagged. Boundaries are placed on frames of 10 ms
    by a classifier trained on these utterances, which needs `MIN_TRAINING_S` of speech; with less, they are those of CTC,
    and stderr says so.

    Args:
        model: its device is used.
        utterances: with texts. A recording of any length is one utterance; memory grows with its length by about 100 MB an hour.
        resample, mono: permissions as in `read_audio`.
        options: how unknown symbols, missing words and boundaries are treated.

    Returns:
        the alignment of each utterance, by id and in their order.

    Raises:
        InputError: an id occurs twice, an utterance has no text, a symbol is unknown, audio cannot be read, the model is a
            classifier or has no output layer, or with `options.forced` a text is too long for its recording; the message
            names it.

    >>> import speechxfer as sx
    >>> from speechxfer.alignment import align
    >>> utterances = sx.read_manifest("data/test.jsonl")
    >>> alignments = align(sx.load_model("english"), utterances)
    >>> len(alignments)
    8
    """
    _check(model, utterances)
    transcripts = [
        build_transcript(model.normalizer(u.text), model.vocabulary, unknown=options.unknown, where=u.id)
        for u in utterances
    ]
    audio = AudioOptions(model.spec, resample, mono)
    with collect_audio_warnings():
        found = _find(model, utterances, transcripts, audio, None if options.forced else Costs())
        pieces = [
            piece
            for number, utterance in enumerate(utterances)
            for piece in cut_pieces(number, found[number], utterance.duration)
        ]
        placed = _place(pieces, utterances, mono) if options.boundaries == "frames" else {}
    times: list[Times] = [[] for _ in utterances]
    corrected = [options.boundaries == "frames"] * len(utterances)
    for index, piece in enumerate(pieces):
        own = placed.get(index)
        corrected[piece.utterance] &= own is not None
        times[piece.utterance] += [(piece.start_s + a, piece.start_s + b) for a, b in own or piece.times]
    return {
        utterance.id: _result(found[i], transcripts[i], times[i], corrected[i])
        for i, utterance in enumerate(utterances)
    }


def _check(model: AcousticModel, utterances: Sequence[Utterance]) -> None:
    if model.task != "ctc":
        raise InputError(
            f"{model.name or 'the model'} is a classifier, which gives no times; align with a model of task ctc"
        )
    repeated = [id_ for id_, count in Counter(u.id for u in utterances).items() if count > 1]
    if repeated:
        raise InputError(f"id {repeated[0]!r} occurs twice among the utterances; ids must be unique: rename one")
    silent = [utterance.id for utterance in utterances if not utterance.text.strip()]
    if silent:
        raise InputError(f"no text to align: {first_names(silent)}; give their transcripts, or remove them")


def _find(
    model: AcousticModel,
    utterances: Sequence[Utterance],
    transcripts: Sequence[Transcript],
    audio: AudioOptions,
    costs: Costs | None,
) -> list[FoundUtterance]:
    """The words of each utterance in the encoder's frames."""
    own: list[tuple[int, FoundUtterance]] = []
    frame_s = frame_duration_s(model)
    for index, log_probs in compute_log_probs(model, utterances, audio):
        values = log_probs.numpy()
        path = find_path(values, transcripts[index], costs)
        if path is None:
            raise InputError(
                f"{utterances[index].id}: {len(transcripts[index].ids)} symbols do not fit into {len(values)} frames; "
                "correct its text or its times, or align it without --forced"
            )
        found = read_path(path, values, transcripts[index], model.vocabulary, frame_s)
        own.append((index, place_found(found, model.spec, utterances[index].duration)))
    return [found for _, found in sorted(gather_items(own))]


def _place(pieces: Sequence[Piece], utterances: Sequence[Utterance], mono: bool) -> dict[int, Times]:
    """Times of the pieces by the frame classifier, by number of the piece; none where there is too little speech to train it."""
    audio = AudioOptions(FRAME_FEATURES, resample=True, mono=mono)

    def load(piece: Piece) -> Samples:
        utterance = utterances[piece.utterance]
        part = replace(utterance, offset=utterance.offset + piece.start_s, duration=piece.duration_s)
        return utterance_features(part, audio)

    speech_s = sum(end_s - start_s for piece in pieces for start_s, end_s in piece.times)
    if speech_s < MIN_TRAINING_S:
        log_info(
            f"boundaries are those of CTC: {speech_s:.0f} s of aligned speech are too little to train a frame classifier "
            f"(at least {MIN_TRAINING_S:.0f} s)"
        )
        return {}
    classifier = train_classifier(pieces, load)
    placed = {}
    for index, times in enumerate(track(place_boundaries(pieces, load, classifier), "placing boundaries", len(pieces))):
        if times is not None:
            placed[index] = times
    return placed


def _result(found: FoundUtterance, transcript: Transcript, times: Times, corrected: bool) -> Alignment:
    symbols: dict[int, list[AlignedSymbol]] = {}
    for unit, (start_s, end_s) in zip(found.units, times, strict=True):
        symbols.setdefault(unit.word, []).append(AlignedSymbol(unit.text, start_s, end_s, unit.score))
    words = []
    for number, own in symbols.items():
        word = transcript.words[number]
        score = found.word_scores[number]
        words.append(AlignedWord(word.text, own[0].start_s, own[-1].end_s, score, tuple(own), word.unknown))
    return Alignment(tuple(words), found.missing, found.untranscribed, corrected)
