"""Downloads a model's files from Cloud Storage: exactly the objects of one listing, each as it was stored, or none.

Failures become ModelUnusable, when a retry won't help, or ModelUnreachable, when it may. Object names come from anybody
who can write to the bucket, so they must stay inside the folder. A file is accepted only with the size and checksum in
the listing, however often its download was interrupted. A download is given up when it makes no progress, however long
it takes: an interrupted file resumes where it stopped, and complete files are kept when another one has been replaced.
"""

import base64
import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from loading.limits import disk_errors
from loading.memory import gigabytes, memory_limit, usage
from loading.progress import Progress, Writer
from loading.storage_errors import storage_errors
from serving.errors import ModelBlocked, ModelUnusable, quantity, short_repr

TIMEOUT = (5.0, 20.0)  # seconds to connect, and between two pieces of a response
# Seconds within which a failed request is retried, counted from the first request or the last progress. With the last
# request's timeouts this stays below the 300 that deploy.sh gives a request.
RETRY_SECONDS = 120.0
RETRY_DELAY = (0.5, 8.0)  # seconds between two tries at most, at first and later
PARALLEL_DOWNLOADS = 8
NAME_LIMIT, PATH_LIMIT = 255, 2_000  # bytes that file systems accept


def download(uri: str, folder: Path, on_mlmodel: Callable[[Path], None]) -> None:
    """Download the objects of one listing into the folder; start over when one of them is replaced meanwhile.

    `on_mlmodel` is called with the MLmodel file once it has arrived, in a thread, while other files are downloading.
    """
    from google.api_core.exceptions import PreconditionFailed

    progress = Progress(RETRY_SECONDS)

    def copy() -> None:
        blobs = _listed(client, uri, time.monotonic() + RETRY_SECONDS)
        paths = _paths(uri, folder, blobs)
        _remove_others(folder, paths)
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)

        def fetch(blob: Any, path: Path) -> None:
            try:
                _copy(blob, path, progress)
                if path == folder / "MLmodel":
                    on_mlmodel(path)
            except BaseException as error:
                progress.failure = progress.failure or error

        with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
            list(pool.map(fetch, blobs, paths))
        failure, progress.failure = progress.failure, None
        if failure:
            raise failure

    with storage_errors(uri), disk_errors(uri), _client() as client:
        _retry(None, PreconditionFailed)(copy, on_error=progress.check)()


def _remove_others(folder: Path, paths: Sequence[Path]) -> None:
    """Remove what an earlier listing had and this one doesn't."""
    for path in sorted(folder.rglob("*"), reverse=True):  # a folder's content before the folder
        if path.is_dir():
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()
        elif path not in paths:
            path.unlink()


def generations(uri: str) -> str:
    """Return a hash of the names and generations of all objects of a model, which identifies the model."""
    with storage_errors(uri), _client() as client:
        blobs = _listed(client, uri, time.monotonic() + RETRY_SECONDS)
    return hashlib.sha256(repr(sorted((blob.name, blob.generation) for blob in blobs)).encode()).hexdigest()


def _client() -> contextlib.closing[Any]:
    """Return a context manager that gives Google's client and closes its connections."""
    # The client would also request the bucket's metadata, for traces; roles/storage.objectViewer does not allow that.
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    from google.cloud import storage

    return contextlib.closing(storage.Client())  # a context manager itself only since 3.12


def _retry(deadline: float | None, *exceptions: type[Exception]) -> Any:
    """Return a retry policy: until the deadline, for these exceptions or for those that Cloud Storage says to retry."""
    from google.api_core.retry import if_exception_type
    from google.cloud.storage.retry import DEFAULT_RETRY

    retry = DEFAULT_RETRY.with_timeout(None if deadline is None else max(0.0, deadline - time.monotonic()))
    retry = retry.with_delay(initial=RETRY_DELAY[0], maximum=RETRY_DELAY[1])
    return retry.with_predicate(if_exception_type(exceptions)) if exceptions else retry


def _place(uri: str) -> tuple[str, str]:
    bucket, _, prefix = uri.removeprefix("gs://").strip("/").partition("/")
    if not bucket:
        raise ModelUnusable(f"The model URI is {short_repr(uri)}; expected gs://bucket/prefix.")
    return bucket, f"{prefix}/" if prefix else ""


