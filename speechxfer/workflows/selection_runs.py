"""The verb `select`: which untranscribed speech to transcribe next, as a manifest with drafts, and as tiers to correct."""

import shlex
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from speechxfer.checking import CheckSettings, Finding, check_recordings
from speechxfer.checkpoints import load_model
from speechxfer.data import Utterance, collect_audio_warnings, read_concatenated, total_duration_s, write_manifest
from speechxfer.decoding import (
    PhoneInventory,
    PhoneOptions,
    compute_outputs,
    detect_speech,
    find_symbol_spans,
    segment_recording,
)
from speechxfer.errors import InputError, count_of
from speechxfer.features import AudioOptions
from speechxfer.models import AcousticModel
from speechxfer.runtime import check_not_existing, default_device, format_duration, track
from speechxfer.text import Vocabulary
from speechxfer.workflows.decoders import DecodingOptions
from speechxfer.workflows.recordings import expand_inputs, open_inputs
from speechxfer.workflows.selection import Choice, Draft, choose, group_drafts
from speechxfer.workflows.transcription_runs import ReadingOptions, write_transcripts
from speechxfer.workflows.transcripts import plan_files

MINUTES = 20.0
LONGEST_S = 30.0
LEAST_SPEECH = 0.2  # share of an utterance in which somebody speaks
LEAST_SYMBOLS_PER_S = 1.0  # fewer are noise, music, or an utterance that is mostly pause
FAULTS = ("cancelling channels", "digital zeros", "clipping")  # warnings of `check` that exclude, as its errors do
SHOWN_CHOICES = 10
SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class SelectionOptions:
    """How `select` chooses.

    Attributes:
        minutes: of audio to choose.
        transcribed: manifests of what is transcribed already, which is not chosen again and whose speech counts as covered.
        phones: to which the output of a phone model is restricted.
        reading: conversion of recordings; None: they are converted.
    """

    minutes: float = MINUTES
    transcribed: tuple[Path, ...] = ()
    phones: PhoneOptions = field(default_factory=PhoneOptions)
    reading: ReadingOptions = field(default_factory=ReadingOptions)


DEFAULTS = SelectionOptions()


@dataclass(frozen=True)
class Selection:
    """What to transcribe next; ``str()`` gives the tables that the verb prints.

    Attributes:
        choices: in the order in which to transcribe them.
        pool: all drafts that could be chosen, with the group of each.
        excluded: ids of what could not, by reason.
        advice: what was written, and what comes next.
    """

    choices: tuple[Choice, ...]
    pool: tuple[tuple[Draft, str], ...]
    excluded: dict[str, list[str]]
    advice: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = ["group\tpool\tchosen\tuncertainty of pool\tof chosen"]
        for group in sorted({group for _, group in self.pool}):
            pool = [draft for draft, own in self.pool if own == group]
            chosen = [choice.draft for choice in self.choices if choice.group == group]
            cells = (_amount(pool), _amount(chosen), _mean_uncertainty(pool), _mean_uncertainty(chosen))
            lines.append("\t".join([group, *cells]))
        lines += ["", "rank\tid\tseconds\tuncertainty\tdraft"]
        for rank, choice in enumerate(self.choices[:SHOWN_CHOICES], start=1):
            one = choice.draft.utterance
            text = one.text if len(one.text) <= SHOWN_CHARACTERS else f"{one.text[:SHOWN_CHARACTERS]}..."
            lines.append(f"{rank}\t{one.id}\t{one.duration:.1f}\t{choice.draft.uncertainty:.2f}\t{text}")
        more = len(self.choices) - SHOWN_CHOICES
        lines += [f"... and {more:,} more"] if more > 0 else []
        for reason, ids in self.excluded.items():
            lines.append(f"not considered: {len(ids):,} {reason} ({ids[0]}{', ...' if len(ids) > 1 else ''})")
        return "\n".join([*lines, *self.advice])


