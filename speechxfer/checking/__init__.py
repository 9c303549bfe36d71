"""Checking of manifests before training: recordings, transcripts, duplicates, and what splits share.

`check_manifests` compares manifests with `CheckSettings` and returns a `CheckReport` of `Finding`s, `check_recordings` judges
recordings alone; `repair` writes manifests without the utterances that have errors. `ctc_frames_needed` is the rule of CTC
feasibility, which training applies as well; `subsampled_frames` counts the frames of an encoder.
"""

from speechxfer.checking.checker import check_manifests as check_manifests
from speechxfer.checking.checker import check_recordings as check_recordings
from speechxfer.checking.feasibility import ctc_frames_needed as ctc_frames_needed
from speechxfer.checking.feasibility import subsampled_frames as subsampled_frames
from speechxfer.checking.findings import Finding as Finding
from speechxfer.checking.repair import repair as repair
from speechxfer.checking.report import CheckReport as CheckReport
from speechxfer.checking.settings import CheckSettings as CheckSettings
