"""The verbs that apply a model to speech: one verb, one function, no logic."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from speechxfer.cli.application import app
from speechxfer.cli.options import (
    Beam,
    Boost,
    KnownWords,
    LanguageModels,
    ModelName,
    MonoAsTrained,
    MonoRecordings,
    NoLanguageModels,
    Out,
    Phones,
    PhonesOfLanguage,
    ResampleAsTrained,
    ResampleRecordings,
    Results,
    SkipSilence,
    path_option,
    paths_argument,
    read_path,
)


@app.command()
def transcribe(
    model: ModelName,
    inputs: Annotated[
        list[Path],
        typer.Argument(
            parser=read_path,
            metavar="AUDIO|FOLDER|MANIFEST...",
            help="Recordings, folders of them, patterns ('2019/*.wav'), - for standard input, manifests (.jsonl).",
        ),
    ],
    format: Annotated[
        Literal["text", "tsv", "json", "srt", "vtt", "textgrid", "eaf", "ctm"],
        typer.Option("--format", help="Of the output: lines of text, or texts and words with times."),
    ] = "text",
    out: Annotated[
        Path | None, path_option("--out", "FOLDER", "Write one file per recording there; default: print.")
    ] = None,
    phones: Phones = None,
    language: PhonesOfLanguage = None,
    lm: LanguageModels = None,
    no_lm: NoLanguageModels = False,
    known_words: KnownWords = False,
    beam: Beam = None,
    boost: Boost = None,
    nbest: Annotated[
        int,
        typer.Option("--nbest", min=0, help="Print so many texts of each utterance: id TAB rank TAB score TAB text."),
    ] = 0,
    skip_silence: SkipSilence = True,
    resample: ResampleRecordings = None,
    mono: MonoRecordings = None,
) -> None:
    """Transcribe recordings of any length and manifests: print id TAB text, or write files with times."""
    from speechxfer.decoding import PhoneOptions
    from speechxfer.workflows import DecodingOptions, ReadingOptions, choose_language_models, write_transcripts

    chosen = choose_language_models(lm, no_lm)
    decoding = DecodingOptions(PhoneOptions(phones, language), chosen, beam, boost, nbest, known_words)
    reading = ReadingOptions(resample, mono, skip_silence)
    for part in write_transcripts(model, inputs, format=format, out=out, reading=reading, decoding=decoding):
        print(part, end="", flush=True)


@app.command()
def find(
    model: ModelName,
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="WORD AUDIO|FOLDER|MANIFEST...",
            help="A word or phrase (of a phone model, phones separated by spaces), then where to search, as for `transcribe`.",
        ),
    ],
    words: Annotated[
        Path | None, path_option("--list", "FILE", "Words and phrases, one a line, in place of WORD.")
    ] = None,
    threshold: Annotated[
        float, typer.Option("--threshold", help="Smallest score of a hit: the probability of an occurrence there.")
    ] = 0.01,
    within_words: Annotated[bool, typer.Option("--within-words", help="Also find parts of words.")] = False,
    ignore_tones: Annotated[bool, typer.Option("--ignore-tones", help="Let tone marks differ.")] = False,
    format: Annotated[
        Literal["tsv", "json", "textgrid", "eaf"], typer.Option("--format", help="Of the output.")
    ] = "tsv",
    out: Annotated[
        Path | None, path_option("--out", "FOLDER", "Write found.tsv or a file per recording there; default: print.")
    ] = None,
    phones: Phones = None,
    language: PhonesOfLanguage = None,
    resample: ResampleRecordings = None,
    mono: MonoRecordings = None,
) -> None:
    """Find words and phrases in untranscribed recordings: the best hits first, with times and scores."""
    from speechxfer.decoding import KeywordOptions, PhoneOptions
    from speechxfer.workflows import ReadingOptions, split_arguments, write_found

    keywords, inputs = split_arguments(arguments, words)
    options, restriction = KeywordOptions(threshold, within_words, ignore_tones), PhoneOptions(phones, language)
    reading = ReadingOptions(resample, mono)
    for part in write_found(
        model, keywords, inputs, format=format, out=out, options=options, phones=restriction, reading=reading
    ):
        print(part, end="", flush=True)


@app.command()
def select(
    model: ModelName,
    on: Annotated[
        list[Path],
        path_option("--on", "AUDIO|FOLDER|MANIFEST", "Untranscribed speech to choose from; may be repeated."),
    ],
    out: Annotated[
        Path, path_option("--out", "MANIFEST", "Manifest (.jsonl) of the chosen utterances with drafts, in order.")
    ] = Path("chosen.jsonl"),
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.1, help="How much to choose, in minutes of audio.")
    ] = 20.0,
    transcribed: Annotated[
        list[Path] | None,
        path_option(
            "--transcribed",
            "MANIFEST",
            "What is transcribed already: not chosen, and counts as covered; may be repeated.",
        ),
    ] = None,
    eaf: Annotated[
        Path | None, path_option("--eaf", "FOLDER", "Also write the drafts there as tiers to correct in ELAN.")
    ] = None,
    phones: Phones = None,
    language: PhonesOfLanguage = None,
    resample: ResampleRecordings = None,
    mono: MonoRecordings = None,
) -> None:
    """Choose which recordings to transcribe next: uncertain and diverse speech."""
    from speechxfer.decoding import PhoneOptions
    from speechxfer.workflows import ReadingOptions, SelectionOptions, select

    reading = ReadingOptions(resample, mono)
    options = SelectionOptions(minutes, tuple(transcribed or ()), PhoneOptions(phones, language), reading)
    print(select(model, on, out=out, eaf=eaf, options=options), flush=True)


@app.command()
def align(
    model: ModelName,
    source: Annotated[
        Path, typer.Argument(parser=read_path, metavar="MANIFEST|AUDIO", help="A manifest (.jsonl), or a recording.")
    ],
    out: Out,
    text: Annotated[
        Path | None, path_option("--text", "FILE", "The whole transcript of the recording (UTF-8 text).")
    ] = None,
    formats: Annotated[
        str,
        typer.Option(
            "--format", metavar="NAMES", help="Separated by commas: textgrid, eaf, ctm, stm, trn, srt, vtt, json, tsv."
        ),
    ] = "textgrid",
    unknown: Annotated[
        Literal["error", "wildcard"],
        typer.Option("--unknown", help="Symbols that the model lacks: an error, or wildcards for any one symbol."),
    ] = "error",
    forced: Annotated[
        bool, typer.Option("--forced", help="Give every word a place; default: flag missing words and other speech.")
    ] = False,
    boundaries: Annotated[
        Literal["frames", "ctc"],
        typer.Option("--boundaries", help="By a classifier of 10 ms frames trained on this speech, or by CTC alone."),
    ] = "frames",
    resample: ResampleAsTrained = None,
    mono: MonoAsTrained = None,
) -> None:
    """Write when each word and symbol of a text is spoken; missing words and untranscribed speech are flagged."""
    from speechxfer.alignment import AlignmentOptions
    from speechxfer.workflows import align_inputs

    options = AlignmentOptions(unknown, forced, boundaries)
    print(align_inputs(model, source, out, text=text, formats=formats, options=options, resample=resample, mono=mono))


@app.command()
def evaluate(
    models: Annotated[list[str], typer.Argument(help="One model, or the same one trained with several seeds.")],
    on: Annotated[Path, path_option("--on", "MANIFEST", "Manifest to score on.")],
    out: Annotated[
        Path | None, path_option("--out", "FOLDER", "Folder for the reports; default: none are written.")
    ] = None,
    results: Results = None,
    row: Annotated[str, typer.Option("--row", help="Name of that row: scratch, frozen, finetuned ...")] = "",
    split: Annotated[str, typer.Option("--split", help="Split in that row; default: the manifest's name.")] = "",
    as_parent: Annotated[
        bool,
        typer.Option("--as-parent", help="Score the source's own task with the adapted encoder: what was forgotten."),
    ] = False,
    phones: Phones = None,
    language: PhonesOfLanguage = None,
    lm: LanguageModels = None,
    no_lm: NoLanguageModels = False,
    known_words: KnownWords = False,
    beam: Beam = None,
    boost: Boost = None,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune",
            help="First tune the weights of language models and --boost on this manifest and store them with the model.",
        ),
    ] = False,
    resample: ResampleAsTrained = None,
    mono: MonoAsTrained = None,
) -> None:
    """Word and character error rate with 95 % intervals."""
    from speechxfer.decoding import PhoneOptions
    from speechxfer.workflows import DecodingOptions, RowTarget, choose_language_models, evaluate_models, tune_models

    target = RowTarget(results, row, split) if results else None
    chosen = choose_language_models(lm, no_lm)
    decoding = DecodingOptions(PhoneOptions(phones, language), chosen, beam, boost, known_words=known_words)
    if tune:
        print(*tune_models(models, on, decoding, resample=resample, mono=mono, results=target), sep="\n\n")
    print(
        evaluate_models(
            models, on, out, resample=resample, mono=mono, results=target, as_parent=as_parent, decoding=decoding
        )
    )


@app.command()
def score(
    reference: Annotated[Path, paths_argument("REF", "Reference: .trn, .stm or a manifest (.jsonl).")],
    hypothesis: Annotated[Path, paths_argument("HYP", "Hypothesis: .trn, .ctm or a manifest (.jsonl).")],
    format: Annotated[
        Literal["trn", "stm", "manifest"] | None,
        typer.Option("--format", help="Format of both; stm: a CTM against an STM. Default: as the suffixes say."),
    ] = None,
    out: Annotated[
        Path | None,
        path_option("--out", "FOLDER", "Also write report.json, report.txt and sclite's tables to this folder."),
    ] = None,
    case_sensitive: Annotated[bool, typer.Option("--case-sensitive", help="Capitals differ (sclite -s).")] = False,
    optional_words: Annotated[bool, typer.Option("--optional-words", help="(a) may be missing (sclite -D).")] = False,
    fragments: Annotated[
        bool, typer.Option("--fragments", help="a- is correct for a word that begins with a (sclite -F).")
    ] = False,
    delete_hyphens: Annotated[
        bool, typer.Option("--delete-hyphens", help="Hyphens are no characters (sclite -c DH).")
    ] = False,
    speaker_ids: Annotated[
        Literal["spu_id", "wsj", "sp"],
        typer.Option(
            "--speaker-ids",
            help="Speaker in the ids of .trn: before the first - or _ (spu_id), three characters (wsj), whole id (sp).",
        ),
    ] = "spu_id",
    language: Annotated[
        str, typer.Option("--language", help="Language code; Turkish and Azeri have capitals of their own.")
    ] = "",
    encoding: Annotated[str, typer.Option("--encoding", help="Encoding of files of NIST's formats.")] = "utf-8",
) -> None:
    """Score transcripts in files; NIST's formats by sclite's conventions and with its tables."""
    from speechxfer.scoring import NistOptions
    from speechxfer.workflows import score_files

    options = NistOptions(case_sensitive, optional_words, fragments, delete_hyphens, language, speaker_ids)
    print(score_files(reference, hypothesis, format=format, options=options, encoding=encoding, out=out))
