"""The synthesiser espeak-ng by ctypes: text in, speech or IPA phonemes out, in more than a hundred languages.

What it is: pure functions `speak`, `speak_timed` and `phonemes`, and the lists `voices` and `variants`; library and data come
from the wheel ``espeakng-loader``. What it is not: playback, streaming, SSML, or natural speech: espeak-ng adds up formants.
Source: espeak-ng's own header ``src/include/espeak-ng/speak_lib.h`` (API revision 12, espeak-ng 1.52), from which the
prototypes and numbers below are taken; ``espeak_ng_SetRandSeed`` is in ``espeak_ng.h``.

Why every call loads the library afresh (about 4 ms): espeak-ng keeps pitch flutter, gain control and noise in variables
that no function resets, not even ``espeak_Terminate``, so a sentence said twice in one process differs. Loading,
seeding, speaking and unloading makes the samples depend on the arguments alone. The library must be ours alone for
that: where another package of the same process keeps the same file loaded, nothing is reset and the samples vary.
"""

import _ctypes
import atexit
import ctypes
import functools
import importlib
import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speechxfer.errors import InputError

RATE_RANGE_WPM = (80, 450)  # espeakRATE_MINIMUM, espeakRATE_MAXIMUM
PITCH_RANGE = (0, 100)

_OUTPUT_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: espeak_Synth returns when the last sample was handed over
_DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT: without it, missing data ends the whole process
_PHONEME_EVENTS = 0x0001 | 0x0002  # espeakINITIALIZE_PHONEME_EVENTS, espeakINITIALIZE_PHONEME_IPA
_EVENT_END, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7  # espeakEVENT_LIST_TERMINATED, espeakEVENT_WORD, espeakEVENT_PHONEME
_CHARS_UTF8 = 1
_POS_CHARACTER = 1
_PARAMETER_RATE, _PARAMETER_PITCH = 1, 3
_PHONEMES_IPA = 0x02
_SEPARATOR_SHIFT = 8  # bits 8-23 of the phoneme mode
_NOISE_SEED = 1
_LONGEST_DATA_PATH = 140  # bytes; espeak-ng's own buffer takes 160, its file names included
_LANGUAGE_SWITCH = re.compile(
    r"\([a-z][a-z0-9-]*\)"
)  # espeak-ng writes (en)...(sw) around words it reads as another language

_SYNTH_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_ALONE = threading.Lock()  # one loaded copy at a time, or it would not be a fresh one


class _VoiceRecord(ctypes.Structure):
    """espeak_VOICE."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("internal", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


class _EventRecord(ctypes.Structure):
    """espeak_EVENT; `id` is a union, of which only the phoneme's name, UTF-8 of at most eight bytes, is read."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    )


_PROTOTYPES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "espeak_Initialize": (ctypes.c_int, (ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int)),
    "espeak_Terminate": (ctypes.c_int, ()),
    "espeak_SetSynthCallback": (None, (_SYNTH_CALLBACK,)),
    "espeak_SetVoiceByName": (ctypes.c_int, (ctypes.c_char_p,)),
    "espeak_SetParameter": (ctypes.c_int, (ctypes.c_int, ctypes.c_int, ctypes.c_int)),
    "espeak_Synth": (
        ctypes.c_int,
        (
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int,
            ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p,
        ),
    ),
    "espeak_TextToPhonemes": (ctypes.c_char_p, (ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int)),
    "espeak_ListVoices": (ctypes.POINTER(ctypes.POINTER(_VoiceRecord)), (ctypes.POINTER(_VoiceRecord),)),
    "espeak_ng_SetRandSeed": (ctypes.c_int, (ctypes.c_long,)),
}  # fmt: skip


@dataclass(frozen=True)
class _Entry:
    name: str
    identifier: str  # the voice's file within espeak-ng's data: the one name that espeak_SetVoiceByName always finds
    priority: int  # low is better


