"""Models beyond the memory of a cgroup, as on Cloud Run: an error with the figures, not a killed process."""

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from sklearn.dummy import DummyRegressor

from launch.function import Function
from loading import folders, memory
from model_loader import load
from tests import models
from tests.assertions import assert_error
from tests.faults.conftest import URI
from tests.faults.processes import DEADLINE, kill_worker
from tests.faults.proxy import Proxy, publish

FAST_RETRIES = Path(__file__).parent / "fast_retries"
CGROUPS = Path("/sys/fs/cgroup")
ROW = [0.5, -0.25, 1, 2]


def model_of(megabytes: int, folder: Path) -> Path:
    """Save a model with an array of that size."""
    X = models.numbers()
    model = DummyRegressor().fit(X, X.a)
    model.table = np.random.default_rng(1).normal(size=megabytes * 2**17)
    return models.save(folder, model, X)


@pytest.fixture
def cgroup() -> Iterator[Callable[[int], Path]]:
    """Return a function that makes a memory cgroup with a limit in MiB."""
    base, limit = (
        (CGROUPS / "memory", "memory.limit_in_bytes") if (CGROUPS / "memory").exists() else (CGROUPS, "memory.max")
    )
    folder = base / f"function-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("making a cgroup requires root")

    def make(megabytes: int) -> Path:
        (folder / limit).write_text(str(megabytes * 2**20))
        return folder

    yield make
    deadline = time.monotonic() + DEADLINE
    while folder.exists() and time.monotonic() < deadline:
        try:
            folder.rmdir()
        except OSError:  # its last process is still ending
            time.sleep(0.1)


def ask(function: Function) -> httpx.Response:
    return httpx.post(function.url, json={"calls": [ROW]}, trust_env=False, timeout=DEADLINE)


def test_model_beyond_cgroup(
    proxy: Proxy, cgroup: Callable[[int], Path], saved: Callable[[str], str], tmp_path: Path
) -> None:
    """A model for which too little of a cgroup's memory is left is a 424 each time; a smaller one is then served."""
    publish(proxy.upstream, model_of(150, tmp_path / "large"), "m")
    temp_dir = tmp_path / "temporary"
    temp_dir.mkdir()
    environment = {"STORAGE_EMULATOR_HOST": proxy.url, "TMPDIR": str(temp_dir), "MEMORY_CGROUP": str(cgroup(240))}
    with Function(URI, environment, source=FAST_RETRIES) as function:
        workers = psutil.Process(function.pid).children()
        for _ in range(3):
            assert_error(ask(function), 424, "0.23 GiB of memory", "in use", "deploy it with more --memory")
            assert list(temp_dir.glob("model-*")) == []
        assert psutil.Process(function.pid).children() == workers, "a worker was killed"
        publish(proxy.upstream, saved("tree_regressor"), "m")
        assert ask(function).status_code == 200


def test_killed_process_leaves_no_files(proxy: Proxy, tmp_path: Path) -> None:
    """What a killed worker left is removed with the next load, and the folders of others are not."""
    temp_dir = tmp_path / "temporary"
    temp_dir.mkdir()
    (temp_dir / "model-of-somebody").mkdir()
    publish(proxy.upstream, models.python_model(tmp_path / "keeps files"), "m")
    body = {"calls": [[1, 2, "x"]]}
    environment = {"STORAGE_EMULATOR_HOST": proxy.url, "TMPDIR": str(temp_dir)}
    with Function(URI, environment, source=FAST_RETRIES) as function:
        for _ in range(3):
            assert httpx.post(function.url, json=body, trust_env=False, timeout=DEADLINE).status_code == 200
            left = [path.name for path in temp_dir.glob("model-*")]
            assert len(left) == 2, "the model's own files and those of somebody"
            kill_worker(function)


def test_folder_in_use_kept(temp_dir: Path) -> None:
    """A locked folder is not removed; an unlocked one is."""
    used, abandoned = folders.create(), folders.create()
    os.close(folders._locks.pop(abandoned))
    folders.remove_abandoned(())
    assert used.exists()
    assert not abandoned.exists()
    folders.release(used)
    assert list(temp_dir.iterdir()) == []


@pytest.mark.parametrize("packed", [False, True])
def test_unpacked_size_counts(tmp_path: Path, packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a compressed file takes when it is unpacked counts, not what it takes on disk."""
    folder = models.tree_regressor(tmp_path / "model")
    with (folder / "table.npz").open("wb") as file:
        (np.savez_compressed if packed else np.savez)(file, np.zeros(2**23))
    monkeypatch.setattr(memory, "_limits", lambda: iter([(60 * 2**20, 10 * 2**20)]))
    with pytest.raises(memory.ModelBlocked, match=re.escape("0.01 GiB of this function's 0.06 GiB of memory")):
        load(str(folder))
