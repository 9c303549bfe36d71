"""The page of ``speechxfer serve``: import, check, train, try, correct and export in the browser, on this computer only.

* `serve` opens the page of a project's folder; `build_application` is its web application, `Project` its folder.
* What the page does is done by commands of the command line, each in a process of its own: `Jobs`, `Job`, `Command`.

Its program does not import torch, so that it starts at once.
"""

from speechxfer.server.application import build_application as build_application
from speechxfer.server.application import serve as serve
from speechxfer.server.jobs import Command as Command
from speechxfer.server.jobs import Job as Job
from speechxfer.server.jobs import Jobs as Jobs
from speechxfer.server.project import Project as Project