@dataclass(frozen=True)
class _Engine:
    library: ctypes.CDLL
    sample_rate_hz: int


@dataclass(frozen=True)
class SpokenPhoneme:
    """A phoneme, or a pause, at the sample where espeak-ng begins to say it.

    Attributes:
        ipa: how it is written, stress and length marks included; empty for a pause.
        start: sample.
        starts_word: whether a word begins here.
    """

    ipa: str
    start: int
    starts_word: bool


def speak(text: str, voice: str, rate_wpm: int = 175, pitch: int = 50) -> tuple[NDArray[np.int16], int]:
    """Say `text`. The same arguments give the same samples, whatever was said before.

    Args:
        text: what to say, in the language's own script; digits and abbreviations are read out.
        voice: a language of `voices`, with or without one of `variants`: ``"sw"``, ``"sw+f3"``.
        rate_wpm: speed in words per minute, 80 to 450.
        pitch: height of the voice, 0 to 100; 50 is as the variant defines it.

    Returns:
        Mono samples, int16 ``[samples]``, and their rate in Hz (22050).

    Raises:
        InputError: an unknown voice or variant, a number out of range, text with a NUL character or nothing to say, or
            espeak-ng is not installed.
    """
    samples, rate_hz, _ = _synthesize(text, voice, rate_wpm, pitch, _DONT_EXIT)
    return samples, rate_hz


def speak_timed(
    text: str, voice: str, rate_wpm: int = 175, pitch: int = 50
) -> tuple[NDArray[np.int16], int, list[SpokenPhoneme]]:
    """As `speak`, with the phonemes and the samples at which they begin, by espeak-ng's own events.

    espeak-ng reports a plosive or affricate at its release; the silence before it, its closure, is part of no phoneme.
    A phoneme whose name is cut because it is longer than eight bytes has the name "\N{REPLACEMENT CHARACTER}".
    """
    samples, rate_hz, records = _synthesize(text, voice, rate_wpm, pitch, _DONT_EXIT | _PHONEME_EVENTS)
    spoken, starts_word = [], False
    for kind, start, name in records:
        if kind == _EVENT_PHONEME:
            ipa = name.decode("utf-8", "replace") if len(name) < 8 else "\N{REPLACEMENT CHARACTER}"
            spoken.append(SpokenPhoneme(ipa, start, starts_word))
        starts_word = kind == _EVENT_WORD
    return samples, rate_hz, spoken


def _synthesize(
    text: str, voice: str, rate_wpm: int, pitch: int, options: int
) -> tuple[NDArray[np.int16], int, list[tuple[int, int, bytes]]]:
    """Samples, their rate, and the events: type, sample, name."""
    identifier = _identifier(voice)
    _check_range("rate_wpm", rate_wpm, RATE_RANGE_WPM)
    _check_range("pitch", pitch, PITCH_RANGE)
    data = _utf8(text)
    chunks: list[bytes] = []
    records: list[tuple[int, int, bytes]] = []

    def collect(wav: int | None, count: int, events: int) -> int:
        if wav is not None and count > 0:
            chunks.append(ctypes.string_at(wav, count * 2))
        pointer = ctypes.cast(events, ctypes.POINTER(_EventRecord))
        index = 0
        while pointer[index].type != _EVENT_END:
            records.append((pointer[index].type, pointer[index].sample, pointer[index].name))
            index += 1
        return 0

    callback = _SYNTH_CALLBACK(collect)  # named, so that it outlives espeak_Synth
    with _engine(identifier, options) as engine:
        library = engine.library
        library.espeak_SetSynthCallback(callback)
        library.espeak_SetParameter(_PARAMETER_RATE, rate_wpm, 0)
        library.espeak_SetParameter(_PARAMETER_PITCH, pitch, 0)
        status = library.espeak_Synth(data, len(data) + 1, 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None)
    samples = np.frombuffer(b"".join(chunks), dtype=np.int16)
    if status != 0 or not samples.any():
        raise InputError(
            f"espeak-ng said nothing for {text!r} with voice {voice!r} (status {status}); give words to say"
        )
    return samples, engine.sample_rate_hz, records


