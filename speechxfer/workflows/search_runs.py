"""The verb `find`: words and phrases in untranscribed recordings, the best hits first, with times and scores.

What can be searched and how inputs are opened is as for `transcribe`. An input that cannot be read does not stop the others.
"""

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from speechxfer.annotations import SUFFIXES, Annotation, Interval, Tier, annotation_to_dict, write_annotation
from speechxfer.checkpoints import load_model
from speechxfer.data import Utterance, collect_audio_warnings
from speechxfer.decoding import (
    KeywordHit,
    KeywordOptions,
    KeywordSearch,
    PhoneInventory,
    PhoneOptions,
    compute_log_probs,
    frame_duration_s,
    prepare_search,
)
from speechxfer.errors import InputError, count_of, first_names
from speechxfer.features import AudioOptions
from speechxfer.models import AcousticModel
from speechxfer.runtime import check_not_existing, default_device, log_info, read_text, track_amount, write_atomically
from speechxfer.workflows.recordings import Input, expand_inputs, open_inputs
from speechxfer.workflows.transcription_runs import ReadingOptions
from speechxfer.workflows.transcripts import plan_files

SearchFormat = Literal["tsv", "json", "textgrid", "eaf"]
COLUMNS = ("recording", "start", "end", "score", "keyword", "utterance")
CHUNK_S = 1800.0  # speech that is searched at once


@dataclass(frozen=True)
class Found:
    """A hit in a recording.

    Attributes:
        media: the recording.
        utterance: id of the manifest's utterance that the hit is in; empty in a recording without manifest.
        keyword: as it was given.
        start_s, end_s: from the start of the recording.
        score: the probability of an occurrence there under the model.
    """

    media: Path
    utterance: str
    keyword: str
    start_s: float
    end_s: float
    score: float


def split_arguments(arguments: Sequence[str], words: Path | None) -> tuple[list[str], list[Path]]:
    """Keywords and inputs from the arguments of `find`: the first argument is the keyword unless a file lists them.

    Args:
        words: a UTF-8 file with one word or phrase a line.

    Raises:
        InputError: there is nothing to search in, a name is empty, or the file has no keyword or cannot be read.
    """
    if words is None:
        keywords, names = list(arguments[:1]), arguments[1:]
    else:
        lines = read_text(words, fix="give a text file with a word or phrase on each line").splitlines()
        keywords, names = [line.strip() for line in lines if line.strip()], arguments
        if not keywords:
            raise InputError(f"{words}: has no keyword; write a word or phrase on each line")
    if not names:
        example = (
            "MODEL --list words.txt recording.wav" if words else f"MODEL {' '.join(keywords) or 'WORD'} recording.wav"
        )
        raise InputError(f"there is no recording to search in; expected `speechxfer find {example}`")
    if not all(name.strip() for name in names):  # it would mean the current folder
        raise InputError("one of the recordings to search in has an empty name; name a file or folder")
    return keywords, [Path(name) for name in names]


def find_keywords(
    model: str,
    keywords: Sequence[str],
    inputs: Sequence[Path],
    *,
    options: KeywordOptions | None = None,
    phones: PhoneOptions | None = None,
    reading: ReadingOptions | None = None,
) -> Iterator[Found]:
    """Search recordings and manifests for words or phrases; of a phone model, for phones separated by spaces.

    Args:
        model: name as for `load_model`.
        inputs: as for `transcribe_inputs`.
        options: threshold, hits inside of words, tone marks; None: the defaults.
        phones: to which the output of a phone model is restricted.
        reading: conversion of recordings; nothing is skipped as silence.

    Yields:
        Hits by keyword, in the order of the keywords, and the best first.

    Raises:
        InputError: no such model, keywords that it cannot write (see `prepare_search`), no file, an id in two manifests, or,
            after the last hit, inputs that could not be searched.
    """
    result = _search(model, keywords, inputs, options or KeywordOptions(), phones, reading or ReadingOptions())
    yield from result.found
    result.raise_failures()


