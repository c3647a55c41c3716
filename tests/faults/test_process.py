"""Faults as callers see them, with the function as its own process."""

import asyncio
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor

from launch.function import Function
from model_loader import load
from serving.decoding import from_arguments
from tests import models
from tests.assertions import assert_error
from tests.faults import faults
from tests.faults.conftest import URI
from tests.faults.faults import always
from tests.faults.proxy import Proxy, publish

FAST_RETRIES = Path(__file__).parent / "fast_retries"
ROW = [0.5, -0.25, 1, 2]
ROWS_OF_200_CALLERS = [[0.5, -0.25, 1, at] for at in range(200)]
DEADLINE = 600.0  # seconds; the machine may be busy


def send_at_once(url: str, rows: list[list[float]]) -> list[httpx.Response]:
    """Send one request for each row, all at the same time; return the responses in the order of the rows."""

    async def send() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=len(rows))
        async with httpx.AsyncClient(timeout=DEADLINE, trust_env=False, limits=limits) as client:
            return await asyncio.gather(*(client.post(url, json={"calls": [row]}) for row in rows))

    return asyncio.run(send())


def expected(folder: str, rows: list[list[float]]) -> list[dict[str, Any]]:
    """Return the reply to a request for each row."""
    model = load(folder)
    return [{"replies": [value]} for value in model.predict(from_arguments(model.signature, rows)).tolist()]


@pytest.mark.slow
def test_200_first_requests(proxy: Proxy, saved: Callable[[str], str], tmp_path: Path) -> None:
    """200 simultaneous first requests share a failed download, and later the one that succeeds."""
    temp_dir = tmp_path / "temporary"
    temp_dir.mkdir()
    environment = {"STORAGE_EMULATOR_HOST": proxy.url, "TMPDIR": str(temp_dir)}
    proxy.plan = always(faults.close_midway, "model.pkl")
    with Function(URI, environment, source=FAST_RETRIES) as function:
        for response in send_at_once(function.url, ROWS_OF_200_CALLERS):
            assert_error(response, 503, "right now", URI)
        assert list(temp_dir.glob("model-*")) == []
        proxy.plan = None
        proxy.requests.clear()
        responses = send_at_once(function.url, ROWS_OF_200_CALLERS)
        assert [response.json() for response in responses] == expected(saved("tree_regressor"), ROWS_OF_200_CALLERS)
        assert set(Counter(proxy.requests).values()) == {1}, "more than one download"


class Huge:
    """Unpickles into an array of 16 GiB."""

    def __reduce__(self) -> Any:
        return np.zeros, (2**31,)


def huge(folder: Path) -> Path:
    """Save a model that takes more than 16 GiB of memory."""
    X = pd.DataFrame({"a": [0.5], "b": [0.5], "c": [0.5], "d": [0.5]})
    model = DummyRegressor().fit(X, [1.0])
    model.table = Huge()
    return models.save(folder, model, X)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a small file system that has no room for another file."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=4", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs requires root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk_and_memory(proxy: Proxy, full_disk: Path, saved: Callable[[str], str], tmp_path: Path) -> None:
    """A full disk and a model beyond the memory are 424s; the process survives and loads a model that fits."""

    def remount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(full_disk)], check=True)

    limit = 6 * 2**30
    environment = {"STORAGE_EMULATOR_HOST": proxy.url, "TMPDIR": str(full_disk), "ADDRESS_SPACE": str(limit)}
    with Function(URI, environment, source=FAST_RETRIES) as function:

        def ask() -> httpx.Response:
            return httpx.post(function.url, json={"calls": [ROW]}, trust_env=False, timeout=DEADLINE)

        assert_error(ask(), 424, "No space left on device", "6.00 GiB of memory", "deploy it with more --memory")
        remount("size=4k,nr_inodes=100")
        assert_error(ask(), 424, "0.00 GiB of free disk", "deploy it with more --memory")
        remount("size=8m,nr_inodes=100")
        publish(proxy.upstream, huge(tmp_path / "huge"), "m")
        for _ in range(2):
            assert_error(
                ask(), 424, "does not fit into this function's 6.00 GiB of memory", "deploy it with more --memory"
            )
        assert list(full_disk.glob("model-*")) == []
        publish(proxy.upstream, saved("tree_regressor"), "m")
        assert ask().json() == expected(saved("tree_regressor"), [ROW])[0]
