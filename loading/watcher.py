"""Polls MODEL_URI for another version of the model, and decides when that version may take over.

The current model serves until the next version has been loaded beside it and has scored its own input example. A
version whose content makes that fail is rejected and logged once; it is retried only after the URI's contents change.
Failures of storage, disk or memory are no fault of the version: it is tried again, after longer and longer pauses.

A poll runs while requests arrive, never on a clock: Cloud Run gives an instance next to no CPU between requests.
"""

import asyncio
import gc
import time
import traceback
from collections.abc import Callable
from typing import Protocol

from loading.failures import contained
from loading.limits import is_shortage
from loading.source import state
from loading.versions import Rejection, Served, Versions
from serving.errors import ModelBlocked, ModelUnreachable, ModelUnusable, ServingError
from serving.model import Model

MAX_PAUSE = 8  # polls between two tries of a version that something around it keeps from being loaded


class LogEvent(Protocol):
    """Writes one log line that isn't about a request."""

    def __call__(self, severity: str, message: str, **fields: object) -> None: ...


class ModelWatcher:
    """Polls the URI every `seconds`, and hands over a version that may serve.

    `load` fetches, verifies and loads the model at the URI, or that of the version that last served, in a thread;
    `serve` is called on the event loop.
    """

    def __init__(
        self,
        uri: str,
        seconds: float,
        versions: Versions,
        load: Callable[[Served | None], Model],
        serve: Callable[[Model], None],
        log_event: LogEvent,
    ) -> None:
        self._uri = uri
        self._seconds = seconds
        self._versions = versions
        self._load = load
        self._serve = serve
        self._log_event = log_event
        self._next_poll = 0.0
        self._polling: asyncio.Task[None] | None = None
        self._serving = self._seen = self._failed = ""  # states, as source.state returns them
        self._failures, self._retry_at = 0, 0.0  # of the version in `_failed`
        self._logged: set[tuple[object, ...]] = set()

    def first(self) -> Model:
        """Return the model to start with; call it in a thread.

        It is the version that served before this worker took over, if there is one; the next poll looks for another.
        """
        self._reject_fatal()
        model = self._served_before()
        if model is None:
            self._serving = state(self._uri)
            rejection = self._versions.rejection(self._serving)
            if rejection and rejection.fatal:
                raise ModelUnusable(f"The model at {self._uri} is not tried again: {rejection.reason}.")
            with self._versions.trying(self._serving):
                model = self._load(None)
            self._versions.accept(self._serving, model.info.version, model.info.digest)
            self._next_poll = time.monotonic() + self._seconds
        return model

    def poll_if_due(self, model: Model) -> None:
        """Start a poll when it is time and none is running; no request waits for it."""
        if time.monotonic() >= self._next_poll and (self._polling is None or self._polling.done()):
            self._polling = asyncio.create_task(self._poll(model))

    async def _poll(self, model: Model) -> None:
        current = f"version {model.info.version}"
        logged, new = len(self._logged), None
        try:
            if new := await asyncio.to_thread(self._load_next):
                self._serving = self._seen
                self._serve(new)
                self._log_event("INFO", f"Now serving version {new.info.version} instead of {current}.", uri=self._uri)
        except ModelUnreachable as error:
            self._log_once("WARNING", f"Still serving {current}: could not check for updates: {error}", error)
        except ModelBlocked as error:
            self._log_once("WARNING", f"Still serving {current}: the next version could not be loaded: {error}", error)
        except ServingError as error:
            self._log_once("ERROR", f"Still serving {current}: the next version was rejected: {error}", error)
        except Exception as error:
            message = f"Still serving {current}: internal error while checking {self._uri} for updates."
            self._log_once("ERROR", message, error, trace=traceback.format_exc())
        if new or len(self._logged) > logged:
            # The model that went, or was rejected, and what refers to it may refer to each other.
            del model, new
            await asyncio.to_thread(gc.collect)
        self._next_poll = time.monotonic() + self._seconds

    def _load_next(self) -> Model | None:
        """Return the version that takes over, or None when there is no other; call it in a thread."""
        before, self._seen = self._seen, state(self._uri)
        tried_elsewhere = self._reject_fatal()
        if self._seen == self._serving:
            self._logged.clear()
        if self._seen in (self._serving, *tried_elsewhere) or self._versions.rejection(self._seen):
            return None
        # Copying files into a bucket takes a while: only contents that two polls saw are a complete model.
        if self._uri.startswith("gs://") and self._seen != before:
            return None
        if self._seen == self._failed and time.monotonic() < self._retry_at:
            return None
        try:
            with self._versions.trying(self._seen), contained(self._uri):
                model = self._load(None)
                _check_example(model)
        except ModelUnusable as error:
            self._versions.discard()
            if isinstance(error, ModelBlocked) or is_shortage(error):
                self._postpone()
                raise ModelBlocked(str(error)) from error
            self._versions.reject(Rejection(self._seen, str(error)))
            raise
        except Exception:
            self._versions.discard()
            self._postpone()
            raise
        self._versions.accept(self._seen, model.info.version, model.info.digest)
        return model

    def _postpone(self) -> None:
        """Try the version seen last again later: after one poll, then two, four and so on."""
        self._failures = self._failures + 1 if self._failed == self._seen else 1
        self._failed = self._seen
        self._retry_at = time.monotonic() + self._seconds * min(2 ** (self._failures - 1), MAX_PAUSE)

    def _served_before(self) -> Model | None:
        """Return the version that served before this worker took over, from its files on disk; None without one."""
        served = self._versions.served()
        if served is None or self._versions.rejection(served.state):
            return None
        try:
            with self._versions.trying(served.state):
                model = self._load(served)
        except Exception as error:
            message = f"Version {served.version} could not be loaded again from disk: {error}"
            self._log_event("WARNING", message, uri=self._uri)
            return None
        self._serving = served.state
        return model

    def _reject_fatal(self) -> set[str]:
        """Reject and log the versions that ended a process; return those that another process is trying."""
        ended, tried = self._versions.reject_fatal()
        for rejection in ended:
            self._log_event("ERROR", f"Rejected a version of {self._uri}: {rejection.reason}.", uri=self._uri)
        return tried

    def _log_once(self, severity: str, message: str, error: Exception, **fields: object) -> None:
        """Log a failure unless the same version has failed for the same reason; figures in the message may differ."""
        root: BaseException = error
        while root.__cause__:
            root = root.__cause__
        key = (self._seen, type(error), type(root))
        if key not in self._logged:
            self._logged.add(key)
            self._log_event(severity, message, uri=self._uri, **fields)


def _check_example(model: Model) -> None:
    if model.thread:
        model.thread.submit(model.check_example).result()
    else:
        model.check_example()
