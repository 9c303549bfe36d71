"""TODO-DOOR"""

from speechxfer.checking.checker import check_manifests
from speechxfer.checking.feasibility import ctc_frames_needed
from speechxfer.checking.repair import repair
from speechxfer.checking.report import CheckReport

__all__ = ["CheckReport", "check_manifests", "ctc_frames_needed", "repair"]
