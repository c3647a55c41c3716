"""What the tests of faults share: the emulated bucket, a proxy that spoils its answers, and a watched place for files."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.storage import Storage
from tests.faults.proxy import BUCKET, Proxy, put

URI = f"gs://{BUCKET}/m"


@pytest.fixture(scope="session")
def emulator() -> Iterator[Storage]:
    with Storage() as running:
        running.create_bucket(BUCKET)
        yield running


@pytest.fixture
def proxy(emulator: Storage, saved: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Return a proxy before a bucket that holds the tree regressor at URI; this process's clients talk to it."""
    put(emulator.url, saved("tree_regressor"), "m")
    with Proxy(emulator.url) as running:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.url)
        yield running
        gc.collect()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which this process makes its temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def impatient(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up on Cloud Storage almost at once."""
    monkeypatch.setattr("model_bucket.TRY_AGAIN", 0.4)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waiting for Cloud Storage: the same tries, sooner."""
    monkeypatch.setattr("model_bucket.TIMEOUT", (0.5, 0.5))
    monkeypatch.setattr("model_bucket.TRY_AGAIN", 10.0)
    monkeypatch.setattr("model_bucket.PAUSE", (0.005, 0.05))