def select(
    model: str,
    inputs: Sequence[Path | str],
    *,
    out: Path | None = None,
    eaf: Path | None = None,
    options: SelectionOptions = DEFAULTS,
) -> Selection:
    """Choose what to transcribe next: uncertain and diverse speech, for a number of minutes of audio.

    Recordings and utterances of more than half a minute are cut at their pauses first. Excluded are recordings with errors that
    `check` finds, clipping, copies, and utterances in which nobody speaks. The texts of the inputs are not read.

    Args:
        model: name as for `load_model`: adapted on a few minutes, or a phone model where nothing is transcribed yet.
        inputs: manifests, recordings, folders and patterns, as for `transcribe`.
        out: manifest of the chosen utterances in the order in which to transcribe them, with the model's text, `uncertainty` and
            `why`; None: none is written.
        eaf: folder for ELAN documents of the chosen utterances with the model's texts; needs `out`.

    Raises:
        InputError: a model without texts, files that cannot be read, nothing to choose from, or files that exist already.

    >>> import speechxfer as sx
    >>> selection = sx.select("english", ["data/test.jsonl"])
    >>> len(selection.choices)
    8
    """
    _check_places(out, eaf)
    paths = expand_inputs([Path(path) for path in inputs])
    loaded = load_model(model).to(default_device())
    if loaded.task != "ctc":
        raise InputError(f"{model}: is a classifier, which has no texts to correct; give a model that transcribes")
    inventory = options.phones.inventory(loaded)
    audio = options.reading.audio(loaded)
    transcribed = read_concatenated(options.transcribed) if options.transcribed else []
    excluded: defaultdict[str, list[str]] = defaultdict(list)
    with collect_audio_warnings():
        usable = _usable(_read_pool(paths, audio), transcribed, audio, excluded)
        drafts = _make_drafts(loaded, [*usable, *transcribed], audio, inventory)
    known, pool = drafts[len(usable) :], []
    for draft in drafts[: len(usable)]:
        if len(draft.symbols) < LEAST_SYMBOLS_PER_S * draft.utterance.duration:
            excluded["with hardly any symbol in the draft"].append(draft.utterance.id)
        else:
            pool.append(draft)
    groups = group_drafts(pool, known)
    choices = choose(pool, known, groups, 60.0 * options.minutes)
    selection = Selection(tuple(choices), tuple(zip(pool, groups, strict=False)), dict(excluded))
    if not choices:
        raise InputError(
            f"nothing to choose: {count_of(len(pool), 'utterance')} could be transcribed, and none fits into "
            f"{options.minutes:g} min; give more recordings, or raise --minutes\n{selection}"
        )
    if out is None:
        return selection
    advice = _write(selection, model, inventory.vocabulary if inventory else loaded.vocabulary, out, eaf, options)
    return replace(selection, advice=tuple(advice))


def _check_places(out: Path | None, eaf: Path | None) -> None:
    if out is not None and out.suffix != ".jsonl":
        raise InputError(f"{out}: a manifest needs the suffix .jsonl; rename --out")
    if out is None and eaf is not None:
        raise InputError(f"{eaf}: documents are written of a manifest that is written; name that with --out, too")
    check_not_existing([out] if out else [])


def _read_pool(paths: Sequence[Path], audio: AudioOptions) -> list[Utterance]:
    """The utterances of the inputs, long ones cut at pauses, without texts."""

    def fail(error: InputError, name: str) -> None:
        raise error

    with tempfile.TemporaryDirectory() as folder:
        opened = open_inputs(paths, Path(folder), audio, fail)
    utterances = [utterance for one in opened for utterance in one.utterances]
    return [
        replace(part, text="")
        for utterance in track(utterances, "cutting at pauses")
        for part in segment_recording(utterance, audio)
    ]


