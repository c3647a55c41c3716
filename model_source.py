"""From MODEL_URI to a local folder with the model's files.

The only module that knows Cloud Storage and MLflow's registry. Their exceptions end here, as one of two of ours:
ModelUnusable where trying again will not help, ModelUnreachable where it may.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from serving.errors import ModelUnreachable, ModelUnusable, shown

FORMS = "gs://bucket/prefix, a local folder, models:/name@alias or models:/name/version"
STORAGE_TIMEOUT = (5.0, 30.0)  # seconds to connect, and between two pieces of an answer
STORAGE_RETRY = 60.0  # seconds of trying again, per object
PARALLEL_DOWNLOADS = 8


@contextlib.contextmanager
def fetched(uri: str) -> Iterator[Path]:
    """Give the model's local folder; one that was fetched is removed when the model cannot be loaded from it."""
    if not uri:
        raise ModelUnusable(f"MODEL_URI is not set; expected {FORMS}.")
    if uri.startswith("models:/"):
        uri = _registered(uri)
    elif "://" not in uri:
        if not Path(uri).is_dir():
            raise ModelUnusable(f"The model URI is {shown(uri)}, and there is no such folder; expected {FORMS}.")
        yield Path(uri)
        return
    folder = Path(tempfile.mkdtemp(prefix="model-"))
    try:
        if uri.startswith("gs://"):
            _download(uri, folder)
            yield folder
        elif uri.startswith(("models:/", "file:", "/", "mlflow-artifacts:", "runs:/")):
            yield _download_by_mlflow(uri, folder)
        else:
            raise ModelUnusable(f"The model URI is {shown(uri)}; expected {FORMS}.")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _download(uri: str, folder: Path) -> None:
    """Copy all objects under gs://bucket/prefix into the folder, each checked by its checksum and generation."""
    from google.cloud import storage
    from google.cloud.storage.retry import DEFAULT_RETRY

    bucket, _, prefix = uri.removeprefix("gs://").strip("/").partition("/")
    if not bucket:
        raise ModelUnusable(f"The model URI is {shown(uri)}; expected {FORMS}.")
    prefix = f"{prefix}/" if prefix else ""
    settings = {"timeout": STORAGE_TIMEOUT, "retry": DEFAULT_RETRY.with_timeout(STORAGE_RETRY)}

    def fetch(blob: storage.Blob) -> None:
        path = folder / _inside(blob.name.removeprefix(prefix), uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        blob.download_to_filename(str(path), if_generation_match=blob.generation, checksum="crc32c", **settings)

    with _storage_errors(uri), ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
        blobs = [
            blob for blob in storage.Client().list_blobs(bucket, prefix=prefix, **settings) if blob.name[-1] != "/"
        ]
        list(pool.map(fetch, blobs))
    if not (folder / "MLmodel").is_file():
        elsewhere = next((blob.name for blob in blobs if blob.name.endswith("/MLmodel")), None)
        hint = (
            f"did you mean gs://{bucket}/{elsewhere.removesuffix('/MLmodel')}?"
            if elsewhere
            else "expected a saved MLflow model."
        )
        raise ModelUnusable(f"There is no MLmodel file at {uri} ({len(blobs)} objects); {hint}")


def _inside(name: str, uri: str) -> str:
    """Return an object's path below the model folder; refuse one that leads out of it."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ModelUnusable(
            f"The model at {uri} has an object {shown(name)}, whose name leads out of the model's folder."
        )
    return name


@contextlib.contextmanager
def _storage_errors(uri: str) -> Iterator[None]:
    from google.api_core import exceptions
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption

    try:
        yield
    except exceptions.NotFound as cause:
        raise ModelUnusable(f"There is nothing at {uri}: {cause.message}") from cause
    except (exceptions.Forbidden, exceptions.Unauthorized, DefaultCredentialsError) as cause:
        raise ModelUnusable(
            f"The model at {uri} may not be read by this function's service account, which needs "
            f"roles/storage.objectViewer on the bucket: {cause}"
        ) from cause
    except (
        exceptions.ServerError,
        exceptions.TooManyRequests,
        exceptions.PreconditionFailed,
        exceptions.RetryError,
    ) as cause:
        raise ModelUnreachable(f"The model at {uri} cannot be read right now: {cause}") from cause
    except exceptions.GoogleAPIError as cause:
        raise ModelUnusable(f"The model at {uri} cannot be read: {cause}") from cause
    except (OSError, GoogleAuthError, DataCorruption) as cause:  # OSError holds all of requests' exceptions
        raise ModelUnreachable(
            f"The model at {uri} cannot be read right now: {type(cause).__name__}: {cause}"
        ) from cause


def _registered(uri: str) -> str:
    """Return where the registry keeps a models:/ URI's files."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    name, at, alias = uri.removeprefix("models:/").partition("@")
    version = ""
    if not at:
        name, _, version = name.rpartition("/")
    if not name or not (alias or version.isdigit()):
        raise ModelUnusable(f"The model URI is {shown(uri)}; expected {FORMS}.")
    with _mlflow_errors(uri, MlflowException):
        client = MlflowClient()
        if alias:
            version = client.get_model_version_by_alias(name, alias).version
        return str(client.get_model_version_download_uri(name, version))


def _download_by_mlflow(uri: str, folder: Path) -> Path:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with _mlflow_errors(uri, MlflowException):
        return Path(download_artifacts(artifact_uri=uri, dst_path=str(folder)))


@contextlib.contextmanager
def _mlflow_errors(uri: str, mlflow_exception: type[Exception]) -> Iterator[None]:
    lasting = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "PERMISSION_DENIED", "UNAUTHENTICATED")
    try:
        yield
    except mlflow_exception as cause:
        unusable = getattr(cause, "error_code", "") in lasting
        kind = ModelUnusable if unusable else ModelUnreachable
        raise kind(f"The registry did not give {uri}: {cause}") from cause
