"""Cloud Storage on this machine: gcp-storage-emulator on a loopback port, its data in a temporary folder.

The emulator runs in its own process, since it logs through the root logger and answers in threads, which neither a
notebook nor a test should share. Google's client libraries find it by the variable `STORAGE_EMULATOR_HOST`.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from launch.processes import HOST, ProcessError, free_port, server


class Storage:
    """Cloud Storage, running for the length of a `with` block."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.environment = {"STORAGE_EMULATOR_HOST": self.url}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="storage-")))
            options = ["--data-dir", str(folder / "data"), "start", "--quiet", "--host", HOST, "--port", str(self.port)]
            command = ["gcp_storage_emulator", *options]
            stack.enter_context(server("The Cloud Storage emulator", command, self.url, folder / "log"))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def create_bucket(self, name: str) -> None:
        """Create a bucket unless it exists; raise ProcessError if the emulator rejects the name."""
        response = httpx.post(f"{self.url}/storage/v1/b", json={"name": name}, trust_env=False)
        if response.status_code not in (200, 409):
            raise ProcessError(f"Cannot create bucket {name!r}: {response.status_code} {response.text[:200]}")
