"""When to give up a download that is interrupted again and again: not while it makes progress."""

import io
import time
from pathlib import Path
from typing import Any


class Progress:
    """Decides when to give up: some seconds after the last new byte, or once one of the download's files has failed."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self.failure: BaseException | None = None
        self._sizes: dict[tuple[Path, int], int] = {}  # by file and generation: the most bytes there have been
        self._moved = time.monotonic()

    def started(self, path: Path, generation: int) -> bool:
        """Whether a file holds bytes of this generation of its object."""
        return (path, generation) in self._sizes and path.exists()

    def advanced(self, path: Path, generation: int) -> bool:
        """Record the size of an object's file; return whether it has never been larger."""
        size = path.stat().st_size if path.exists() else 0
        if size <= self._sizes.get((path, generation), 0):
            return False
        self._sizes[path, generation] = size
        self._moved = time.monotonic()
        return True

    def check(self, error: Exception) -> None:
        """Raise RetryError instead of another try when there is no point in it."""
        from google.api_core.exceptions import RetryError

        if self.failure or time.monotonic() - self._moved > self._patience:
            raise RetryError(f"no progress for {self._patience:.0f} s", cause=error) from error


class Writer(io.BufferedWriter):
    """Writes a file until another one of the same download fails."""

    def __init__(self, path: Path, mode: str, progress: Progress) -> None:
        super().__init__(io.FileIO(path, mode))
        self._progress = progress

    def write(self, data: Any) -> int:
        if self._progress.failure:
            raise self._progress.failure
        return super().write(data)
