"""Timeouts of requests, which hardly ever come.

A timer of uvloop takes longer to set and cancel than a small model to predict. So all requests share one timer: it is
set for the earliest of their times, and is left alone when the request ends before.
"""

import asyncio
import time
from collections.abc import Callable


class Alarm:
    """A function to call once `seconds` have passed since it was set or postponed."""

    __slots__ = ("_call", "has_rung", "seconds", "when")

    def __init__(self, seconds: float, call: Callable[[], object]) -> None:
        self.seconds = seconds
        self.has_rung = False
        self._call = call
        self.postpone()

    def postpone(self) -> None:
        """Begin to count the seconds again."""
        self.when = time.monotonic() + self.seconds

    def ring(self) -> None:
        """Call the function."""
        self.has_rung = True
        self._call()


class Alarms:
    """The alarms of the requests on one event loop."""

    def __init__(self) -> None:
        self._set: set[Alarm] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._rings = 0.0

    def set(self, seconds: float, call: Callable[[], object]) -> Alarm:
        """Call a function on the event loop after so many seconds, unless its alarm is cleared before."""
        alarm = Alarm(seconds, call)
        self._set.add(alarm)
        if self._timer is None or alarm.when < self._rings:
            self._start(alarm.when)
        return alarm

    def clear(self, alarm: Alarm) -> None:
        """Forget an alarm, whether or not it has rung."""
        self._set.discard(alarm)

    def _start(self, when: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._rings = when
        self._timer = asyncio.get_running_loop().call_later(when - time.monotonic(), self._check)

    def _check(self) -> None:
        """Ring the alarms whose time has come, and set the timer for the earliest of the others."""
        self._timer = None
        now = time.monotonic()
        for alarm in [each for each in self._set if each.when <= now]:
            self._set.discard(alarm)
            alarm.ring()
        if self._set and self._timer is None:
            self._start(min(alarm.when for alarm in self._set))