def phonemes(text: str, voice: str, *, separator: str = "", keep_switches: bool = False) -> str:
    """Write `text` in the International Phonetic Alphabet, stress marks included, words parted by single spaces.

    Args:
        text: what to transcribe.
        voice: as for `speak`.
        separator: one character to put between the phonemes of a word, ``""`` for none.
        keep_switches: leave espeak-ng's marks, such as ``(en)``, where it reads words as another language.

    Returns:
        IPA, ``""`` where there is nothing to pronounce. Words that espeak-ng reads as another language are in that
        language's phonemes; its marks for the change are taken out unless `keep_switches` is set.

    Raises:
        InputError: as for `speak`, or a separator that is not one character.
    """
    identifier = _identifier(voice)
    if len(separator) > 1 or separator.isspace():
        raise InputError(f"separator {separator!r}: expected one character that is not a space, or '' for none")
    mode = _PHONEMES_IPA | (ord(separator) << _SEPARATOR_SHIFT if separator else 0)
    buffer = ctypes.create_string_buffer(_utf8(text))
    position = ctypes.c_void_p(ctypes.addressof(buffer))
    clauses: list[str] = []
    with _engine(identifier) as engine:
        while position.value is not None:
            clause = engine.library.espeak_TextToPhonemes(ctypes.byref(position), _CHARS_UTF8, mode)
            clauses.append((clause or b"").decode("utf-8"))
    ipa = " ".join(clauses)
    return " ".join((ipa if keep_switches else _LANGUAGE_SWITCH.sub(" ", ipa)).split())


def voices() -> Mapping[str, str]:
    """Languages that espeak-ng speaks: code (``"sw"``, ``"en-us"``) to the name of the voice that speaks it best.

    Voices whose dictionary is not in the installation are excluded; espeak-ng lists them, but cannot speak them.
    """
    return {code: entry.name for code, entry in _catalogue().items()}


@functools.cache
def variants() -> tuple[str, ...]:
    """Speakers that may follow a language after a plus: ``"m1"``, ``"f3"``, ``"linda"``, sorted."""
    wanted = ctypes.create_string_buffer(b"variant")
    criteria = _VoiceRecord(languages=ctypes.addressof(wanted))
    with _engine() as engine:
        records = _records(engine.library.espeak_ListVoices(ctypes.byref(criteria)))
        return tuple(sorted(os.fsdecode(record.identifier).replace("\\", "/").split("/")[-1] for record in records))


@functools.cache
def _catalogue() -> Mapping[str, _Entry]:
    """The best voice of every language, by language code."""
    best: dict[str, _Entry] = {}
    with _engine() as engine:
        for record in _records(engine.library.espeak_ListVoices(None)):
            identifier, name = os.fsdecode(record.identifier), record.name.decode("utf-8").strip()
            if not _has_dictionary(identifier):
                continue
            for priority, code in _languages(record.languages):
                if code not in best or priority < best[code].priority:
                    best[code] = _Entry(name, identifier, priority)
    return MappingProxyType(dict(sorted(best.items())))


def _has_dictionary(identifier: str) -> bool:
    """Whether the pronunciation dictionary of a voice is there: the one its file names, else its language's."""
    data_path = Path(os.fsdecode(_data_path()))
    lines = (data_path / "lang" / identifier).read_text(encoding="utf-8").split("\n")
    named = [line.split()[1] for line in lines if line.startswith("dictionary ")]
    language = Path(identifier).name.split("-")[0]
    return (data_path / f"{(named or [language])[0]}_dict").is_file()


def _records(pointers: Any) -> Iterator[_VoiceRecord]:
    """The records of a list of pointers that a NULL ends."""
    index = 0
    while pointers[index]:
        yield pointers[index].contents
        index += 1


