"""What the tests of faults share: the emulated bucket, a proxy that spoils its answers, and a watched place for files."""

import gc
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.storage import Storage
from tests import models
from tests.conftest import BUCKET
from tests.faults.proxy import Proxy, put

URI = f"gs://{BUCKET}/m"


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
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses between two tries, for as many tries as a slow machine may need."""
    monkeypatch.setattr("loading.bucket.TIMEOUT", (5, 5))
    monkeypatch.setattr("loading.bucket.TRY_AGAIN", 30)
    monkeypatch.setattr("loading.bucket.PAUSE", (0.005, 0.05))


@pytest.fixture
def alert(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Notice silence soon."""
    monkeypatch.setattr("loading.bucket.TIMEOUT", (1, 1))


@pytest.fixture
def impatient(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up on Cloud Storage almost at once."""
    monkeypatch.setattr("loading.bucket.TIMEOUT", (2, 2))
    monkeypatch.setattr("loading.bucket.TRY_AGAIN", 0.4)


class Lines(logging.Handler):
    """Keeps the log's JSON lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(record.getMessage()))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Return the lines that the loader logs."""
    logger, handler = logging.getLogger("function"), Lines()
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


@pytest.fixture
def second(tmp_path: Path) -> str:
    """Return a model with the columns of the tree regressor, and other predictions."""
    return str(models.tree_regressor(tmp_path / "second"))
