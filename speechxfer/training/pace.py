"""The pace of a training: how long all steps will take, measured on the first ones, and how much time is left."""

import time
from collections.abc import Callable

from speechxfer.runtime import format_duration, log_info

FIRST_STEPS = 10  # are measured before the estimate, after one step that is slower than the others


class Pace:
    """Estimates the time of a run's steps.

    Args:
        steps: of the run.
        done: of these, steps done by earlier calls.
        clock: gives the time in seconds.
    """

    def __init__(self, steps: int, done: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._steps, self._first, self._clock = steps, done + 1, clock
        self._started_s = clock()

    def update(self, step: int) -> None:
        """To be called after each step; logs the estimate once."""
        if step == self._first:
            self._started_s = self._clock()
        elif step == self._first + FIRST_STEPS and step < self._steps:
            step_s = (self._clock() - self._started_s) / FIRST_STEPS
            left = self._steps - step
            log_info(
                f"about {format_duration(step_s * left)} for {left:,} steps ({step_s:.2f} s each), and the evaluations"
            )

    def time_left(self, step: int) -> str:
        """', about 12 min left'; empty before it is known, and at the end."""
        measured = step - self._first
        if measured < FIRST_STEPS or step >= self._steps:
            return ""
        step_s = (self._clock() - self._started_s) / measured
        return f", about {format_duration(step_s * (self._steps - step))} left"
