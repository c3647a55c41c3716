"""Real training runs, short ones, made once for all tests that look at what they left."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gcp_storage_emulator.server import create_server
from google.cloud import storage

ROOT = Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Run:
    folder: Path
    stdout: str


def train(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m train` as a person would."""
    command = [sys.executable, "-m", "train", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _trained(data: str, minutes: str, folder: Path) -> Run:
    limits = ["--minutes", minutes, "--population", "8", "--jobs", "2"]
    done = train("--data", data, *limits, "--output", str(folder))
    assert done.returncode == 0, done.stderr
    return Run(folder, done.stdout)


@pytest.fixture(scope="session")
def diabetes(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A regression."""
    return _trained("diabetes", "0.1", tmp_path_factory.mktemp("diabetes") / "out")


@pytest.fixture(scope="session")
def breast_cancer(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A classification with text labels."""
    return _trained("breast_cancer", "0.05", tmp_path_factory.mktemp("breast_cancer") / "out")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[storage.Bucket]:
    """An empty bucket named `models` in an emulated Cloud Storage."""
    server = create_server("127.0.0.1", 0, in_memory=True)
    server.start()
    try:
        host, port = server._api._httpd.socket.getsockname()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{host}:{port}")
        yield storage.Client().create_bucket("models")
    finally:
        server.stop()
