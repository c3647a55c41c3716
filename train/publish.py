"""A model folder into Cloud Storage, in an order in which nobody ever reads half a model.

A reader takes a prefix for a model when it holds an MLmodel file. So an older MLmodel goes first, then what
the new model has not, then the new files come, MLmodel last of all. Content that is already there stays
untouched: publishing the same folder twice writes nothing.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY
from requests.exceptions import RequestException

from loading.bucket import crc32c
from model_loader import folder_digest
from train.errors import TrainError, cause

MARK = "MLmodel"
GIVE_UP = 30.0  # seconds of retrying one call


def publish(folder: Path, uri: str) -> str:
    """Upload the model folder to gs://bucket/prefix and return its digest."""
    bucket_name, prefix = parse(uri)
    if not (folder / MARK).is_file():
        raise TrainError(f"{folder} is not a model folder: it has no {MARK} file.")
    with _storage_errors(uri, f"{folder} could not be uploaded to {uri}"):
        _replace(folder, storage.Client().bucket(bucket_name), prefix, DEFAULT_RETRY.with_timeout(GIVE_UP))
    return folder_digest(folder)


def check(uri: str) -> None:
    """Raise when there is no such bucket, before a model for it is searched."""
    bucket_name, prefix = parse(uri)
    with _storage_errors(uri, f"{uri} could not be read"):
        retry = DEFAULT_RETRY.with_timeout(GIVE_UP)
        list(storage.Client().list_blobs(bucket_name, prefix=prefix, max_results=1, retry=retry))


@contextlib.contextmanager
def _storage_errors(uri: str, failure: str) -> Iterator[None]:
    """Turn whatever goes wrong with Cloud Storage into a sentence."""
    try:
        yield
    except NotFound as error:
        raise TrainError(f"The bucket {parse(uri)[0]!r} of {uri} does not exist; create it first.") from error
    except Forbidden as error:
        raise TrainError(f"This account may not write to {uri}; it needs roles/storage.objectUser there.") from error
    except GoogleAuthError as error:
        raise TrainError(
            f"No credentials for {uri}: {error} Log in with `gcloud auth application-default login`."
        ) from error
    except (GoogleAPIError, RequestException) as error:
        raise TrainError(f"{failure}: {cause(error)}. Run the same command again.") from error


def parse(uri: str) -> tuple[str, str]:
    """Split gs://bucket/prefix into its two parts."""
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    prefix = prefix.strip("/")
    if not uri.startswith("gs://") or not bucket or not prefix:
        raise TrainError(f"{uri!r} is not a place for a model; expected gs://BUCKET/PREFIX, e.g. gs://models/housing.")
    return bucket, prefix


def _replace(folder: Path, bucket: storage.Bucket, prefix: str, retry: Callable[..., object]) -> None:
    """Make the objects under the prefix equal the files of the folder."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    listed = bucket.client.list_blobs(bucket, prefix=f"{prefix}/", retry=retry)
    there = {blob.name.removeprefix(f"{prefix}/"): blob for blob in listed}
    _refuse_to_replace_others(there.keys(), files.keys(), f"gs://{bucket.name}/{prefix}")

    stale = [name for name in there if name not in files]
    changed = [name for name, path in files.items() if name not in there or there[name].crc32c != crc32c(path)]
    if not stale and not changed:
        return
    if MARK in there:
        there[MARK].delete(retry=retry)
    for name in stale:
        there[name].delete(retry=retry)
    for name in [*sorted(set(changed) - {MARK}), MARK]:
        blob = bucket.blob(f"{prefix}/{name}")
        blob.upload_from_filename(files[name], content_type="application/octet-stream", checksum="crc32c", retry=retry)


def _refuse_to_replace_others(there: object, files: object, uri: str) -> None:
    """Raise when the prefix holds something other than an older model, since all of it would go."""
    names, ours = set(there), set(files)  # type: ignore[call-overload]
    nested = sorted(name for name in names if name.endswith(f"/{MARK}"))
    if nested:
        raise TrainError(f"{uri} is a folder of models (it holds {nested[0]}); give the new one a prefix of its own.")
    if names and MARK not in names and not names & ours:
        raise TrainError(f"{uri} holds other objects ({sorted(names)[0]}) and no model; give a prefix of its own.")
