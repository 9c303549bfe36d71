"""The verb `transcribe`: texts of recordings and manifests, one after the other.

Each result is available as soon as it is computed, and an input that cannot be read does not stop the others.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from speechxfer.checkpoints import load_model
from speechxfer.data import Utterance, collect_audio_warnings, read_manifest
from speechxfer.decoding import PhoneInventory, PhoneOptions, recording_utterance, segment_recording, transcribe
from speechxfer.errors import InputError, first_names
from speechxfer.features import AudioOptions
from speechxfer.models import AcousticModel
from speechxfer.runtime import default_device, log_info
from speechxfer.workflows.run_inputs import trained_audio_options

CHUNK_S = 300.0  # speech that is transcribed before its results are printed


def transcribe_inputs(
    model: str,
    inputs: Sequence[Path],
    *,
    resample: bool | None = None,
    mono: bool | None = None,
    phones: PhoneOptions | None = None,
) -> Iterator[tuple[str, str]]:
    """Transcribe recordings and manifests, in their order.

    Recordings longer than half a minute are cut at pauses. What cannot be transcribed is reported on stderr with its cause;
    an error follows after the last result.

    Args:
        model: name as for `load_model`.
        inputs: audio files, and manifests (``.jsonl``).
        resample, mono: permissions as in `read_audio`; None: as the model was trained.
        phones: to which the output of a phone model is restricted, of manifests and recordings alike.

    Yields:
        Id and text: of a manifest's utterance its id, of a segment of a recording ``PATH@START`` with its start in seconds.

    Raises:
        InputError: no such model, phones that do not suit it, an id in two manifests, or, at the end, inputs that could not be
            transcribed.
    """
    loaded = load_model(model).to(default_device())
    inventory = phones.inventory(loaded) if phones else None
    audio = trained_audio_options(model, loaded.spec, resample, mono)
    only_recording = len(inputs) == 1 and inputs[0].suffix != ".jsonl"
    failed: list[str] | None = None if only_recording else []  # None: the first error ends it
    for path, utterances in _opened(inputs, failed):
        try:
            items = utterances if utterances is not None else _segments(path, audio)
        except InputError as error:
            _report(error, str(path), failed)
            continue
        with collect_audio_warnings():
            for chunk in _chunks(items):
                yield from _transcribe_chunk(loaded, chunk, audio, inventory, failed)
    if failed:
        raise InputError(
            f"{len(failed)} not transcribed, for the reasons above: {first_names(failed)}; the others are complete"
        )


def _opened(inputs: Sequence[Path], failed: list[str] | None) -> list[tuple[Path, list[Utterance] | None]]:
    """Every input with the utterances of a manifest, or None for a recording."""
    opened: list[tuple[Path, list[Utterance] | None]] = []
    for path in inputs:
        try:
            opened.append((path, read_manifest(path) if path.suffix == ".jsonl" else None))
        except InputError as error:
            _report(error, str(path), failed)
    counts = Counter(utterance.id for _, utterances in opened for utterance in utterances or [])
    repeated = [id_ for id_, count in counts.items() if count > 1]
    if repeated:
        raise InputError(
            f"id {repeated[0]!r} occurs twice in the manifests; ids must be unique: transcribe them separately"
        )
    return opened


def _segments(path: Path, audio: AudioOptions) -> list[Utterance]:
    recording = recording_utterance(path)
    segments = segment_recording(recording, audio)
    return segments if len(segments) > 1 else [Utterance(f"{path}@0.00", path, recording.duration)]


def _chunks(utterances: Sequence[Utterance]) -> Iterator[list[Utterance]]:
    """Consecutive utterances of about `CHUNK_S` together."""
    chunk: list[Utterance] = []
    for utterance in utterances:
        chunk.append(utterance)
        if sum(one.duration for one in chunk) >= CHUNK_S:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _transcribe_chunk(
    model: AcousticModel,
    chunk: Sequence[Utterance],
    audio: AudioOptions,
    inventory: PhoneInventory | None,
    failed: list[str] | None,
) -> Iterator[tuple[str, str]]:
    """Transcribe a chunk in batches; if one of its utterances fails, one by one."""
    try:
        hypotheses = transcribe(model, chunk, resample=audio.resample, mono=audio.mono, phones=inventory)
    except InputError as error:
        if len(chunk) == 1:
            _report(error, chunk[0].id, failed)
        else:
            for utterance in chunk:
                yield from _transcribe_chunk(model, [utterance], audio, inventory, failed)
        return
    for utterance in chunk:
        yield utterance.id, hypotheses[utterance.id].text


def _report(error: InputError, name: str, failed: list[str] | None) -> None:
    if failed is None:
        raise error
    log_info(f"error: {error}")
    failed.append(name)
