"""What an alignment of one utterance is: words and symbols with times, missing words, untranscribed speech."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AlignedSymbol:
    """A phone, or a letter with its marks; seconds from the start of the utterance; `score` as in `AlignedWord`."""

    text: str
    start_s: float
    end_s: float
    score: float


@dataclass(frozen=True)
class AlignedWord:
    """A word of the transcript; in a transcript of phones, one phone.

    Attributes:
        text: normalised, as the model writes it.
        start_s, end_s: seconds from the start of the utterance.
        score: geometric mean of the probabilities of its symbols in their CTC frames, in [0, 1].
        symbols: in order.
        unknown: characters or phones that the model lacks; they were aligned as wildcards.
    """

    text: str
    start_s: float
    end_s: float
    score: float
    symbols: tuple[AlignedSymbol, ...]
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Flag:
    """Words that were not found, in the order of the transcript, or speech that no word was found for.

    Attributes:
        text: the words; of untranscribed speech, what the model recognises in it.
        start_s, end_s: of untranscribed speech, where it is; of missing words, between which times they would be.
    """

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Alignment:
    """The alignment of one utterance.

    Attributes:
        words: those that were found, in order.
        missing: runs of words that are not in the recording.
        untranscribed: speech that is not in the transcript.
        corrected: whether all times are those of the frame classifier; otherwise some or all are those of CTC.
    """

    words: tuple[AlignedWord, ...]
    missing: tuple[Flag, ...]
    untranscribed: tuple[Flag, ...]
    corrected: bool
