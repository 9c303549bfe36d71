"""Annotations: texts with times, and the files of linguists and of NIST that hold them.

* `Annotation` of one recording has `Tier`s of `Interval`s; `tier_name`, `UTTERANCES`, `WORDS`, `SYMBOLS`: names of tiers;
  `POINT`: type of a tier of points.
* `write_annotation`, `render_annotation`, `format_of`, `SUFFIXES`: Praat TextGrid, ELAN, CTM, STM, TRN, SRT, VTT, JSON, TSV.
* Files of several recordings: `render_ctm`, `render_stm`, `render_trn`, `render_tsv`; `annotation_to_dict` for JSON.
* `read_annotations`: TextGrid, ELAN, CTM, STM, SRT, VTT, Audacity's labels; `add_tiers` to an existing TextGrid or ELAN document.
* `read_trn`, `read_ctm` (`CtmWord`), `read_stm` (`StmSegment`): the lines of NIST's files as they are.
"""

from speechxfer.annotations.nist import render_ctm as render_ctm
from speechxfer.annotations.nist import render_stm as render_stm
from speechxfer.annotations.nist import render_trn as render_trn
from speechxfer.annotations.nist_reading import CtmWord as CtmWord
from speechxfer.annotations.nist_reading import StmSegment as StmSegment
from speechxfer.annotations.nist_reading import read_ctm as read_ctm
from speechxfer.annotations.nist_reading import read_stm as read_stm
from speechxfer.annotations.nist_reading import read_trn as read_trn
from speechxfer.annotations.reading import READABLE as READABLE
from speechxfer.annotations.reading import add_tiers as add_tiers
from speechxfer.annotations.reading import read_annotations as read_annotations
from speechxfer.annotations.tables import annotation_to_dict as annotation_to_dict
from speechxfer.annotations.tables import render_tsv as render_tsv
from speechxfer.annotations.tiers import POINT as POINT
from speechxfer.annotations.tiers import SYMBOLS as SYMBOLS
from speechxfer.annotations.tiers import UTTERANCES as UTTERANCES
from speechxfer.annotations.tiers import WORDS as WORDS
from speechxfer.annotations.tiers import Annotation as Annotation
from speechxfer.annotations.tiers import Interval as Interval
from speechxfer.annotations.tiers import Tier as Tier
from speechxfer.annotations.tiers import tier_name as tier_name
from speechxfer.annotations.writing import SUFFIXES as SUFFIXES
from speechxfer.annotations.writing import AnnotationFormat as AnnotationFormat
from speechxfer.annotations.writing import format_of as format_of
from speechxfer.annotations.writing import render_annotation as render_annotation
from speechxfer.annotations.writing import write_annotation as write_annotation
