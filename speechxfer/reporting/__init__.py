"""Reporting: the scores, training and errors of runs as one HTML page that opens from disk.

- `Content`, `Run`, `Clip`, `Curve`: what a page shows; `render_page` renders it.
- `choose_clips`, `make_clips`, `room_for_clips`: audio and filterbank pictures of some utterances, within the page's size.
"""

from speechxfer.reporting.clips import choose_clips as choose_clips
from speechxfer.reporting.clips import make_clips as make_clips
from speechxfer.reporting.content import Clip as Clip
from speechxfer.reporting.content import Content as Content
from speechxfer.reporting.content import Curve as Curve
from speechxfer.reporting.content import Run as Run
from speechxfer.reporting.page import render_page as render_page
from speechxfer.reporting.page import room_for_clips as room_for_clips
