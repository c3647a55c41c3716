"""How processes end: gunicorn starts and stops the workers, and each worker is an event loop of uvicorn.

functions-framework passes on few of their settings. The others are changed here, where the two keep their defaults.
"""

import contextlib
import ctypes
import mmap
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.one_write import OneWriteProtocol
from serving.telemetry import log_event

Answer = Callable[[Request], Awaitable[Response]]

END_SECONDS = 6  # after SIGTERM, requests that are still running are answered with 503, and the worker ends
KILL_SECONDS = 8  # gunicorn kills a worker that can't even do that; Cloud Run kills everything after 10
# Google's front ends close a connection after 600 idle seconds. If this side closed it first, by default after 2, it
# would reset a request that is on its way:
# https://docs.cloud.google.com/load-balancing/docs/https/request-distribution
IDLE_SECONDS = 620
EXECUTION_ID = b"function-execution-id"  # from the platform; without one, the framework generates it, too
PR_SET_PDEATHSIG = 1
_NO_EXIT_CODE = -1
_booted = mmap.mmap(-1, 1)  # shared with the workers: whether one of them has ever begun to serve


def configure(answer: Answer) -> None:
    """Limit how long a process outlives SIGTERM and its parent, and let workers answer POST requests by this function.

    Call it before the server starts.
    """
    with contextlib.suppress(ImportError):  # there is no gunicorn on Windows
        from gunicorn import config
        from uvicorn_worker import UvicornWorker

        UvicornWorker.CONFIG_KWARGS["timeout_graceful_shutdown"] = END_SECONDS
        UvicornWorker.CONFIG_KWARGS["timeout_keep_alive"] = IDLE_SECONDS
        UvicornWorker.CONFIG_KWARGS["http"] = OneWriteProtocol
        config.GracefulTimeout.default = KILL_SECONDS
        config.Postfork.default = staticmethod(_end_with_parent)
        config.WhenReady.default = staticmethod(_when_ready)
        config.PostWorkerInit.default = staticmethod(_begin_to_serve(answer))
        config.ChildExit.default = staticmethod(_halt_unless_booted)


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


def _begin_to_serve(answer: Answer) -> Callable[[Any], None]:
    def begin(worker: Any) -> None:
        worker.wsgi = post_directly(worker.wsgi, answer)
        _booted[0] = 1

    return begin


def post_directly(app: ASGIApp, answer: Answer) -> ASGIApp:
    """Return the framework's app with a shorter way for POST requests, all of which it would pass to `answer`.

    Its four layers of middleware, its router and their wrappers take 50 microseconds, an eighth of a request with one
    row. They would do nothing else for it: `answer` answers errors itself.
    """

    async def direct(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await app(scope, receive, send)
            return
        if all(name != EXECUTION_ID for name, _ in scope["headers"]):
            scope["headers"] = [*scope["headers"], (EXECUTION_ID, b"%012x" % random.getrandbits(48))]
        response = await answer(Request(scope, receive, send))
        await response(scope, receive, send)

    return direct


def _halt_unless_booted(server: Any, _: Any) -> None:
    """End the server if a worker has ended and none has ever begun to serve: the next one would end like it."""
    if not _booted[0] and server.LISTENERS:  # without them it is ending
        from gunicorn.arbiter import Arbiter
        from gunicorn.errors import HaltServer

        raise HaltServer("Worker failed to boot.", Arbiter.WORKER_BOOT_ERROR)


def _when_ready(server: Any) -> None:
    """Say where the function listens, and change what gunicorn has no settings for.

    It ends when a worker exits with one of two codes, as any model can let it: _halt_unless_booted decides instead. And
    it should kill a worker only if its event loop stands still for too long: the framework sets
    CLOUD_RUN_TIMEOUT_SECONDS as the timeout, but a worker reports only every half of it.
    """
    address = ", ".join(map(str, server.LISTENERS))
    log_event("INFO", f"Listening at {address}.", address=address)
    server.WORKER_BOOT_ERROR = server.APP_LOAD_ERROR = _NO_EXIT_CODE
    server.timeout *= 2
