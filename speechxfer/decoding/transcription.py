"""Transcription of utterances and recordings: log-probabilities (``log_probs.py``), then a decoder."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

from torch import Tensor

from speechxfer.data import Utterance, collect_audio_warnings, read_audio_header
from speechxfer.decoding.decoder import Decoder
from speechxfer.decoding.greedy import GreedyDecoder
from speechxfer.decoding.hypotheses import Hypothesis, calibrate, join_hypotheses, place_words
from speechxfer.decoding.inventory import PhoneInventory
from speechxfer.decoding.log_probs import compute_log_probs
from speechxfer.decoding.phone_options import Phones, resolve_phones
from speechxfer.decoding.segmentation import SegmentedUtterances, segment_utterances
from speechxfer.errors import InputError
from speechxfer.features import AudioOptions, FeatureSource, report_resampling
from speechxfer.models import AcousticModel
from speechxfer.runtime import gather_items, rank_and_world_size

GROUP_FRAMES = 20_000  # encoder frames that are decoded together: utterances of about a quarter of an hour


@overload
def transcribe(
    model: AcousticModel,
    inputs: Sequence[Utterance],
    *,
    resample: bool | None = ...,
    mono: bool | None = ...,
    phones: Phones | None = ...,
    decoder: Decoder | None = ...,
) -> dict[str, Hypothesis]: ...


@overload
def transcribe(
    model: AcousticModel,
    inputs: Path | str,
    *,
    resample: bool | None = ...,
    mono: bool | None = ...,
    phones: Phones | None = ...,
    decoder: Decoder | None = ...,
) -> Hypothesis: ...


def transcribe(
    model: AcousticModel,
    inputs: Sequence[Utterance] | Path | str,
    *,
    resample: bool | None = None,
    mono: bool | None = None,
    phones: Phones | None = None,
    decoder: Decoder | None = None,
) -> dict[str, Hypothesis] | Hypothesis:
    """Transcribe utterances or one recording, on the model's device, in evaluation mode and float32.

    Of several processes each gets all hypotheses.

    Args:
        model: its device is used; its mode (training or evaluation) is restored.
        inputs: utterances, or the path of a recording.
        resample: permission as in `read_audio`; None: a recording is converted, utterances are not.
        mono: likewise.
        phones: of a phone model, the phones that it may write, as for `match_phones` (package ``decoding``), or what that
            returned; "auto": those of the inputs, which are in one language, as for `estimate_phones`; None: all of them.
        decoder: how log-probabilities become text; None: greedy decoding.

    Returns:
        For utterances, one hypothesis each, by id and in their order; for a recording, its hypothesis.

    Raises:
        InputError: an id that occurs twice, unreadable audio, or an utterance too short for one frame; the message names it.
            Or the model is an encoder without an output layer, or `phones` do not suit it.

    >>> import speechxfer as sx
    >>> model = sx.load_model("english")
    >>> hypothesis = sx.transcribe(model, "new.wav")
    >>> print(f"{hypothesis.text!r}, confidence {hypothesis.confidence:.2f}")
    '...', confidence 0...
    >>> hypotheses = sx.transcribe(model, sx.read_manifest("data/test.jsonl"))
    >>> len(hypotheses)
    8
    """
    if isinstance(inputs, Path | str):
        recording, permissions = recording_utterance(inputs), (resample is not False, mono is not False)
        return transcribe(
            model, [recording], resample=permissions[0], mono=permissions[1], phones=phones, decoder=decoder
        )[recording.id]
    audio = AudioOptions(model.spec, resample or False, mono or False)
    repeated = [id_ for id_, count in Counter(u.id for u in inputs).items() if count > 1]
    if repeated:
        raise InputError(
            f"id {repeated[0]!r} occurs twice among the utterances; ids must be unique: rename or remove one"
        )
    if rank_and_world_size()[0] == 0:
        report_resampling(inputs, audio)
    with collect_audio_warnings():
        inventory = resolve_phones(model, phones, inputs, audio)
        return decode_utterances(model, inputs, audio, inventory=inventory, decoder=decoder)


def recording_utterance(path: Path | str) -> Utterance:
    """A whole recording as one utterance; its id is the path. InputError if it is no audio file."""
    header = read_audio_header(path)
    return Utterance(str(path), Path(path), header.samples / header.rate_hz)


def _groups(outputs: Iterable[tuple[int, Tensor]]) -> Iterator[list[tuple[int, Tensor]]]:
    """Consecutive outputs of about `GROUP_FRAMES` together."""
    group: list[tuple[int, Tensor]] = []
    for output in outputs:
        group.append(output)
        if sum(len(log_probs) for _, log_probs in group) >= GROUP_FRAMES:
            yield group
            group = []
    if group:
        yield group


def decode_utterances(
    model: AcousticModel,
    utterances: Sequence[Utterance] | SegmentedUtterances,
    audio: AudioOptions,
    *,
    store: FeatureSource | None = None,
    inventory: PhoneInventory | None = None,
    decoder: Decoder | None = None,
) -> dict[str, Hypothesis]:
    """Hypotheses of utterances with different ids, as `transcribe` returns them; arguments as for `compute_log_probs`.

    Args:
        utterances: long ones are cut at pauses, unless they have been cut by `segment_utterances` already.
        store: features of the windows of the segments.
    """
    chosen = decoder or GreedyDecoder.of_model(model, inventory.vocabulary if inventory else None)
    segmented = utterances
    if not isinstance(segmented, SegmentedUtterances):
        segmented = segment_utterances(segmented, audio)
    segments = segmented.segments
    own: list[tuple[int, Hypothesis]] = []
    for group in _groups(compute_log_probs(model, segments, audio, store=store, inventory=inventory)):
        indices, log_probs = zip(*group, strict=True)
        for index, hypothesis in zip(indices, chosen.decode(log_probs), strict=True):
            own.append((index, place_words(hypothesis, model.spec, segments[index].duration)))
    by_index = dict(gather_items(own))
    joined: dict[str, Hypothesis] = {}
    for utterance, numbers in segmented.ranges():
        starts_s = [segments[number].offset - utterance.offset for number in numbers]
        whole = join_hypotheses([by_index[number] for number in numbers], starts_s)
        joined[utterance.id] = calibrate(whole, chosen.calibration)
    return joined