def _usable(
    pool: Sequence[Utterance],
    transcribed: Sequence[Utterance],
    audio: AudioOptions,
    excluded: defaultdict[str, list[str]],
) -> list[Utterance]:
    """The utterances of the pool with sound recordings of speech that are not transcribed; `excluded` gets the others."""
    known = {utterance.id for utterance in transcribed}
    repeated = [utterance.id for utterance in pool if utterance.id in known]
    if repeated:
        excluded["already transcribed"] = repeated
    pool = [utterance for utterance in pool if utterance.id not in known]
    settings = CheckSettings(
        sample_rate_hz=audio.spec.sample_rate_hz,
        feature_frames=audio.spec.frames,
        resample=audio.resample,
        mono=audio.mono,
        max_duration_s=LONGEST_S,
    )
    faults: dict[str, Finding] = {}
    durations: dict[str, float] = {}
    for finding in check_recordings(pool, settings, transcribed):
        if finding.correct_duration_s is not None:
            durations[finding.id] = finding.correct_duration_s
        elif finding.severity == "error" or finding.kind in FAULTS:
            faults.setdefault(finding.id, finding)
    usable = []
    for utterance in track(pool, "finding speech"):
        if utterance.id in faults:
            excluded[f"with {faults[utterance.id].kind}"].append(utterance.id)
            continue
        utterance = replace(utterance, duration=durations.get(utterance.id, utterance.duration))
        spoken_s = sum(end - start for start, end in detect_speech(utterance, audio))
        if spoken_s < LEAST_SPEECH * utterance.duration:
            excluded["with hardly any speech"].append(utterance.id)
        else:
            usable.append(utterance)
    return usable


def _make_drafts(
    model: AcousticModel, utterances: Sequence[Utterance], audio: AudioOptions, inventory: PhoneInventory | None
) -> list[Draft]:
    """The draft of each utterance, in their order."""
    vocabulary = inventory.vocabulary if inventory else model.vocabulary
    drafts = {
        index: _draft(utterances[index], log_probs, encoded, vocabulary)
        for index, log_probs, encoded in compute_outputs(model, utterances, audio, inventory=inventory)
    }
    return [drafts[index] for index in range(len(utterances))]


def _draft(utterance: Utterance, log_probs: Tensor, encoded: Tensor, vocabulary: Vocabulary) -> Draft:
    best, path = log_probs.max(dim=-1)
    spans = find_symbol_spans(path.tolist())
    probabilities = best.exp().tolist()
    return Draft(
        replace(utterance, text=vocabulary.decode([span.symbol for span in spans])),
        tuple(span.symbol for span in spans),
        tuple(1.0 - max(probabilities[span.start : span.end]) for span in spans),
        encoded.mean(dim=0).numpy(),
    )


def _write(
    selection: Selection, model: str, vocabulary: Vocabulary, out: Path, eaf: Path | None, options: SelectionOptions
) -> list[str]:
    """Write the manifest and the tiers; what was written, and what comes next."""
    chosen = [choice.draft.utterance for choice in selection.choices]
    if eaf is not None:
        check_not_existing(plan_files([utterance.audio_filepath for utterance in chosen], "eaf", eaf).values())
    fields = {
        choice.draft.utterance.id: {
            "uncertainty": round(choice.draft.uncertainty, 4),
            "why": f"{choice.group}; uncertain: {', '.join(vocabulary.decode(list(one)) for one in choice.sequences)}",
        }
        for choice in selection.choices
    }
    write_manifest(out, chosen, fields)
    written = f"{out}: {count_of(len(chosen), 'utterance')}, {format_duration(total_duration_s(chosen))}"
    if eaf is None:
        command = shlex.join(["speechxfer", "transcribe", model, str(out), "--format", "eaf", "--out", "to_correct"])
        return [written, f"next: tiers to correct in ELAN: {command}"]
    decoding = DecodingOptions(options.phones)
    for _ in write_transcripts(model, [out], format="eaf", out=eaf, reading=options.reading, decoding=decoding):
        pass  # with a folder, nothing is yielded
    command = shlex.join(["speechxfer", "import", str(eaf), "--out", "corrected.jsonl"])
    return [written, f"next: correct the tiers in {eaf} in ELAN, then: {command}"]


def _amount(drafts: Sequence[Draft]) -> str:
    return f"{sum(draft.utterance.duration for draft in drafts) / 60:.1f} min"


def _mean_uncertainty(drafts: Sequence[Draft]) -> str:
    """The expected share of wrong symbols in all drafts."""
    symbols = sum(len(draft.symbols) for draft in drafts)
    return f"{sum(sum(draft.doubts) for draft in drafts) / symbols:.2f}" if symbols else "-"
