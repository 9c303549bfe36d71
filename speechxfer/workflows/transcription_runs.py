"""The verb `transcribe`: texts of recordings and manifests, one after the other.

Each result is available as soon as it is computed, and an input that cannot be read does not stop the others.
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from speechxfer.checkpoints import load_model
from speechxfer.data import Utterance, collect_audio_warnings
from speechxfer.decoding import (
    Decoder,
    Hypothesis,
    PhoneInventory,
    check_writes_phones,
    decode_utterances,
    estimate_phones,
    read_features,
    segment_recording,
    segment_utterances,
)
from speechxfer.errors import InputError, first_names
from speechxfer.features import AudioOptions
from speechxfer.models import AcousticModel
from speechxfer.runtime import check_not_existing, default_device, format_duration, log_info, track_amount
from speechxfer.workflows.decoders import DecodingOptions, open_decoder
from speechxfer.workflows.recordings import Input, expand_inputs, open_inputs
from speechxfer.workflows.transcripts import (
    STREAMED,
    Transcript,
    TranscriptFormat,
    check_names,
    group_by_recording,
    plan_files,
    print_transcripts,
    write_transcript,
)

CHUNK_S = 300.0  # speech that is transcribed before its results are printed
LEAST_REPORTED_SILENCE_S = 60.0


@dataclass(frozen=True)
class ReadingOptions:
    """How `transcribe` reads recordings.

    Attributes:
        resample, mono: convert another sampling rate, and several channels; None: convert, and say so.
        skip_silence: decode only the parts of long recordings in which somebody speaks.
    """

    resample: bool | None = None
    mono: bool | None = None
    skip_silence: bool = True

    def audio(self, model: AcousticModel) -> AudioOptions:
        """How audio becomes features of a model."""
        return AudioOptions(model.spec, self.resample is not False, self.mono is not False)


def transcribe_inputs(
    model: str,
    inputs: Sequence[Path],
    *,
    reading: ReadingOptions | None = None,
    decoding: DecodingOptions | None = None,
) -> Iterator[tuple[str, Hypothesis]]:
    """Transcribe recordings and manifests, in their order.

    Recordings longer than half a minute are cut at pauses. What cannot be transcribed is reported on stderr with its cause;
    an error follows after the last result.

    Args:
        model: name as for `load_model`.
        inputs: audio files, folders of them, patterns, ``-`` (standard input), and manifests (``.jsonl``).
        reading: conversion and silence; None: recordings are converted, and long silences skipped.
        decoding: language models, phrases, number of alternatives, phones; None: as for `evaluate_models`.

    Yields:
        Id and hypothesis: of a manifest's utterance its id, of a segment of a recording ``PATH@START`` with its start in seconds.

    Raises:
        InputError: no such model, phones, language models or phrases that do not suit it, no file, an id in two manifests, or, at
            the end, inputs that could not be transcribed.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = _Run.start(model, inputs, Path(folder), reading or ReadingOptions(), decoding or DecodingOptions())
        for _, results, _ in run.transcribe():
            for utterance, hypothesis in results:
                yield utterance.id, hypothesis
        run.raise_failures()


def write_transcripts(
    model: str,
    inputs: Sequence[Path],
    *,
    format: TranscriptFormat = "text",
    out: Path | None = None,
    reading: ReadingOptions | None = None,
    decoding: DecodingOptions | None = None,
) -> Iterator[str]:
    """Transcribe as `transcribe_inputs`, and write one file per recording, or yield what stdout gets.

    Args:
        format: of the files or of stdout.
        out: folder for a file per recording, ``STEM.SUFFIX``; None: for stdout.

    Yields:
        Parts of the output on stdout; none if there is a folder. Text: lines of id TAB text.

    Raises:
        InputError: as for `transcribe_inputs`; or two recordings would have one file, or one that exists already; or several
            recordings in a format of which stdout can have one; or alternatives are wanted in another form than lines on stdout.
    """
    if format == "text" and out is None:
        results = transcribe_inputs(model, inputs, reading=reading, decoding=decoding)
        yield from (f"{line}\n" for line in format_transcripts(results))
        return
    if decoding and decoding.nbest:
        raise InputError(
            f"--nbest {decoding.nbest} prints lines of text; omit it, or omit --format and --out, which write one text only"
        )
    with tempfile.TemporaryDirectory() as folder:
        run = _Run.start(model, inputs, Path(folder), reading or ReadingOptions(), decoding or DecodingOptions())
        media = [path for one in run.inputs for path in _media(one)]
        files = plan_files(media, format, out) if out else {}
        check_not_existing(files.values())
        if not out and format not in STREAMED and len(set(media)) > 1:
            raise InputError(
                f"--format {format} holds one recording, and there are {len(set(media))}; add --out FOLDER"
            )
        if not out:
            check_names(media, format)
        first = True
        for one, transcripts in run.transcripts():
            for transcript in transcripts:
                if out:
                    write_transcript(transcript, format, files[transcript.media])
            if not out:
                yield print_transcripts(transcripts, format, first=first)
                first = False
            elif transcripts:
                names = first_names([str(files[transcript.media]) for transcript in transcripts])
                log_info(f"{one.name}: written to {names}")
        run.raise_failures()


def format_transcripts(results: Iterable[tuple[str, Hypothesis]]) -> Iterator[str]:
    """Lines of id TAB text; with alternatives, a line for each: id TAB rank TAB score TAB text."""
    for name, hypothesis in results:
        if not hypothesis.alternatives:
            yield f"{name}\t{hypothesis.text}"
        for rank, alternative in enumerate(hypothesis.alternatives, start=1):
            yield f"{name}\t{rank}\t{alternative.score:.3f}\t{alternative.text}"


