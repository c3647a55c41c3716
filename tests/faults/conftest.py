"""Fixtures shared by the fault tests: a misbehaving bucket, retry settings, a watched temporary folder, the log."""

import gc
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loading import own_code
from local.storage import Storage
from tests import models
from tests.conftest import BUCKET
from tests.faults.proxy import Proxy, publish

URI = f"gs://{BUCKET}/m"


@pytest.fixture(scope="module")
def collected() -> Iterator[None]:
    """Collect garbage after the module, while its warning filters still hold.

    Google's client leaves responses unread when it retries a download; their sockets are closed by the collector.
    """
    yield
    gc.collect()


@pytest.fixture
def proxy(
    emulator: Storage, saved: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, collected: None
) -> Iterator[Proxy]:
    """Return a proxy in front of a bucket that holds `tree_regressor` at URI; storage clients use it."""
    publish(emulator.url, saved("tree_regressor"), "m")
    with Proxy(emulator.url) as running:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.url)
        yield running


@pytest.fixture
def temp_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which this process now creates its temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def fresh_code(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the code of models before and after the test, so that no other test in this process sees it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(own_code, "_admitted", {})
    sys.modules.pop("prepare", None)
    yield
    sys.modules.pop("prepare", None)


def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never give up on Cloud Storage, however busy the machine is, but retry quickly."""
    monkeypatch.setattr("loading.bucket.TIMEOUT", (60, 60))
    monkeypatch.setattr("loading.bucket.RETRY_SECONDS", 600)
    monkeypatch.setattr("loading.bucket.RETRY_DELAY", (0.005, 0.05))


@pytest.fixture
def fast_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry quickly, and for as long as a busy machine may need."""
    patient(monkeypatch)


@pytest.fixture
def short_timeouts(fast_retries: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up on a response after a second without a byte, then retry."""
    monkeypatch.setattr("loading.bucket.TIMEOUT", (1, 1))


@pytest.fixture
def few_retries(fast_retries: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop retrying almost at once."""
    monkeypatch.setattr("loading.bucket.RETRY_SECONDS", 0.4)


class _LogLines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(record.getMessage()))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Return the JSON lines that the loader logs from now on."""
    logger, handler = logging.getLogger("function"), _LogLines()
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


@pytest.fixture
def second_model(tmp_path: Path) -> str:
    """Return a model with the columns of `tree_regressor` and other predictions."""
    return str(models.tree_regressor(tmp_path / "second"))
