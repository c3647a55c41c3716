"""Where an MLflow registry keeps a model: from a models:/ or runs:/ URI to a version and the place of its files.

The registry is the one that MLFLOW_TRACKING_URI names. MLflow is imported only here and only for such a URI.
"""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from launch import kept
from launch.errors import Blocked
from loading.source import download_by_mlflow, download_uri, pinned, registry_errors, version_of
from serving.errors import ServingError

DOWNLOADS = kept.KEPT / "registered"
ALIAS = r"models:/[^/@:]+@[^\s/@]+"
LOGGED = r"models:/(m-[0-9a-f]{32})"
RUN = r"runs:/([^\s/]+)/([^\s*?']+)"
PATTERN = rf"{ALIAS}|{LOGGED}|models:/[^/@:]+/[0-9]+|{RUN}"
# A person waits: one more try, in place of the five that the function makes.
LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}


@dataclass(frozen=True)
class Registered:
    """A model of a registry.

    `version` is name/number, the ID of a logged model, or the runs:/ URI; `location` is gs://..., another URI that only
    MLflow reads, or a folder of this machine.
    """

    uri: str
    version: str
    location: str
    registry: str  # as MLFLOW_TRACKING_URI

    @property
    def in_bucket(self) -> bool:
        """Whether the function can read the files where they are."""
        return self.location.startswith("gs://")


def find(uri: str) -> Registered:
    """Return the version that a URI means now, and where its files are; raise Blocked with a sentence."""
    registry = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not registry:
        raise Blocked(
            [f"MLFLOW_TRACKING_URI is not set; {uri} needs the registry's, such as https://mlflow.example.com."]
        )
    version, location = _asked(uri, lambda: _find(uri))
    if not location:
        raise Blocked([f"The registry does not say where the files of {uri} are."])
    parts = urlsplit(location)
    if parts.scheme in ("", "file"):
        location = url2pathname(parts.path) if parts.scheme else location
    return Registered(uri, version, location.rstrip("/"), registry)


def local_copy(found: Registered) -> Path:
    """Return the folder of a model that lies outside a bucket, downloaded unless that was done; raise Blocked."""
    if "://" not in found.location and not re.match(r"[a-z-]+:/", found.location):
        return Path(found.location)
    key = hashlib.sha256(f"{found.registry} {found.version} {found.location}".encode()).hexdigest()[:16]
    return kept.model_folder(
        DOWNLOADS / key, lambda folder: _asked(found.uri, lambda: download_by_mlflow(found.location, folder))
    )


def _find(uri: str) -> tuple[str, str]:
    from mlflow import MlflowClient

    client = MlflowClient()
    if logged := re.fullmatch(LOGGED, uri):
        return logged[1], client.get_logged_model(logged[1]).artifact_location
    if run := re.fullmatch(RUN, uri):
        return uri, _of_run(client, run[1], run[2].rstrip("/"))
    version_uri = pinned(uri)
    return version_of(version_uri) or "", download_uri(version_uri)


def _of_run(client: Any, run_id: str, path: str) -> str:
    """Return where a run's model is: MLflow 3 keeps it beside the run, earlier versions among the run's files."""
    run = client.get_run(run_id).info
    token = None
    while True:
        page = client.search_logged_models([run.experiment_id], filter_string=f"name = '{path}'", page_token=token)
        if found := next((it for it in page if it.source_run_id == run_id), None):
            return str(found.artifact_location)
        if not (token := page.token):
            return f"{run.artifact_uri}/{path}"


def _asked(uri: str, ask: Callable[[], Any]) -> Any:
    """Return the registry's answer; raise Blocked with the reason why there is none."""
    for name, value in LIMITS.items():
        os.environ.setdefault(name, value)
    try:
        with registry_errors(uri):
            return ask()
    except ServingError as error:
        raise Blocked([" ".join(str(error).split())]) from error