def _media(one: Input) -> list[Path]:
    """The recordings of an input, as their transcripts name them."""
    return [Path(one.name)] if one.header else [utterance.audio_filepath for utterance in one.utterances]


_Results = list[tuple[Utterance, Hypothesis]]


@dataclass(frozen=True)
class _Run:
    """A loaded model with its decoder, and opened inputs.

    Attributes:
        inventory: of phones; None: all symbols of the model, or, where `estimates_phones`, none as yet.
        failed: the names of what failed; None: the first error ends the run.
    """

    model: AcousticModel
    inventory: PhoneInventory | None
    decoder: Decoder | None
    audio: AudioOptions
    skip_silence: bool
    inputs: tuple[Input, ...]
    failed: list[str] | None
    estimates_phones: bool

    @classmethod
    def start(
        cls, name: str, arguments: Sequence[Path], folder: Path, reading: ReadingOptions, decoding: DecodingOptions
    ) -> "_Run":
        """Load the model and open the inputs; `folder`: for standard input."""
        paths = expand_inputs(arguments)
        model = load_model(name).to(default_device())
        is_auto = decoding.phones.is_auto
        if is_auto:
            check_writes_phones(model)
        inventory = None if is_auto else decoding.phones.inventory(model)
        decoder = open_decoder(name, model, decoding, inventory)
        failed: list[str] | None = None if len(paths) == 1 and paths[0].suffix != ".jsonl" else []
        run = cls(model, inventory, decoder, reading.audio(model), reading.skip_silence, (), failed, is_auto)
        return replace(run, inputs=tuple(open_inputs(paths, folder, run.audio, run.report)))

    def transcribe(self) -> Iterator[tuple[Input, _Results, bool]]:
        """Each input with the results of some of its utterances, as soon as they are there, and whether they are its last."""
        if self.estimates_phones:
            utterances = [utterance for one in self.inputs for utterance in one.utterances]
            inventory = estimate_phones(self.model, utterances, self.audio)
            yield from replace(self, inventory=inventory, estimates_phones=False).transcribe()
            return
        total_s = sum(one.duration_s for one in self.inputs)
        with track_amount("transcribing, seconds of sound", total_s) as set_done, collect_audio_warnings():
            before_s = 0.0
            for one in self.inputs:
                for results, done_s in self._transcribe_input(one):
                    set_done(before_s + done_s)
                    yield one, results, False
                before_s += one.duration_s
                yield one, [], True

    def transcripts(self) -> Iterator[tuple[Input, list[Transcript]]]:
        """Each input with the transcripts of its recordings, when it is done."""
        results: _Results = []
        for one, some, is_last in self.transcribe():
            results += some
            if is_last and one.header:
                yield one, [Transcript(Path(one.name), one.duration_s, tuple(results))]
            elif is_last:
                yield one, group_by_recording(results)
            results = [] if is_last else results

    def _transcribe_input(self, one: Input) -> Iterator[tuple[_Results, float]]:
        """The results of consecutive utterances, and how many seconds of the input are done."""
        try:
            utterances = list(one.utterances) if one.header is None else self._segments(one.utterances[0])
        except InputError as error:
            self.report(error, one.name)
            return
        done_s = 0.0
        for chunk in _chunks(utterances):
            done_s = chunk[-1].offset + chunk[-1].duration if one.header else done_s + _seconds(chunk)
            yield self._decode(chunk), done_s

    def _segments(self, recording: Utterance) -> list[Utterance]:
        segments = segment_recording(recording, self.audio, skip_silence=self.skip_silence)
        if segments == [recording]:
            return [replace(recording, id=f"{recording.id}@0.00")]
        skipped_s = recording.duration - _seconds(segments)
        if not segments:
            log_info(f"warning: {recording.id}: nobody speaks in its {format_duration(recording.duration)}")
        elif skipped_s > LEAST_REPORTED_SILENCE_S:
            log_info(f"{recording.id}: {format_duration(skipped_s)} of silence or noise skipped")
        return segments

    def _decode(self, chunk: Sequence[Utterance]) -> _Results:
        """Decode utterances in batches; if one of them fails, one by one."""
        try:
            # Of one long utterance, windows are read as they are needed, so that memory is bounded.
            segmented = segment_utterances(chunk, self.audio)
            store = read_features(self.model, segmented.segments, self.audio) if len(chunk) > 1 else None
            hypotheses = decode_utterances(
                self.model, segmented, self.audio, store=store, inventory=self.inventory, decoder=self.decoder
            )
        except InputError as error:
            if len(chunk) > 1:
                return [result for utterance in chunk for result in self._decode([utterance])]
            self.report(error, chunk[0].id)
            return []
        return [(utterance, hypotheses[utterance.id]) for utterance in chunk]

    def report(self, error: InputError, name: str) -> None:
        """Log an error and remember what failed, or raise it if there is nothing else to transcribe."""
        if self.failed is None:
            raise error
        log_info(f"error: {error}")
        self.failed.append(name)

    def raise_failures(self) -> None:
        """InputError if something failed."""
        if self.failed:
            raise InputError(
                f"{len(self.failed)} not transcribed, for the reasons above: {first_names(self.failed)}; the others are complete"
            )


def _chunks(utterances: Sequence[Utterance]) -> Iterator[list[Utterance]]:
    """Consecutive utterances of about `CHUNK_S` together; a longer one has a chunk of its own."""
    chunk: list[Utterance] = []
    for utterance in utterances:
        if chunk and _seconds(chunk) + utterance.duration > CHUNK_S:
            yield chunk
            chunk = []
        chunk.append(utterance)
    if chunk:
        yield chunk


def _seconds(utterances: Sequence[Utterance]) -> float:
    return sum(utterance.duration for utterance in utterances)
