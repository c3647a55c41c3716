"""The function as Cloud Functions runs it: functions-framework in its own process, on a loopback port.

The process uses the environment of the given interpreter, by default this one's. It leads its own session: a Ctrl-C in
the terminal reaches only the parent, and the end of the `with` block stops the server and its workers.
"""

import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from launch.processes import HOST, check_free, free_port, server

ROOT = Path(__file__).parent.parent


class Function:
    """The function, running for the length of a `with` block.

    `environment` is added to this process's own. `log` receives everything that the function prints; by default it is a
    temporary file that is deleted with the block. `source` is the folder with main.py, `python` the interpreter.
    Entering the block raises ProcessError when the port is in use or the function does not start.
    """

    def __init__(
        self,
        model_uri: str,
        environment: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
        log: Path | None = None,
        source: Path = ROOT,
        python: Path | str = sys.executable,
    ) -> None:
        self.port = free_port() if port is None else port
        self.url = f"http://{HOST}:{self.port}"
        self._environment = {**os.environ, **(environment or {}), "MODEL_URI": model_uri}
        self._source = source
        self._given_log = log
        self._python = str(python)

    def __enter__(self) -> "Function":
        with ExitStack() as stack:
            check_free(self.port)
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="function-"))
            self.log = self._given_log or Path(folder) / "function.log"
            command = ["functions_framework", "--target", "predict", "--host", HOST, "--port", str(self.port)]
            # The framework itself answers this path, so waiting for the server does not load the model.
            probe = f"{self.url}/favicon.ico"
            running = server(
                "The function", command, probe, self.log, cwd=self._source, env=self._environment,
                python=self._python,
            )  # fmt: skip
            self.pid = stack.enter_context(running).pid
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