def write_found(
    model: str,
    keywords: Sequence[str],
    inputs: Sequence[Path],
    *,
    format: SearchFormat = "tsv",
    out: Path | None = None,
    options: KeywordOptions | None = None,
    phones: PhoneOptions | None = None,
    reading: ReadingOptions | None = None,
) -> Iterator[str]:
    """Search as `find_keywords` does, and write files, or yield what stdout gets.

    Args:
        format: a table; or, for each recording with hits, an object of JSON, a TextGrid or an ELAN document, with a tier for
            each keyword.
        out: folder for ``found.tsv`` or a file per recording; None: the table, or a line of JSON per recording, is yielded.

    Raises:
        InputError: as for `find_keywords`; or TextGrids or ELAN documents without a folder, or two recordings with one file name.
    """
    if format in ("textgrid", "eaf") and out is None:
        raise InputError(f"--format {format} writes a file per recording; add --out FOLDER")

    def plan(media: Sequence[Path]) -> None:
        if out and format != "tsv":
            check_not_existing(plan_files(media, format, out).values())

    result = _search(model, keywords, inputs, options or KeywordOptions(), phones, reading or ReadingOptions(), plan)
    if not result.durations_s:
        result.raise_failures()
    if not result.found:
        log_info(
            "no occurrence with a score of at least --threshold; a smaller one gives more hits, fewer of them right"
        )
    annotations = annotate_found(result.found, result.durations_s)
    if out is None:
        lines = (json.dumps(annotation_to_dict(one), ensure_ascii=False) + "\n" for one in annotations)
        yield from [render_found(result.found)] if format == "tsv" else lines
    elif format == "tsv":
        table = render_found(result.found).encode("utf-8", "backslashreplace")  # file names need not be UTF-8
        write_atomically(out / "found.tsv", table)
        log_info(f"wrote {out / 'found.tsv'}")
    else:
        files = plan_files([one.media for one in annotations], format, out)
        for one in annotations:
            write_annotation(files[one.media], one, format)
        log_info(f"wrote {count_of(len(files), f'{SUFFIXES[format]} file')} to {out}")
    result.raise_failures()


def render_found(found: Sequence[Found]) -> str:
    """A table of hits with a header: recording, start and end in seconds, score, keyword, utterance."""
    rows = [
        (str(one.media), f"{one.start_s:.2f}", f"{one.end_s:.2f}", f"{one.score:.4g}", one.keyword, one.utterance)
        for one in found
    ]
    return "".join("\t".join(" ".join(re.split(r"[\t\r\n]+", cell)) for cell in row) + "\n" for row in (COLUMNS, *rows))


def annotate_found(found: Sequence[Found], durations_s: dict[Path, float]) -> list[Annotation]:
    """The recordings with hits, each with a tier of every keyword that was found in it."""
    tiers: dict[Path, dict[str, list[Interval]]] = defaultdict(lambda: defaultdict(list))
    for one in found:
        tiers[one.media][one.keyword].append(Interval(one.start_s, one.end_s, one.keyword, one.score))
    return [
        Annotation(
            media,
            durations_s[media],
            tuple(Tier(name, tuple(sorted(hits, key=lambda hit: hit.start_s))) for name, hits in tiers[media].items()),
        )
        for media in durations_s
        if media in tiers
    ]


@dataclass(frozen=True)
class _Result:
    """Hits, the seconds of each recording, of a manifest's up to the end of its last utterance, and what failed."""

    found: list[Found]
    durations_s: dict[Path, float]
    failed: list[str]

    def raise_failures(self) -> None:
        """InputError if something could not be searched."""
        if self.failed:
            raise InputError(
                f"{len(self.failed)} not searched, for the reasons above: {first_names(self.failed)}; the others are complete"
            )


