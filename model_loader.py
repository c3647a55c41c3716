"""From MODEL_URI to a loaded model, once per instance: the public face of loading/.

A model is handed out only after it was fetched and loaded completely.
"""

import asyncio
import contextlib
import dataclasses
import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

from loading.failures import contained
from loading.folders import remove_abandoned
from loading.load import MakeRoom, folder_digest, load, load_again
from loading.versions import Served, Versions
from loading.watcher import ModelWatcher
from serving.errors import ModelUnreachable
from serving.model import Model
from serving.telemetry import log_event
from serving.threads import ModelThread

__all__ = ["ModelLoader", "folder_digest", "load"]

# Seconds that a request waits for the model: less than the 300 that deploy.sh gives a request, so the caller gets our
# 503 instead of the platform's timeout.
MAX_WAIT = 240.0

_own_records: set[Path] = set()  # of all loaders of this process


class ModelLoader:
    """The instance's one model, loaded on the first request, and polled for updates every `refresh` seconds if not 0.

    All requests that arrive while it is loading share one load and its outcome; the next request after a failure tries
    again. A request keeps the model it got; another version serves from the next request on.
    """

    def __init__(
        self,
        uri: str,
        digest: str | None = None,
        refresh: float = 0,
        *,
        version: str | None = None,
        sql_name: str = "",
        allow_dependence: bool = False,
        plan: str = "on",
        make_room: MakeRoom = lambda _: None,
    ) -> None:
        self._uri = uri
        self._digest = digest
        self._version = None if refresh else version  # it is that of one model
        self._sql_name = sql_name
        self._allow_dependence = allow_dependence
        self._plan = plan
        self._make_room = make_room
        self._model: Model | None = None
        self._loading: asyncio.Future[Model] | None = None
        self._versions = Versions() if refresh else None
        if self._versions:
            _own_records.add(self._versions.folder)
        self._watcher = (
            ModelWatcher(uri, refresh, self._versions, self._load, self._serve, log_event) if self._versions else None
        )

    @property
    def loaded(self) -> bool:
        """Whether a request gets the model without waiting."""
        return self._model is not None

    async def model(self) -> Model:
        """Return the model; raise ModelUnusable or ModelUnreachable."""
        model = self._model
        if model is None:
            return await self._first()
        if self._watcher:
            self._watcher.poll_if_due(model)
        return model

    def unload(self) -> "weakref.ref[Model] | None":
        """Forget the model until it is asked for again; return a reference to it, None if there is none."""
        model, self._model = self._model, None
        return None if model is None else weakref.ref(model)

    async def _first(self) -> Model:
        if self._loading is None or _failed(self._loading):
            first = self._watcher.first if self._watcher else self._load
            self._loading = asyncio.ensure_future(asyncio.to_thread(first))
            self._loading.add_done_callback(self._serve_loaded)
        try:
            return await asyncio.wait_for(asyncio.shield(self._loading), MAX_WAIT)
        except asyncio.TimeoutError as cause:
            raise ModelUnreachable(
                f"The model at {self._uri} is still loading after {MAX_WAIT:.0f} seconds; loading continues."
            ) from cause

    def _serve_loaded(self, loading: asyncio.Future[Model]) -> None:
        if not _failed(loading):
            self._serve(loading.result())
            self._loading = None  # it would keep the model alive after another one has taken over

    def _serve(self, model: Model) -> None:
        self._model = model

    def _load(self, served: Served | None = None) -> Model:
        """Load the model in a thread of its own, where it will predict too, and log it."""
        thread = ModelThread()
        loading: Future[Model] = thread.submit(self._load_here, served)
        model = loading.result()
        model.thread = thread
        return model

    def _load_here(self, served: Served | None) -> Model:
        """Load the model, or from disk the version that last served, and log it."""
        remove_abandoned(_own_records)
        with contained(self._uri), _gc_paused():
            if served:
                model = load_again(
                    self._uri,
                    served,
                    allow_dependence=self._allow_dependence,
                    plan=self._plan,
                    make_room=self._make_room,
                )
            else:
                model = load(
                    self._uri,
                    self._digest,
                    self._versions,
                    version=self._version,
                    check_packages=self._versions is not None and not self._digest,
                    allow_dependence=self._allow_dependence,
                    plan=self._plan,
                    make_room=self._make_room,
                )
        model.info = dataclasses.replace(model.info, sql_name=self._sql_name)
        fields = ("uri", "version", "digest", "flavor", "code", "requirements", "seconds", "answers")
        for note in model.notes:
            log_event("WARNING", note, uri=self._uri)
        log_event("INFO", f"Loaded the model at {self._uri}.", **{name: getattr(model.info, name) for name in fields})
        return model


def _failed(loading: asyncio.Future[Model]) -> bool:
    return loading.done() and (loading.cancelled() or loading.exception() is not None)


@contextlib.contextmanager
def _gc_paused() -> Iterator[None]:
    """Pause garbage collection while packages and a model are loaded: it saves about 12% of a cold start.

    Freezing and unfreezing moves the new objects to the oldest generation, where they would end up anyway.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()
        gc.enable()
