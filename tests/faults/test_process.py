"""Faults as a caller sees them: the real function as its own process, asked over HTTP."""

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
from serving.rows import from_arguments
from tests import models
from tests.assertions import assert_error
from tests.faults import proxy as faults
from tests.faults.conftest import URI
from tests.faults.proxy import Proxy, put, times

QUICK = Path(__file__).parent / "quick"
ROW = [0.5, -0.25, 1, 2]
ROWS_OF_200_CALLERS = [[0.5, -0.25, 1, at] for at in range(200)]


def at_once(url: str, rows: list[list[float]]) -> list[httpx.Response]:
    """Send a request for each row, all at the same moment; return the answers in their order."""

    async def send() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=len(rows))
        async with httpx.AsyncClient(timeout=60, trust_env=False, limits=limits) as client:
            return await asyncio.gather(*(client.post(url, json={"calls": [row]}) for row in rows))

    return asyncio.run(send())


def expected(folder: str, rows: list[list[float]]) -> list[dict[str, Any]]:
    """Return the answer to a request for each row."""
    model = load(folder)
    return [{"replies": [value]} for value in model.predict(from_arguments(model.signature, rows)).tolist()]


def test_200_first_requests_share_every_failed_download_and_then_the_one_that_succeeds(
    proxy: Proxy, saved: Callable[[str], str], tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {"STORAGE_EMULATOR_HOST": proxy.url, "TMPDIR": str(temporary)}
    proxy.plan = times(10**9, faults.cut_off, "model.pkl")
    with Function(URI, environment, source=QUICK) as function:
        for answer in at_once(function.url, ROWS_OF_200_CALLERS):
            assert_error(answer, 503, "right now", URI)
        assert list(temporary.glob("model-*")) == []
        proxy.plan = times(0, faults.fine)
        proxy.asked.clear()
        answers = at_once(function.url, ROWS_OF_200_CALLERS)
        assert [answer.json() for answer in answers] == expected(saved("tree_regressor"), ROWS_OF_200_CALLERS)
        assert set(Counter(proxy.asked).values()) == {1}, "more than one download"


class Huge:
    """Unpickles into an array of 16 GiB."""

    def __reduce__(self) -> Any:
        return np.zeros, (2**31,)


def huge(folder: Path) -> Path:
    X = pd.DataFrame({"a": [0.5], "b": [0.5], "c": [0.5], "d": [0.5]})
    model = DummyRegressor().fit(X, [1.0])
    model.table = Huge()
    return models.save(folder, model, X)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of its own that has no room for another file."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=4", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("to mount a small tmpfs takes root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_and_a_model_beyond_the_memory_are_424s_that_the_process_survives(
    proxy: Proxy, small_disk: Path, saved: Callable[[str], str], tmp_path: Path
) -> None:
    def remount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(small_disk)], check=True)

    limit = 6 * 2**30
    environment = {"STORAGE_EMULATOR_HOST": proxy.url, "TMPDIR": str(small_disk), "ADDRESS_SPACE": str(limit)}
    with Function(URI, environment, source=QUICK) as function:

        def ask() -> httpx.Response:
            return httpx.post(function.url, json={"calls": [ROW]}, trust_env=False, timeout=60)

        assert_error(ask(), 424, "No space left on device", "6.00 GiB of memory", "deploy it with more --memory")
        remount("size=4k,nr_inodes=100")
        assert_error(ask(), 424, "0.00 GiB of disk left", "deploy it with more --memory")
        remount("size=8m,nr_inodes=100")
        put(proxy.upstream, huge(tmp_path / "huge"), "m")
        for _ in range(2):
            assert_error(ask(), 424, "does not fit into the 6.00 GiB of memory", "deploy it with more --memory")
        assert list(small_disk.glob("model-*")) == []
        put(proxy.upstream, saved("tree_regressor"), "m")
        assert ask().json() == expected(saved("tree_regressor"), [ROW])[0]
