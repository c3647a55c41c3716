"""From MODEL_URI to a loaded model, once per instance: fetch, check, load.

The rule of order: the digest is checked before a byte of the model is deserialised, and nothing is handed out that was
not fetched and loaded completely. What goes wrong with the model's files ends here as ModelUnusable.
"""

import asyncio
import contextlib
import dataclasses
import gc
import hashlib
import importlib.metadata
import json
import platform
import shutil
import sys
import time
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from loading.flavors import (
    check_trusted,
    import_early,
    is_read_whole,
    is_sklearn,
    load_pyfunc,
    load_sklearn,
    loading_errors,
)
from loading.limits import gigabytes, memory_limit
from loading.mlmodel import admit_code, own_code, read_mlmodel, requirements
from loading.source import fetched, pinned, version_of
from loading.watcher import Follower, write_log
from serving.errors import ModelUnreachable, ModelUnusable
from serving.model import Model, ModelInfo
from serving.rows import from_arguments
from serving.signature import read_signature

# Seconds that a request waits for the model: less than the 300 that deploy.sh gives a request, so that its caller hears
# from us.
ANSWER_WITHIN = 240.0


class ModelLoader:
    """The instance's one model, loaded on the first request, and followed when `refresh` says every how many seconds.

    However many requests ask while it is being loaded, it is loaded once and all of them get it, or all of them get
    the reason why not; the next request after a failure tries again. A request keeps the model that it got; another
    version is served from the next request on.
    """

    def __init__(self, uri: str, digest: str | None = None, refresh: float = 0) -> None:
        self._uri = uri
        self._digest = digest
        self._model: Model | None = None
        self._loading: asyncio.Future[Model] | None = None
        self._follower = Follower(uri, refresh, self._load, self._serve) if refresh else None

    @property
    def loaded(self) -> bool:
        """Whether a request finds the model there."""
        return self._model is not None

    async def model(self) -> Model:
        """Return the model; raise ModelUnusable or ModelUnreachable."""
        if self._model is None:
            return await self._first()
        if self._follower:
            self._follower.look_if_due(self._model)
        return self._model

    async def _first(self) -> Model:
        if self._loading is None or _failed(self._loading):
            first = self._follower.first if self._follower else self._load
            self._loading = asyncio.ensure_future(asyncio.to_thread(first))
            self._loading.add_done_callback(self._serve_loaded)
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return await asyncio.shield(self._loading)
        except TimeoutError as cause:
            raise ModelUnreachable(
                f"The model at {self._uri} is still being loaded after {ANSWER_WITHIN:.0f} seconds; that goes on."
            ) from cause

    def _serve_loaded(self, loading: asyncio.Future[Model]) -> None:
        if not _failed(loading):
            self._serve(loading.result())
            self._loading = None  # or it would keep the model when another one serves

    def _serve(self, model: Model) -> None:
        self._model = model

    def _load(self) -> Model:
        """Load the model, log what it brings along, and end here what only a model can do to its process."""
        try:
            with _uncollected():
                model = load(self._uri, self._digest)
        except MemoryError as cause:
            raise ModelUnusable(
                f"The model at {self._uri} does not fit into the {gigabytes(memory_limit())} of memory that this "
                "function has: deploy it with more --memory."
            ) from cause
        except SystemExit as cause:
            raise ModelUnusable(f"The model at {self._uri} cannot be loaded: its code ends the process.") from cause
        logged = ("uri", "version", "digest", "flavor", "code", "requirements", "seconds")
        write_log("INFO", f"Loaded the model at {self._uri}.", **{key: getattr(model.info, key) for key in logged})
        return model


def _failed(loading: asyncio.Future[Model]) -> bool:
    return loading.done() and (loading.cancelled() or loading.exception() is not None)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector from looking through packages and a model while they are loaded: they are to stay.

    It would do so several times, an eighth of a start, and once more at some request. To freeze and unfreeze moves what
    was made to the oldest generation, where it would be after that.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()
        gc.enable()


