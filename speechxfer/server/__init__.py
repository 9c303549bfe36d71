"""The page of ``speechxfer serve``: import, check, train, try, correct and export in the browser, on this computer only.

* `serve` opens the page of a project's folder.
* What the page does is done by commands of the command line, each in a process of its own.

Its program does not import torch, so that it starts at once.
"""

from speechxfer.server.opening import serve as serve
