"""How processes end: gunicorn starts and stops the workers, and each worker is an event loop of uvicorn.

functions-framework passes on few of their settings. The others are changed here, where the two keep their defaults.
"""

import contextlib
import ctypes
import os
import signal
import sys
from typing import Any

from serving.telemetry import log_event

END_SECONDS = 6  # after SIGTERM, requests that are still running are answered with 503, and the worker ends
KILL_SECONDS = 8  # gunicorn kills a worker that can't even do that; Cloud Run kills everything after 10
PR_SET_PDEATHSIG = 1


def configure() -> None:
    """Limit how long a process outlives SIGTERM and its parent; call it before the server starts."""
    with contextlib.suppress(ImportError):  # there is no gunicorn on Windows
        from gunicorn import config
        from uvicorn_worker import UvicornWorker

        UvicornWorker.CONFIG_KWARGS["timeout_graceful_shutdown"] = END_SECONDS
        config.GracefulTimeout.default = KILL_SECONDS
        config.Postfork.default = staticmethod(_end_with_parent)
        config.WhenReady.default = staticmethod(_when_ready)


def end_process() -> None:
    """End this worker: requests that have their answer get it first, then gunicorn starts another worker.

    uvicorn raises SIGTERM once more at the end, which ends the process without waiting for its threads.
    """
    os.kill(os.getpid(), signal.SIGTERM)


def _end_with_parent(_: Any, worker: Any) -> None:
    """Let the kernel end this worker when gunicorn dies, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != worker.ppid:
            os._exit(0)


def _when_ready(server: Any) -> None:
    """Say where the function listens, and let gunicorn kill a worker only if its event loop stands still for too long.

    The framework sets CLOUD_RUN_TIMEOUT_SECONDS as the timeout, but a worker reports only every half of it.
    """
    address = ", ".join(map(str, server.LISTENERS))
    log_event("INFO", f"Listening at {address}.", address=address)
    server.timeout *= 2
