"""The function as Cloud Functions would run it: functions-framework as its own process, on a loopback
port.

It is started from this interpreter's environment, in a session of its own: a Ctrl-C in the terminal reaches
only us, and the end of the `with` block ends the server and its workers.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from local.errors import ProcessError
from local.processes import HOST, check_free, end, free_port

ROOT = Path(__file__).parent.parent
STARTS_WITHIN = 60.0  # seconds, imports of a cold disk included
TAIL = 20  # lines of the log in an error
_POLL = 0.05  # seconds


class Function:
    """The function for the length of a `with` block.

    `environment` is added to this process's own. `log` is the file of everything that the function prints;
    without one given it is a temporary file, which goes with the block.
    """

    def __init__(
        self,
        model_uri: str,
        environment: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
        log: Path | None = None,
        source: Path = ROOT,
    ) -> None:
        self.port = free_port() if port is None else port
        self.url = f"http://{HOST}:{self.port}"
        self._environment = {**os.environ, **(environment or {}), "MODEL_URI": model_uri}
        self._source = source
        self._folder = None if log else tempfile.TemporaryDirectory(prefix="function-")
        self.log = log or Path(self._folder.name if self._folder else "") / "function.log"

    def __enter__(self) -> Self:
        try:
            check_free(self.port)
            self._start()
        except BaseException:
            self._forget()
            raise
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _start(self) -> None:
        command = ["--target", "predict", "--host", HOST, "--port", str(self.port)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "functions_framework", *command],
                cwd=self._source,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait(self) -> None:
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ProcessError(f"The function ended with status {self._process.returncode}{self._tail()}")
            try:
                # The framework answers this by itself: to wait must not load the model.
                httpx.get(f"{self.url}/favicon.ico", trust_env=False, timeout=STARTS_WITHIN)
            except httpx.TransportError:
                time.sleep(_POLL)
            else:
                return
        raise ProcessError(f"The function does not answer on {self.url} after {STARTS_WITHIN:.0f} s{self._tail()}")

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL:]
        return "; the end of its log:\n" + "\n".join(lines) if lines else "; its log is empty."

    def _stop(self) -> None:
        end(self._process)
        self._forget()

    def _forget(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
