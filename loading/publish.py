"""Uploads a model folder to Cloud Storage in an order in which nobody reads half a model.

A prefix counts as a model once it holds an MLmodel file. So the old MLmodel is deleted first, then the files that the
new model lacks; then the new files are uploaded, MLmodel last. Objects whose content is already right are left alone:
publishing the same folder twice writes nothing.
"""

import contextlib
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import click
from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY
from requests.exceptions import RequestException

from loading.bucket import crc32c
from loading.causes import root_cause

MARKER = "MLmodel"
RETRY_SECONDS = 30.0  # for one call


class PublishError(Exception):
    """The model cannot be published, for a reason that the caller can remove."""


def publish(folder: Path, uri: str) -> None:
    """Make gs://bucket/prefix hold the model folder and nothing else. Raise PublishError."""
    bucket, prefix = parse_uri(uri)
    if not (folder / MARKER).is_file():
        raise PublishError(f"{folder} is not a model folder: it has no {MARKER} file.")
    with _storage_errors(uri, f"{folder} could not be uploaded to {uri}"):
        _replace(folder, storage.Client().bucket(bucket), prefix, DEFAULT_RETRY.with_timeout(RETRY_SECONDS))


def check_bucket(uri: str) -> None:
    """Raise PublishError unless the bucket exists, so that nobody trains a model for a misspelled one."""
    bucket, prefix = parse_uri(uri)
    with _storage_errors(uri, f"{uri} could not be read"):
        retry = DEFAULT_RETRY.with_timeout(RETRY_SECONDS)
        list(storage.Client().list_blobs(bucket, prefix=prefix, max_results=1, retry=retry))


def parse_uri(uri: str) -> tuple[str, str]:
    """Split gs://bucket/prefix into bucket and prefix. Raise PublishError for anything else."""
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    prefix = prefix.strip("/")
    if not uri.startswith("gs://") or not bucket or not prefix:
        raise PublishError(
            f"{uri!r} is not a location for a model; expected gs://BUCKET/PREFIX, e.g. gs://models/housing."
        )
    return bucket, prefix


@contextlib.contextmanager
def _storage_errors(uri: str, failure: str) -> Iterator[None]:
    """Raise PublishError in place of the exceptions of Cloud Storage."""
    try:
        yield
    except NotFound as error:
        raise PublishError(f"The bucket {parse_uri(uri)[0]!r} of {uri} does not exist; create it first.") from error
    except Forbidden as error:
        raise PublishError(f"This account may not write to {uri}; it needs roles/storage.objectUser there.") from error
    except GoogleAuthError as error:
        raise PublishError(
            f"No credentials for {uri}: {error} Log in with `gcloud auth application-default login`."
        ) from error
    except (GoogleAPIError, RequestException) as error:
        raise PublishError(f"{failure}: {root_cause(error)}. Run the same command again.") from error


def _replace(folder: Path, bucket: storage.Bucket, prefix: str, retry: Callable[..., object]) -> None:
    """Make the objects under the prefix equal the files of the folder."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    blobs = bucket.client.list_blobs(bucket, prefix=f"{prefix}/", retry=retry)
    existing = {blob.name.removeprefix(f"{prefix}/"): blob for blob in blobs}
    _protect_other_objects(existing.keys(), files.keys(), f"gs://{bucket.name}/{prefix}")

    stale = [name for name in existing if name not in files]
    changed = [name for name, path in files.items() if name not in existing or existing[name].crc32c != crc32c(path)]
    if not stale and not changed:
        return
    if MARKER in existing:
        existing[MARKER].delete(retry=retry)
    for name in stale:
        existing[name].delete(retry=retry)
    for name in [*sorted(set(changed) - {MARKER}), MARKER]:
        blob = bucket.blob(f"{prefix}/{name}")
        blob.upload_from_filename(files[name], content_type="application/octet-stream", checksum="crc32c", retry=retry)


def _protect_other_objects(existing: Collection[str], files: Collection[str], uri: str) -> None:
    """Raise PublishError when the prefix holds something other than an older model, since publishing deletes it."""
    nested = sorted(name for name in existing if name.endswith(f"/{MARKER}"))
    if nested:
        raise PublishError(
            f"{uri} is a folder of models (it holds {nested[0]}); publish the new one to its own prefix."
        )
    if existing and MARKER not in existing and not set(existing) & set(files):
        raise PublishError(f"{uri} holds other objects ({min(existing)}) and no model; publish to an empty prefix.")


# deploy.sh publishes by this command, which it can bound in time and print in a dry run.
@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("uri", metavar="gs://BUCKET/PREFIX")
def main(folder: Path, uri: str) -> None:
    """Make gs://BUCKET/PREFIX hold the model in FOLDER and nothing else.

    \b
    Example:
      python -m loading.publish demo-output/model gs://my-bucket/houses
    """
    try:
        publish(folder, uri)
    except PublishError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(prog_name="python -m loading.publish")
