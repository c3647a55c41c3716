"""From MODEL_URI to a loaded model, once per instance: the public face of loading/.

The digest is verified before a byte of the model is deserialized, and a model is handed out only after it was fetched
and loaded completely. Whatever is wrong with a model's files surfaces here as ModelUnusable.
"""

import asyncio
import contextlib
import dataclasses
import gc
import hashlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loading.build import build
from loading.failures import contained, loading_errors
from loading.flavors import import_early, keeps_files
from loading.folders import claim, release, remove_abandoned
from loading.memory import check_fits
from loading.plan.attach import attach
from loading.source import fetched, pinned, version_of
from loading.trial import try_out
from loading.versions import Served, Versions
from loading.watcher import ModelWatcher
from serving.errors import ModelUnreachable, ModelUnusable
from serving.model import Model
from serving.telemetry import log_event
from serving.threads import ModelThread

# Seconds that a request waits for the model: less than the 300 that deploy.sh gives a request, so the caller gets our
# 503 instead of the platform's timeout.
MAX_WAIT = 240.0
MAX_TURN = 60.0  # seconds that a model waits for those of other threads to be loaded
READ_BYTES = 1 << 20  # of a file at a time, for its digest

MakeRoom = Callable[[float], object]

_own_records: set[Path] = set()  # of all loaders of this process
_reading = threading.Lock()


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
        allow_dependence: bool = False,
        plan: str = "on",
        make_room: MakeRoom = lambda _: None,
    ) -> None:
        self._uri = uri
        self._digest = digest
        self._version = None if refresh else version  # it is that of one model
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


def load(
    uri: str,
    digest: str | None = None,
    versions: Versions | None = None,
    *,
    version: str | None = None,
    check_packages: bool = False,
    allow_dependence: bool | None = None,
    plan: str | None = None,
    make_room: MakeRoom = lambda _: None,
) -> Model:
    """Fetch, verify, load and try a model.

    `uri` has one of the forms in loading.source.FORMS; `digest` is what `folder_digest` must return; `versions` is told
    where the files of a followed version are; `version` is what the model is called, by default what its registry calls
    it; `check_packages` rejects a model that requires packages which aren't here; `allow_dependence` admits a model
    whose rows depend on each other, by default if ROWS_DEPEND is `allow`, as for the function; `plan` is `on`, `off`,
    or `thorough` to compare the plan with the model on thousands of rows, by default what MODEL_PLAN says; `make_room`
    is told how many bytes of memory the model needs before it is loaded.
    Raise ModelUnusable or ModelUnreachable.
    """
    if versions:
        versions.fetched = None
    started = time.perf_counter()
    source = pinned(uri)
    with fetched(source, import_early) as folder:
        name = version or version_of(source)
        wanted = _Wanted(uri, digest, name, allow_dependence, plan, check_packages, make_room)
        model, flavors = _read(folder, wanted, started)
    if folder != Path(uri):
        # On Cloud Functions the disk is memory. A model that opens its files to predict keeps them as long as it lives,
        # and so does a followed version: a worker that takes over serves it.
        if versions:
            versions.fetched = folder
        if versions or keeps_files(flavors):
            weakref.finalize(model, release, folder)
        else:
            release(folder)
    return model


def load_again(
    uri: str, served: Served, *, allow_dependence: bool, plan: str, make_room: MakeRoom = lambda _: None
) -> Model:
    """Load the version that last served, for a worker that takes over, from the files that it left."""
    started = time.perf_counter()
    folder = Path(served.folder)
    if not claim(folder):
        raise ModelUnreachable(f"The files of version {served.version} of {uri} are gone.")
    try:
        wanted = _Wanted(uri, served.digest, served.version, allow_dependence, plan, make_room=make_room)
        model, _ = _read(folder, wanted, started)
    except BaseException:
        release(folder)
        raise
    weakref.finalize(model, release, folder)
    return model


@dataclass(frozen=True)
class _Wanted:
    """Which model is loaded, and how; the fields are the arguments of `load`."""

    uri: str
    digest: str | None
    version: str | None
    allow_dependence: bool | None
    plan: str | None
    check_packages: bool = False
    make_room: MakeRoom = lambda _: None


def _read(folder: Path, wanted: _Wanted, started: float) -> tuple[Model, Mapping[str, Any]]:
    """Verify and load the model in a folder, after those of other threads; return it with its flavors.

    Each measures the memory that the ones before have left, and none meets modules that another is about to admit. One
    that takes too long doesn't keep others waiting for ever.
    """
    waited = _reading.acquire(timeout=MAX_TURN)
    try:
        return _read_now(folder, wanted, started)
    finally:
        if waited:
            _reading.release()


def _read_now(folder: Path, wanted: _Wanted, started: float) -> tuple[Model, Mapping[str, Any]]:
    """Verify and load the model in a folder; return it with its flavors. `started` is when fetching it began."""
    uri, digest = wanted.uri, wanted.digest
    fetched_at = time.perf_counter()
    found = folder_digest(folder)
    if digest and digest.lower() != found:
        raise ModelUnusable(f"The model at {uri} has digest {found}, but MODEL_DIGEST is {digest}: it was not loaded.")
    import_early(folder / "MLmodel")  # so that what the library takes is in use when the rest is compared with it
    check_fits(folder, uri, wanted.make_room)
    model, flavors = build(folder, uri, found, check_packages=wanted.check_packages)
    loaded_at = time.perf_counter()
    allow_dependence = wanted.allow_dependence
    if allow_dependence is None:
        allow_dependence = os.environ.get("ROWS_DEPEND") == "allow"
    try_out(model, allow_dependence=allow_dependence)
    if isinstance(model.example_error, ImportError):  # of a module that is imported only to predict
        with loading_errors(folder, uri):
            raise model.example_error
    plan = wanted.plan or os.environ.get("MODEL_PLAN", "on")
    if plan != "off" and model.example_error is None:
        attach(model, load_seconds=time.perf_counter() - started, thorough=plan == "thorough")
    warm_at = time.perf_counter()
    seconds = {"fetch": fetched_at - started, "load": loaded_at - fetched_at, "warmUp": warm_at - loaded_at}
    rounded = {phase: round(value, 3) for phase, value in seconds.items()}
    model.info = dataclasses.replace(model.info, version=wanted.version or found, seconds=rounded)
    return model, flavors


def folder_digest(folder: Path) -> str:
    """Return the sha256 that identifies the content of a model folder.

    It is the sha256 of what `sha256sum` prints for every file, paths relative to the folder and sorted bytewise. To
    check it: `find . -type f | LC_ALL=C sort | sed 's|^./||' | xargs sha256sum | sha256sum`.
    """
    paths = sorted(
        (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()),
        key=str.encode,
    )
    listing = hashlib.sha256()
    for path in paths:
        with (folder / path).open("rb") as file:
            content = hashlib.sha256()
            while piece := file.read(READ_BYTES):
                content.update(piece)
            listing.update(f"{content.hexdigest()}  {path}\n".encode())
    return listing.hexdigest()
