"""Loads one model from its URI: fetched, verified, deserialized, tried on its example, and planned.

The digest is verified before a byte of the model is deserialized. Whatever is wrong with a model's files surfaces here
as ModelUnusable.
"""

import dataclasses
import hashlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loading.build import build
from loading.failures import loading_errors
from loading.flavors import import_early, keeps_files
from loading.folders import claim, release
from loading.memory import check_fits
from loading.plan.attach import attach
from loading.source import fetched, pinned, version_of
from loading.trial import try_out
from loading.versions import Served, Versions
from serving.errors import ModelUnreachable, ModelUnusable
from serving.model import Model

MAX_TURN = 60.0  # seconds that a model waits for those of other threads to be loaded
READ_BYTES = 1 << 20  # of a file at a time, for its digest

MakeRoom = Callable[[float], object]

_reading = threading.Lock()


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


def load_again(uri: str, served: Served, *, allow_dependence: bool, plan: str, make_room: MakeRoom) -> Model:
    """Load the version that last served, for a worker that takes over, from the files that it left."""
    started = time.perf_counter()
    folder = Path(served.folder)
    if not claim(folder):
        raise ModelUnreachable(f"The files of version {served.version} of {uri} are gone.")
    try:
        wanted = _Wanted(uri, served.digest, served.version, allow_dependence, plan, False, make_room)
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
    check_packages: bool
    make_room: MakeRoom


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
