"""From MODEL_URI to a local folder with the model's files.

The only module that knows MLflow's registry, as bucket.py is the only one that knows Cloud Storage. Their
exceptions end there, as one of two of ours: ModelUnusable where trying again will not help, ModelUnreachable where it
may.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from loading import bucket
from loading.limits import disk_errors
from serving.errors import ModelUnreachable, ModelUnusable, short_repr

FORMS = "gs://bucket/prefix, a local folder, models:/name@alias or models:/name/version"


@contextlib.contextmanager
def fetched(uri: str, came: Callable[[Path], None] = lambda _: None) -> Iterator[Path]:
    """Give the model's local folder; one that was fetched is removed when the model cannot be loaded from it.

    `came` is called with the MLmodel file of one in a bucket as soon as it is there, while others are on their way.
    """
    if not uri:
        raise ModelUnusable(f"MODEL_URI is not set; expected {FORMS}.")
    if uri.startswith("models:/"):
        uri = _registered(uri)
    elif "://" not in uri:
        if not Path(uri).is_dir():
            raise ModelUnusable(f"The model URI is {short_repr(uri)}, and there is no such folder; expected {FORMS}.")
        yield Path(uri)
        return
    with disk_errors(uri):
        folder = Path(tempfile.mkdtemp(prefix="model-"))
    try:
        if uri.startswith("gs://"):
            bucket.download(uri, folder, came)
            yield folder
        elif uri.startswith(("models:/", "file:", "/", "mlflow-artifacts:", "runs:/")):
            yield _download_by_mlflow(uri, folder)
        else:
            raise ModelUnusable(f"The model URI is {short_repr(uri)}; expected {FORMS}.")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def pinned(uri: str) -> str:
    """Return the URI with an alias of the registry replaced by the version that it names now; others as they are."""
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
        with _mlflow_errors(uri):
            version = MlflowClient().get_model_version_by_alias(name, alias).version
    return f"models:/{name}/{version}"


def version_of(pinned_uri: str) -> str | None:
    """Return the registry's version in a URI that `pinned` gave; None where it is of no registry."""
    return pinned_uri.rpartition("/")[2] if pinned_uri.startswith("models:/") else None


def state(uri: str) -> str:
    """Return what stands at the URI now, without fetching it: the same text means the same model.

    It is the registry's version, or a hash of the names and generations in the bucket; a folder is not looked at.
    """
    return bucket.generations(uri) if uri.startswith("gs://") else pinned(uri)


def _registered(uri: str) -> str:
    """Return where the registry keeps a models:/ URI's files."""
    from mlflow import MlflowClient

    version_uri = pinned(uri)
    name, _, version = version_uri.removeprefix("models:/").rpartition("/")
    with _mlflow_errors(uri):
        return str(MlflowClient().get_model_version_download_uri(name, version))


def _download_by_mlflow(uri: str, folder: Path) -> Path:
    from mlflow.artifacts import download_artifacts

    with _mlflow_errors(uri), disk_errors(uri):
        return Path(download_artifacts(artifact_uri=uri, dst_path=str(folder)))


@contextlib.contextmanager
def _mlflow_errors(uri: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    lasting = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "PERMISSION_DENIED", "UNAUTHENTICATED")
    try:
        yield
    except MlflowException as cause:
        unusable = getattr(cause, "error_code", "") in lasting
        kind = ModelUnusable if unusable else ModelUnreachable
        raise kind(f"The registry did not give {uri}: {cause}") from cause
