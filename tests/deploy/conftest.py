"""Runs deploy.sh as a user would: the real script, gcloud and bq, with a stand-in for Google Cloud on a loopback port."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.google_cloud.cloud import PROJECT, Cloud, Recorded
from tests.google_cloud.server import GoogleCloud

ROOT = Path(__file__).parent.parent.parent
BUCKET, PREFIX = "models", "tree"
OPTIONS = {
    "project": PROJECT,
    "region": "us-central1",
    "dataset": "ds",
    "location": "US",
    "model": f"gs://{BUCKET}/{PREFIX}",
    "wait": "600",
}
RECORD = f"deployments/{PROJECT}/us-central1/predict.txt"
ANALYST = "user:ana@example.com"
MAX_SECONDS = 1200  # of one run, for a busy machine


@dataclass
class Run:
    """What one run printed, and the requests it made."""

    status: int
    out: str
    err: str
    requests: list[Recorded]

    @property
    def changes(self) -> list[str]:
        """The requests that change something, as METHOD path; a SELECT is not one of them."""
        return [f"{it.method} {it.path}" for it in self.requests if it.writes and not selects(it)]


def selects(request: Recorded) -> bool:
    """Tell whether a request is a query that only reads, or BigQuery's call of the function for one."""
    if not request.path.endswith("/jobs"):
        return request.path.startswith("/service/")
    return str(request.body["configuration"]["query"]["query"]).startswith("SELECT")


class Deployment:
    """deploy.sh and the stand-in it runs against."""

    def __init__(self, google: GoogleCloud) -> None:
        self.google = google
        self.cloud: Cloud = google.cloud

    def run(self, *flags: str, environment: dict[str, str] | None = None, **options: str) -> Run:
        """Run the script with OPTIONS, updated by `options`; an empty value removes an option."""
        before = len(self.cloud.requests)
        ended = subprocess.run(
            self.command(*flags, **options),
            env={**os.environ, **self.google.environment, **(environment or {})},
            capture_output=True, text=True, timeout=MAX_SECONDS, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        return Run(ended.returncode, ended.stdout, ended.stderr, self.cloud.requests[before:])

    def start(self, **options: str) -> subprocess.Popen[str]:
        """Start the script with OPTIONS, updated by `options`, and return its process."""
        environment = {**os.environ, **self.google.environment}
        return subprocess.Popen(
            self.command(**options), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def command(self, *flags: str, **options: str) -> list[str]:
        """Return the command line of a run."""
        given = {**OPTIONS, **{name.replace("_", "-"): value for name, value in options.items()}}
        arguments = [part for name, value in given.items() if value for part in (f"--{name}", value)]
        return [str(ROOT / "deploy.sh"), *arguments, *flags]

    def objects(self, prefix: str = "", bucket: str = BUCKET) -> list[str]:
        """Return the names of a bucket's objects."""
        found = httpx.get(f"{self.cloud.storage_url}/storage/v1/b/{bucket}/o", trust_env=False).json()
        listed = found.get("items", [])
        return sorted(it["name"] for it in listed if it["name"].startswith(prefix))

    def upload(self, name: str, content: bytes, bucket: str = BUCKET) -> None:
        """Create an object in a bucket."""
        url = f"{self.cloud.storage_url}/upload/storage/v1/b/{bucket}/o"
        httpx.post(
            url, params={"uploadType": "media", "name": name}, content=content, trust_env=False,
            headers={"Content-Type": "application/octet-stream"},
        ).raise_for_status()  # fmt: skip

    def delete(self, name: str) -> None:
        """Delete an object of the bucket."""
        httpx.delete(f"{self.cloud.storage_url}/storage/v1/b/{BUCKET}/o/{name.replace('/', '%2F')}", trust_env=False)

    def snapshot(self) -> dict[str, Any]:
        """Return the state of the project, the record included."""
        return {**self.cloud.snapshot(), "record": self.record()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Return to a snapshot, with no recorded requests and no failures."""
        self.cloud.restore(snapshot)
        if snapshot["record"]:
            self.upload(RECORD, snapshot["record"].encode())
        elif RECORD in self.objects():
            self.delete(RECORD)

    def record(self, name: str = RECORD) -> str:
        """Return the text of a record, empty if there is none."""
        url = f"{self.cloud.storage_url}/storage/v1/b/{BUCKET}/o/{quote(name, safe='')}?alt=media"
        return httpx.get(url, trust_env=False).text if name in self.objects() else ""


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory, saved: Callable[[str], str]) -> Iterator[Deployment]:
    """Return deploy.sh with a project that has a bucket, a model in it, and grants to other people."""
    with GoogleCloud(tmp_path_factory.mktemp("google-cloud")) as google:
        yield deployable(google, Path(saved("tree_regressor")))


def deployable(google: GoogleCloud, model: Path) -> Deployment:
    """Return deploy.sh with a project that gets a bucket and the model; skip the test where deploy.sh can't run."""
    for tool in ("gcloud", "bq"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed; deploy.sh needs it")
    google.create_bucket(BUCKET)
    found = Deployment(google)
    for file in model.rglob("*"):
        if file.is_file():
            found.upload(f"{PREFIX}/{file.relative_to(model).as_posix()}", file.read_bytes())
    bob = {"role": "roles/storage.objectViewer", "members": ["user:bob@example.com"]}
    google.cloud.set_policy(f"buckets/{BUCKET}", {"bindings": [bob]})
    return found


@pytest.fixture(scope="session")
def before(deployment: Deployment) -> dict[str, Any]:
    """Return the state of the project before any deployment."""
    return deployment.snapshot()


@pytest.fixture(scope="session")
def first(deployment: Deployment, before: dict[str, Any]) -> tuple[Run, dict[str, Any]]:
    """Return the first run, in an empty project, and the state of the project after it."""
    deployment.restore(before)
    deployment.cloud.delay = 1  # the invoker grant takes effect late
    run = deployment.run("--grant", ANALYST)
    return run, deployment.snapshot()


def members(value: Any) -> set[str]:
    """Return every principal named in a request or a policy."""
    return set(re.findall(r"(?:user|group|serviceAccount|domain):[\w.@-]+|allUsers|allAuthenticatedUsers", str(value)))
