"""A progress bar for queries that take long, with rows per second, on stderr."""

import contextlib
import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

DELAY = 1.0  # seconds before the bar appears


class ProgressBar:
    """A bar that appears when the query in `watching` takes long and stderr is a terminal."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[rate]:>9,.0f} rows/s"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("", rate=0.0)
        self._started = time.monotonic()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Time the query in this block and remove its bar afterwards."""
        self._started = time.monotonic()
        try:
            yield
        finally:
            if self._progress.live.is_started:
                self._progress.stop()

    def on_rows(self, done: int, total: int) -> None:
        """Update the bar; an `OnRows` callback."""
        seconds = time.monotonic() - self._started
        if seconds > DELAY and sys.stderr.isatty():
            self._progress.start()
            self._progress.update(self._task, completed=done, total=total, rate=done / seconds)
