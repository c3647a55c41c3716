"""From MODEL_URI to a local folder with the model's files.

In the function, only this module knows MLflow's registry, and only bucket.py Cloud Storage. Both translate foreign
exceptions into ModelUnusable, when a retry won't help, or ModelUnreachable, when it may.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from loading import bucket, folders
from loading.limits import disk_errors
from serving.errors import ModelBlocked, ModelUnreachable, ModelUnusable, ServingError, describe_error, short_repr

FORMS = "gs://bucket/prefix, a local folder, models:/name@alias or models:/name/version"
# How long MLflow waits for a registry, unless the environment says otherwise: five tries of 20 seconds with pauses of
# half a minute in all, about as long as a bucket gets. MLflow itself would take four minutes to give up.
REGISTRY_LIMITS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",  # a registry could ask for any pause
}


@contextlib.contextmanager
def fetched(uri: str, on_mlmodel: Callable[[Path], None] = lambda _: None) -> Iterator[Path]:
    """Yield the model's local folder; a downloaded one is removed if the block raises, else by folders.release.

    `on_mlmodel` is called with the MLmodel file of a model in a bucket as soon as it has arrived, while the other files
    are still downloading.
    """
    if not uri:
        raise ModelUnusable(f"MODEL_URI is not set; expected {FORMS}.")
    if uri.startswith("models:/"):
        uri = download_uri(uri)
    elif "://" not in uri:
        if not Path(uri).is_dir():
            raise ModelUnusable(f"The model URI is {short_repr(uri)}, but there is no such folder; expected {FORMS}.")
        yield Path(uri)
        return
    with disk_errors(uri):
        folder = folders.create()
    try:
        if uri.startswith("gs://"):
            bucket.download(uri, folder, on_mlmodel)
            yield folder
        elif uri.startswith(("models:/", "file:", "/", "mlflow-artifacts:", "runs:/")):
            yield download_by_mlflow(uri, folder)
        else:
            raise ModelUnusable(f"The model URI is {short_repr(uri)}; expected {FORMS}.")
    except BaseException:
        folders.release(folder)
        raise


@contextlib.contextmanager
def local_folder(uri: str) -> Iterator[Path]:
    """Yield the model's local folder for the length of the block; a downloaded one is removed at its end."""
    with fetched(uri) as folder:
        yield folder
        folders.release(folder)


def pinned(uri: str) -> str:
    """Return the URI with a registry alias replaced by the version it points to now; other URIs unchanged."""
    if not uri.startswith("models:/"):
        return uri
    from mlflow import MlflowClient

    name, at, alias = uri.removeprefix("models:/").partition("@")
    version = ""
    if not at:
        name, _, version = name.rpartition("/")
    if not name or not (alias or version.isdigit()):
        raise ModelUnusable(f"The model URI is {short_repr(uri)}; expected {FORMS}.")
    if alias:
        with registry_errors(uri):
            version = MlflowClient().get_model_version_by_alias(name, alias).version
    return f"models:/{name}/{version}"


def version_of(pinned_uri: str) -> str | None:
    """Return name/version of a URI that `pinned` returned; None for a URI outside a registry."""
    return pinned_uri.removeprefix("models:/") if pinned_uri.startswith("models:/") else None


def state(uri: str) -> str:
    """Return a text that identifies the current model at the URI, without fetching it.

    It is the registry's version, or a hash of the names and generations in the bucket; a local folder is not read.
    """
    return bucket.generations(uri) if uri.startswith("gs://") else pinned(uri)


def download_uri(uri: str) -> str:
    """Return where the registry stores the files of a models:/ URI."""
    from mlflow import MlflowClient

    version_uri = pinned(uri)
    name, _, version = version_uri.removeprefix("models:/").rpartition("/")
    with registry_errors(uri):
        return str(MlflowClient().get_model_version_download_uri(name, version) or "")


def download_by_mlflow(uri: str, folder: Path) -> Path:
    """Download the files at a URI that only MLflow reads; return the folder that they are in, below the given one."""
    from mlflow.artifacts import download_artifacts

    with registry_errors(uri), disk_errors(uri):
        return Path(download_artifacts(artifact_uri=uri, dst_path=str(folder)))


@contextlib.contextmanager
def registry_errors(uri: str) -> Iterator[None]:
    """Turn what MLflow and its clients raise into ModelBlocked or ModelUnreachable."""
    from mlflow.exceptions import MlflowException

    for name, value in REGISTRY_LIMITS.items():
        os.environ.setdefault(name, value)
    permanent = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "PERMISSION_DENIED", "UNAUTHENTICATED")
    try:
        yield
    except MlflowException as cause:
        blocked = getattr(cause, "error_code", "") in permanent
        error = ModelBlocked if blocked else ModelUnreachable
        raise error(f"The registry did not return {uri}: {cause}") from cause
    except ServingError:
        raise
    except ImportError as cause:  # of the client for a store, such as boto3
        raise ModelBlocked(
            f"The files of {uri} cannot be fetched: {cause}; add the package to requirements.txt."
        ) from cause
    except Exception as cause:  # of the client for a store
        raise ModelUnreachable(f"The files of {uri} cannot be fetched right now: {describe_error(cause)}") from cause
