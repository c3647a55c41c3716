"""Polls MODEL_URI for another version of the model, and decides when that version may take over.

The current model serves until the next version has been loaded beside it and has scored its own input example. A
version that fails is rejected and logged once; it is retried only after the URI's contents change.

A poll runs while requests arrive, never on a clock: Cloud Run gives an instance next to no CPU between requests.
"""

import asyncio
import time
import traceback
from collections.abc import Callable
from typing import Protocol

from loading.source import state
from serving.errors import ModelUnreachable, ServingError
from serving.model import Model


class LogEvent(Protocol):
    """Writes one log line that isn't about a request."""

    def __call__(self, severity: str, message: str, **fields: object) -> None: ...


class ModelWatcher:
    """Polls the URI every `seconds`, and hands over a version that may serve.

    `load` fetches, verifies and loads the model at the URI, in a thread; `serve` is called on the event loop.
    """

    def __init__(
        self,
        uri: str,
        seconds: float,
        load: Callable[[], Model],
        serve: Callable[[Model], None],
        log_event: LogEvent,
    ) -> None:
        self._uri = uri
        self._seconds = seconds
        self._load = load
        self._serve = serve
        self._log_event = log_event
        self._next_poll = 0.0
        self._polling: asyncio.Task[None] | None = None
        self._serving = self._rejected = self._seen = ""  # states, as source.state returns them
        self._last_message = ""

    def first(self) -> Model:
        """Return the model to start with; call it in a thread."""
        self._serving = state(self._uri)
        model = self._load()
        self._next_poll = time.monotonic() + self._seconds
        return model

    def poll_if_due(self, model: Model) -> None:
        """Start a poll when it is time and none is running; no request waits for it."""
        if time.monotonic() >= self._next_poll and (self._polling is None or self._polling.done()):
            self._polling = asyncio.create_task(self._poll(model))

    async def _poll(self, model: Model) -> None:
        current, severity, message, fields = f"version {model.info.version}", "", "", {}
        try:
            if new := await asyncio.to_thread(self._load_next):
                self._serving = self._seen
                self._serve(new)
                severity, message = "INFO", f"Now serving version {new.info.version} instead of {current}."
        except ModelUnreachable as error:
            severity, message = "WARNING", f"Still serving {current}: could not check for updates: {error}"
        except ServingError as error:
            severity, message = "ERROR", f"Still serving {current}: the next version was rejected: {error}"
        except Exception:
            severity = "ERROR"
            message = f"Still serving {current}: internal error while checking {self._uri} for updates."
            fields = {"trace": traceback.format_exc()}
        if message and message != self._last_message:
            self._log_event(severity, message, uri=self._uri, **fields)
        self._last_message = message
        self._next_poll = time.monotonic() + self._seconds

    def _load_next(self) -> Model | None:
        """Return the version that takes over, or None when there is no other; call it in a thread."""
        before, self._seen = self._seen, state(self._uri)
        if self._seen in (self._serving, self._rejected):
            return None
        # Copying files into a bucket takes a while: only contents that two polls saw are a complete model.
        if self._uri.startswith("gs://") and self._seen != before:
            return None
        try:
            model = self._load()
            model.check_example()
        except ModelUnreachable:
            raise
        except Exception:
            self._rejected = self._seen
            raise
        return model
