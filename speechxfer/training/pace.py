"""The pace of a training: how long all steps will take, measured on the first ones, and how much time is left."""

import time
from collections.abc import Callable

from speechxfer.runtime import console, log_info

FIRST_STEPS = 10  # are measured before the first estimate, after one step that is slower than the others
LOG_EVERY_S = 60.0


class Pace:
    """Estimates the time of a run's steps; where stderr is no terminal, it logs a line a minute."""

    def __init__(self, steps: int, done: int, clock: Callable[[], float] = time.monotonic) -> None:
        """For a run of `steps`, of which `done` were done by earlier calls."""
        self._steps, self._first, self._clock = steps, done + 1, clock
        self._started = self._logged = clock()

    def log(self, step: int, loss: float) -> None:
        """To be called after each step: log the estimate for the whole run once, later the time left."""
        now = self._clock()
        if step == self._first:
            self._started = now
        elif step == self._first + FIRST_STEPS and step < self._steps:
            step_s = (now - self._started) / FIRST_STEPS
            left = duration_text(step_s * (self._steps - step))
            log_info(f"about {left} for {self._steps - step:,} steps ({step_s:.2f} s each), and the evaluations")
        elif now - self._logged > LOG_EVERY_S and not console.is_terminal:
            log_info(f"step {step}/{self._steps}: loss {loss:.3f}{self.time_left(step)}")
        else:
            return
        self._logged = now

    def time_left(self, step: int) -> str:
        """', about 12 min left'; empty before it is known, and at the end."""
        measured = step - self._first
        if measured < FIRST_STEPS or step >= self._steps:
            return ""
        step_s = (self._clock() - self._started) / measured
        return f", about {duration_text(step_s * (self._steps - step))} left"


def duration_text(seconds: float) -> str:
    """'40 s', '12 min' or '3.5 h'."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
