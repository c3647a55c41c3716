"""Cloud Storage on this machine: gcp-storage-emulator over HTTP on a loopback port, its data in a
temporary folder.

It runs as a process of its own, since the emulator logs through the root logger and answers with threads:
neither belongs into a notebook or a test. Google's client libraries find it by the variable
`STORAGE_EMULATOR_HOST`.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from local.errors import ProcessError
from local.processes import HOST, end, free_port

STARTS_WITHIN = 30.0  # seconds
_POLL = 0.05  # seconds


class Storage:
    """Cloud Storage for the length of a `with` block."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.environment = {"STORAGE_EMULATOR_HOST": self.url}

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="storage-")
        folder = Path(self._folder.name)
        try:
            with (folder / "log").open("wb") as log:
                command = ["--data-dir", str(folder / "data"), "start", "--quiet", "--host", HOST]
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "gcp_storage_emulator", *command, "--port", str(self.port)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except BaseException:
            self._folder.cleanup()
            raise
        try:
            self._wait(folder / "log")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def create_bucket(self, name: str) -> None:
        """Create a bucket; one that is there already stays as it is."""
        response = httpx.post(f"{self.url}/storage/v1/b", json={"name": name}, trust_env=False)
        if response.status_code not in (200, 409):
            raise ProcessError(f"Bucket {name!r} cannot be created: {response.status_code} {response.text[:200]}")

    def _wait(self, log: Path) -> None:
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                httpx.get(self.url, trust_env=False)
            except httpx.TransportError:
                time.sleep(_POLL)
            else:
                return
        raise ProcessError(f"The Cloud Storage emulator does not answer on {self.url}; its log:\n{log.read_text()}")

    def _stop(self) -> None:
        end(self._process)
        self._folder.cleanup()