def _languages(address: int) -> Iterator[tuple[int, str]]:
    """Pairs of priority (low is better) and code: one byte, then a zero-ended string, until a zero byte."""
    while priority := ctypes.string_at(address, 1)[0]:
        code = ctypes.string_at(address + 1)
        yield priority, code.decode("utf-8")
        address += len(code) + 2


# ------------------------------------------------------------------------------------------------------------ checks
def _identifier(voice: str) -> str:
    """What espeak_SetVoiceByName takes for a language with or without a variant."""
    language, plus, variant = voice.partition("+")
    if language not in voices():
        raise InputError(
            f"voice {voice!r}: espeak-ng has no language {language!r}; choose one of: {', '.join(voices())}"
        )
    if plus and variant not in variants():
        raise InputError(
            f"voice {voice!r}: espeak-ng has no variant {variant!r}; choose one of: {', '.join(variants())}"
        )
    return _catalogue()[language].identifier + plus + variant


def _check_range(name: str, value: int, allowed: tuple[int, int]) -> None:
    if not allowed[0] <= value <= allowed[1]:
        raise InputError(f"{name}={value}: expected a whole number from {allowed[0]} to {allowed[1]}")


def _utf8(text: str) -> bytes:
    if "\0" in text:
        raise InputError(f"{text!r}: a NUL character ends what espeak-ng reads; take it out")
    return text.encode("utf-8")


# ----------------------------------------------------------------------------------------------------------- library
@contextmanager
def _engine(identifier: str = "", options: int = _DONT_EXIT) -> Iterator[_Engine]:
    """A freshly loaded and seeded library, set to the voice `identifier`, unloaded at the end."""
    data_path = _data_path()
    with _ALONE:
        library = _load()
        try:
            rate_hz = library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, data_path, options)
            if rate_hz <= 0:
                raise InputError(
                    f"espeak-ng does not start with its data in {os.fsdecode(data_path)}; expected the files of the "
                    "package espeakng-loader: install it again"
                )
            library.espeak_ng_SetRandSeed(_NOISE_SEED)
            try:
                if identifier and library.espeak_SetVoiceByName(os.fsencode(identifier)) != 0:
                    raise InputError(f"espeak-ng does not take its own voice {identifier!r}; reinstall espeakng-loader")
                yield _Engine(library, rate_hz)
            finally:
                library.espeak_Terminate()
        finally:
            _unload(library)


def _load() -> ctypes.CDLL:
    path = _loader().get_library_path()
    try:
        library = ctypes.CDLL(path)
        for name, (result, arguments) in _PROTOTYPES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise InputError(
            f"{path}: not an espeak-ng 1.52 library ({error}); run: pip install -U espeakng-loader"
        ) from error
    return library


def _unload(library: ctypes.CDLL) -> None:
    if sys.platform == "win32":
        _ctypes.FreeLibrary(library._handle)
    else:
        _ctypes.dlclose(library._handle)


def _loader() -> ModuleType:
    try:
        return importlib.import_module("espeakng_loader")
    except ImportError as error:
        raise InputError(
            "espeak-ng is not installed; speech synthesis needs it; run: pip install espeakng-loader"
        ) from error


@functools.cache
def _data_path() -> bytes:
    """Where espeak-ng's data lie; a long path is reached by a link, because espeak-ng cuts paths at 160 bytes."""
    path = Path(_loader().get_data_path())
    if len(os.fsencode(path)) <= _LONGEST_DATA_PATH:
        return os.fsencode(path)
    folder = Path(tempfile.mkdtemp(prefix="espeak-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    link = folder / path.name
    try:
        link.symlink_to(path, target_is_directory=True)
    except OSError as error:
        raise InputError(
            f"{path}: longer than the {_LONGEST_DATA_PATH} bytes that espeak-ng takes, and no link to it can be made "
            f"({error.strerror}); install into a folder with a shorter name"
        ) from error
    return os.fsencode(link)