def load(uri: str, digest: str | None = None) -> Model:
    """Fetch, check and load a model.

    `uri` is one of loading.source.FORMS; `digest` is what `folder_digest` must give.
    Raise ModelUnusable or ModelUnreachable.
    """
    started = time.perf_counter()
    source = pinned(uri)
    with fetched(source, import_early) as folder:
        there = time.perf_counter()
        found = folder_digest(folder)
        if digest and digest.lower() != found:
            raise ModelUnusable(
                f"The model at {uri} has digest {found}, MODEL_DIGEST asks for {digest}: it was not loaded."
            )
        model, flavors = _load_folder(folder, uri, found)
        loaded = time.perf_counter()
        model = dataclasses.replace(model, takes_array=warm_up(model) and is_sklearn(flavors))
    warm = time.perf_counter()
    seconds = {"fetch": there - started, "load": loaded - there, "warmUp": warm - loaded}
    rounded = {phase: round(value, 3) for phase, value in seconds.items()}
    info = dataclasses.replace(model.info, version=version_of(source) or found, seconds=rounded)
    model = dataclasses.replace(model, info=info)
    if folder != Path(uri):
        # On Cloud Functions the disk is memory. A model that opens files when it predicts keeps them while it lives.
        if is_read_whole(flavors):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            weakref.finalize(model, shutil.rmtree, folder, ignore_errors=True)
    return model


def warm_up(model: Model) -> bool:
    """Predict the input example, so that no caller waits for what a first prediction sets up.

    Return whether an array of the columns gives the very answers of a DataFrame, which costs a tree as much time as the
    prediction. What asks for columns by name fails on an array, or gives other answers; such a model goes on with
    DataFrames.
    """
    # What scikit-learn says of an array where it has seen a DataFrame; that the answers are the same is checked here.
    warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
    rows = from_arguments(model.signature, model.example)
    if not len(rows) or rows.faults():
        return False
    try:
        answers = model.predictor(rows.model_input(), None)
        if any(column.mlflow_type != "double" for column in model.signature.columns):
            return False
        same = np.array_equal(answers, model.predictor(rows.array(), None))
        if model.probabilities and same:
            same = np.array_equal(model.probabilities(rows.model_input()), model.probabilities(rows.array()))
    except Exception:  # the requests will say what is wrong
        return False
    return bool(same)


def folder_digest(folder: Path) -> str:
    """Return the sha256 that identifies the content of a model folder.

    It is the sha256 of what `sha256sum` prints for every file, paths relative to the folder and sorted bytewise,
    so that it can be checked with
    `find . -type f | LC_ALL=C sort | sed 's|^./||' | xargs sha256sum | sha256sum`.
    """
    paths = sorted(
        (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()),
        key=str.encode,
    )
    listing = hashlib.sha256()
    for path in paths:
        with (folder / path).open("rb") as file:
            listing.update(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path}\n".encode())
    return listing.hexdigest()


def _load_folder(folder: Path, uri: str, digest: str) -> tuple[Model, Mapping[str, Any]]:
    """Return the model and its flavors."""
    mlmodel = read_mlmodel(folder, uri)
    with loading_errors(folder, uri):
        signature = read_signature(mlmodel, uri)
        code = own_code(folder, mlmodel)
    if code:  # bytecode written beside it would change the digest
        sys.dont_write_bytecode = True
    flavors = mlmodel["flavors"]
    check_trusted(flavors, uri)
    admit_code(code, uri)
    with loading_errors(folder, uri):
        parts = load_sklearn(folder, flavors, uri) if is_sklearn(flavors) else load_pyfunc(folder)
    flavor = next((name for name in flavors if name != "python_function"), "python_function")
    model = Model(
        info=ModelInfo(
            uri=uri,
            digest=digest,
            flavor=flavor,
            schema=signature.schema,
            signature={key: json.loads(text) for key, text in mlmodel["signature"].items() if text},
            saved=str(mlmodel.get("utc_time_created", "")),
            versions={
                "python": platform.python_version(),
                **_versions("mlflow-skinny", "numpy", "pandas", "scikit-learn"),
            },
            code=sorted(code),
            requirements=requirements(folder),
            metadata=mlmodel.get("metadata") or {},
            loaded=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
        signature=signature,
        example=_example(folder, mlmodel, [column.name for column in signature.columns]),
        **parts,
    )
    return model, flavors


def _example(folder: Path, mlmodel: Mapping[str, Any], names: Sequence[str]) -> list[list[Any]]:
    """Return the rows of the input example as argument lists; none where MLflow saved it in another form."""
    info = mlmodel.get("saved_input_example_info") or {}
    with contextlib.suppress(KeyError, ValueError, TypeError, OSError):
        saved = json.loads((folder / info["artifact_path"]).read_text())
        if info["type"] == "ndarray":
            return [list(row) for row in saved]
        order = [[str(column) for column in saved["columns"]].index(name) for name in names]
        return [[row[at] for at in order] for row in saved["data"]]
    return []


def _versions(*packages: str) -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in packages}
