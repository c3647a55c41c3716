"""What an instance remembers of the versions at a followed URI, for the worker that takes over from one that died.

Everything is a small file in `versions-*` beside the models' folders: a version that was rejected and why; a version
that a process is trying, locked by that process, so an unlocked one has ended it; the version that last served, with
the folder of its files. The name is chosen before the server forks its workers, so all workers of an instance share
the files and a new instance starts without any. A file that can't be written is missed only after a worker has died.
"""

import contextlib
import fcntl
import hashlib
import json
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loading import folders


@dataclass(frozen=True)
class Served:
    """The version that last served: its state as source.state returns it, its name, and its files."""

    state: str
    version: str
    folder: str
    digest: str


@dataclass(frozen=True)
class Rejection:
    """Why a version is not tried again; `fatal` says that the process ended while it was tried."""

    state: str
    reason: str
    fatal: bool = False


class Versions:
    """The records of one instance."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.gettempdir()) / f"versions-{secrets.token_hex(8)}"
        self.fetched: Path | None = None  # the files of the version that was loaded last
        self._rejected: dict[str, Rejection] = {}

    def rejection(self, state: str) -> Rejection | None:
        """Return why a version was rejected by this process or another one of this instance."""
        if state not in self._rejected and (found := self._read(f"rejected-{_key(state)}")):
            self._rejected[state] = Rejection(**found)
        return self._rejected.get(state)

    def reject(self, rejection: Rejection) -> None:
        """Remember that a version is not to be tried again."""
        self._rejected[rejection.state] = rejection
        self._write(f"rejected-{_key(rejection.state)}", asdict(rejection))

    @contextlib.contextmanager
    def trying(self, state: str) -> Iterator[None]:
        """Mark a version as being tried during the block; the mark stays when the process ends in it."""
        mark = self.folder / f"trying-{secrets.token_hex(4)}"
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                self._create()
                file = stack.enter_context(mark.open("w"))
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write(json.dumps({"state": state}))
                file.flush()
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    mark.unlink()

    def reject_fatal(self) -> tuple[list[Rejection], set[str]]:
        """Reject the versions that ended a process; return them, and the versions that are being tried elsewhere."""
        ended, tried = [], set()
        for mark in self.folder.glob("trying-*"):
            with contextlib.suppress(OSError, ValueError, KeyError), mark.open() as file:
                state = json.load(file)["state"]
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    tried.add(state)
                    continue
                ended.append(Rejection(state, "the process ended while it was loaded or tried", fatal=True))
                self.reject(ended[-1])
                mark.unlink()
        return ended, tried

    def served(self) -> Served | None:
        """Return the version that last served; None when its files are gone."""
        found = self._read(folders.SERVED)
        return Served(**found) if found and Path(found["folder"]).is_dir() else None

    def accept(self, state: str, version: str, digest: str) -> None:
        """Keep the files of the version that serves from now on, instead of those of its predecessor."""
        if self.fetched:
            self._write(folders.SERVED, asdict(Served(state, version, str(self.fetched), digest)))

    def discard(self) -> None:
        """Remove the files of the version that was loaded last, which is not going to serve."""
        if self.fetched:
            folders.release(self.fetched)

    def _create(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        folders.claim(self.folder)  # until this process ends

    def _read(self, name: str) -> dict[str, Any] | None:
        with contextlib.suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads((self.folder / name).read_text())
            return found
        return None

    def _write(self, name: str, content: dict[str, object]) -> None:
        with contextlib.suppress(OSError):
            self._create()
            new = self.folder / f".{name}-{secrets.token_hex(4)}"
            new.write_text(json.dumps(content))
            new.replace(self.folder / name)


def _key(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()[:16]