def _search(
    name: str,
    keywords: Sequence[str],
    arguments: Sequence[Path],
    options: KeywordOptions,
    phones: PhoneOptions | None,
    reading: ReadingOptions,
    plan: Callable[[Sequence[Path]], None] = lambda media: None,
) -> _Result:
    """Search all inputs; `plan` may refuse their recordings before."""
    loaded = load_model(name).to(default_device())
    inventory = phones.inventory(loaded) if phones else None
    vocabulary = inventory.vocabulary if inventory else loaded.vocabulary
    search = prepare_search(vocabulary, loaded.normalizer, keywords, frame_duration_s(loaded), options)
    run = _Run(loaded, inventory, search, reading.audio(loaded), [])
    with tempfile.TemporaryDirectory() as folder:
        opened = open_inputs(expand_inputs(arguments), Path(folder), run.audio, run.report)
        durations_s = _durations_s(opened)
        plan(list(durations_s))
        found = run.search(opened)
    rank = {keyword: number for number, keyword in enumerate(keywords)}
    found.sort(key=lambda one: (rank[one.keyword], -one.score))
    return _Result(found, durations_s, run.failed)


def _durations_s(inputs: Sequence[Input]) -> dict[Path, float]:
    """The seconds of each recording, of a manifest's up to the end of its last utterance."""
    durations_s: dict[Path, float] = {}
    for one in inputs:
        for utterance in one.utterances:
            media = Path(one.name) if one.header else utterance.audio_filepath
            durations_s[media] = max(durations_s.get(media, 0.0), utterance.offset + utterance.duration)
    return durations_s


@dataclass(frozen=True)
class _Run:
    """A loaded model, its search, and the names of what failed."""

    model: AcousticModel
    inventory: PhoneInventory | None
    keywords: KeywordSearch
    audio: AudioOptions
    failed: list[str]

    def search(self, inputs: Sequence[Input]) -> list[Found]:
        """The hits in all inputs, in their order."""
        found: list[Found] = []
        total_s, done_s = sum(one.duration_s for one in inputs), 0.0
        with track_amount("searching, seconds of sound", total_s) as set_done, collect_audio_warnings():
            for one in inputs:
                for chunk in _chunks(one.utterances):
                    for utterance, hits in self._search_chunk(chunk):
                        media = Path(one.name) if one.header else utterance.audio_filepath
                        id_ = "" if one.header else utterance.id
                        found += [_found(media, id_, self._in_utterance(utterance, hit)) for hit in hits]
                    done_s += sum(utterance.duration for utterance in chunk)
                    set_done(done_s)
        return found

    def _in_utterance(self, utterance: Utterance, hit: KeywordHit) -> KeywordHit:
        """The hit with times in the recording; features begin a very short utterance with noise that is not of the audio."""
        start_s, end_s = self.audio.spec.span_in_utterance(hit.start_s, hit.end_s, utterance.duration)
        return replace(hit, start_s=utterance.offset + start_s, end_s=utterance.offset + end_s)

    def _search_chunk(self, chunk: Sequence[Utterance]) -> list[tuple[Utterance, list[KeywordHit]]]:
        """The hits in some utterances, searched together; if one of them fails, one by one."""
        try:
            computed = dict(compute_log_probs(self.model, chunk, self.audio, inventory=self.inventory))
        except InputError as error:
            if len(chunk) > 1:
                return [result for utterance in chunk for result in self._search_chunk([utterance])]
            self.report(error, chunk[0].id)
            return []
        hits = self.keywords.find([computed[number] for number in range(len(chunk))])
        return list(zip(chunk, hits, strict=True))

    def report(self, error: InputError, name: str) -> None:
        log_info(f"error: {error}")
        self.failed.append(name)


def _found(media: Path, utterance: str, hit: KeywordHit) -> Found:
    return Found(media, utterance, hit.keyword, hit.start_s, hit.end_s, hit.score)


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
