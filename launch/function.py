"""The function as Cloud Functions would run it: functions-framework as its own process, on a loopback
port.

It is started from this interpreter's environment, in a session of its own: a Ctrl-C in the terminal reaches
only us, and the end of the `with` block ends the server and its workers.
"""

import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from launch.processes import HOST, check_free, free_port, server

ROOT = Path(__file__).parent.parent


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
        self._given_log = log

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            check_free(self.port)
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="function-"))
            self.log = self._given_log or Path(folder) / "function.log"
            command = ["functions_framework", "--target", "predict", "--host", HOST, "--port", str(self.port)]
            # The framework answers this path by itself: to wait must not load the model.
            probe = f"{self.url}/favicon.ico"
            running = server("The function", command, probe, self.log, cwd=self._source, env=self._environment)
            self.pid = stack.enter_context(running).pid
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