def _listed(client: Any, uri: str, deadline: float) -> list[Any]:
    """Return the objects under gs://bucket/prefix, without the placeholders of folders."""
    bucket, prefix = _place(uri)

    def listed() -> list[Any]:
        return list(client.list_blobs(bucket, prefix=prefix, timeout=TIMEOUT, retry=_retry(deadline)))

    blobs = _retry(deadline, ValueError)(listed)()  # truncated JSON raises ValueError
    return [blob for blob in blobs if not blob.name.endswith("/")]


def _copy(blob: Any, path: Path, progress: Progress) -> None:
    """Download one object with the generation, size and checksum that were listed, from where an earlier try stopped.

    Raise PreconditionFailed when it has been replaced. The client does not verify a download that is resumed, so the
    file is verified here; only objects stored compressed, which arrive decompressed, are left to the client.
    """
    from google.api_core.exceptions import NotFound, PreconditionFailed, RequestRangeNotSatisfiable
    from google.cloud.storage.exceptions import DataCorruption

    packed = blob.content_encoding == "gzip"
    generation, listed = blob.generation, (blob.size, blob.crc32c)  # a download changes them in the blob

    def copy() -> None:
        size = path.stat().st_size if progress.started(path, generation) else 0
        start = size if not packed and size <= listed[0] else 0
        if packed or size != listed[0]:
            with Writer(path, "ab" if start else "wb", progress) as file:
                blob.download_to_file(
                    file,
                    start=start or None,
                    if_generation_match=generation,
                    checksum="crc32c" if packed else None,
                    timeout=TIMEOUT,
                    retry=None,
                )
        progress.advanced(path, generation)
        if not packed and (path.stat().st_size, crc32c(path)) != listed:
            path.unlink()
            raise DataCorruption(None, f"{blob.name} has another checksum than the stored object")

    def on_error(error: Exception) -> None:
        if progress.advanced(path, generation):
            raise _Advanced from error
        progress.check(error)

    while True:
        try:
            retried = _retry(None)(copy, on_error=on_error)
            _retry(None, DataCorruption, RequestRangeNotSatisfiable)(retried, on_error=on_error)()
            return
        except _Advanced:  # try again without a growing delay
            continue
        except NotFound as cause:
            raise PreconditionFailed(f"{blob.name} was deleted during its download") from cause


class _Advanced(Exception):
    """An interrupted download has got further than before."""


def crc32c(path: Path) -> str:
    """Return the CRC32C checksum of a file in base64, as Cloud Storage reports it."""
    import google_crc32c

    checksum = google_crc32c.Checksum()
    with path.open("rb") as file:
        for _ in checksum.consume(file, 1 << 20):
            pass
    return base64.b64encode(checksum.digest()).decode()


def _paths(uri: str, folder: Path, blobs: Sequence[Any]) -> list[Path]:
    """Return the path of each object; raise ModelUnusable unless they are a model's files and fit on this machine."""
    _, prefix = _place(uri)
    names = [blob.name.removeprefix(prefix) for blob in blobs]
    folders = {"/".join(name.split("/")[:depth]) for name in names for depth in range(1, name.count("/") + 1)}
    for name in names:
        if reason := "is also the name of a folder" if name in folders else _why_invalid(name):
            raise ModelUnusable(f"The model at {uri} has an object {short_repr(name)}, whose name {reason}.")
    if "MLmodel" not in names:
        elsewhere = next((blob.name for blob in blobs if blob.name.endswith("/MLmodel")), None)
        hint = (
            f"did you mean gs://{_place(uri)[0]}/{elsewhere.removesuffix('/MLmodel')}?"
            if elsewhere
            else "expected a saved MLflow model."
        )
        raise ModelUnusable(f"There is no MLmodel file at {uri} ({quantity(len(blobs), 'object')}); {hint}")
    size, memory, space = sum(blob.size for blob in blobs), memory_limit(), shutil.disk_usage(folder).free
    if size > min(memory - (used := usage()[0]), space):
        raise ModelBlocked(
            f"The model at {uri} takes {gigabytes(size)}; this function has {gigabytes(memory)} of memory, of which "
            f"{gigabytes(used)} are in use, and {gigabytes(space)} of free disk: deploy it with more --memory."
        )
    return [folder / name for name in names]


def _why_invalid(name: str) -> str | None:
    """Return why an object's name can't be the path of a file in the model's folder; None if it can."""
    parts = name.split("/")
    if ".." in parts or not parts[0]:
        return "leads out of the model's folder"
    if "" in parts or "." in parts or "\\" in name or not name.isprintable():
        return "has an empty or '.' component, a backslash or an unprintable character"
    if max(len(part.encode()) for part in parts) > NAME_LIMIT or len(name.encode()) > PATH_LIMIT:
        return "is too long for a file"
    return None
