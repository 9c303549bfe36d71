"""Alignment: when each word and symbol of a text is spoken.

- `align`, `AlignmentOptions`: utterances with texts to words and symbols with times.
- `Alignment`, `AlignedWord`, `AlignedSymbol`, `Flag`: what it returns; missing words and untranscribed speech are flags.
- `annotate`: alignments as annotations, which `speechxfer.annotations` writes to files.
"""

from speechxfer.alignment.aligner import DEFAULT_OPTIONS as DEFAULT_OPTIONS
from speechxfer.alignment.aligner import AlignmentOptions as AlignmentOptions
from speechxfer.alignment.aligner import Boundaries as Boundaries
from speechxfer.alignment.aligner import align as align
from speechxfer.alignment.results import AlignedSymbol as AlignedSymbol
from speechxfer.alignment.results import AlignedWord as AlignedWord
from speechxfer.alignment.results import Alignment as Alignment
from speechxfer.alignment.results import Flag as Flag
from speechxfer.alignment.tiers import annotate as annotate
from speechxfer.alignment.transcripts import Unknown as Unknown
