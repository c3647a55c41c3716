"""Following the champion: another version takes over in full or not at all, and no request notices but by its answer."""

import asyncio
import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pytest

from launch.function import Function
from model_loader import ModelLoader, load
from serving.model import Model
from serving.rows import from_arguments
from tests import models
from tests.assertions import assert_error
from tests.conftest import ROOT
from tests.faults import proxy as faults
from tests.faults.conftest import URI
from tests.faults.following import OFTEN, digest, looks, until
from tests.faults.proxy import Proxy, put, put_object, times

pytestmark = [
    pytest.mark.usefixtures("quick"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),  # as in test_loading.py
]
ROWS = [[0.5, -0.25, 1, at] for at in range(50)]


def predictions(folder: str) -> list[Any]:
    model = load(folder)
    return list(model.predict(from_arguments(model.signature, ROWS)).tolist())


def test_another_model_at_a_prefix_takes_over_and_leaves_neither_files_nor_the_old_one_in_memory(
    proxy: Proxy, saved: Callable[[str], str], second: str, files: Path, log: list[dict[str, Any]]
) -> None:
    async def follow() -> Model:
        loader = ModelLoader(URI, refresh=OFTEN)
        old = weakref.ref(await loader.model())
        await looks(proxy, loader, 3)
        assert await loader.model() is old()
        put(proxy.upstream, second, "m")
        new = await until(loader, lambda model: model.info.version == digest(second))
        assert new.predict(from_arguments(new.signature, ROWS)).tolist() == predictions(second)
        gc.collect()
        assert old() is None, "the old model is still in memory"
        assert list(files.glob("model-*")) == [], "what is read whole needs no files any more"
        return new

    asyncio.run(follow())
    first = digest(saved("tree_regressor"))
    said = [line["message"] for line in log if "now answers" in line["message"]]
    assert said == [f"Version {digest(second)} now answers, it was {first}."]


def test_the_version_behind_an_alias_is_followed_there_and_back(
    saved: Callable[[str], str], second: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    client.create_registered_model("house")
    for source in (saved("tree_regressor"), second):
        client.create_model_version("house", source=source)

    async def follow() -> None:
        client.set_registered_model_alias("house", "champion", "1")
        loader = ModelLoader("models:/house@champion", refresh=OFTEN)
        assert (await loader.model()).info.version == "1"
        for version, folder in (("2", second), ("1", saved("tree_regressor"))):
            client.set_registered_model_alias("house", "champion", version)
            model = await until(loader, lambda model, version=version: model.info.version == version)
            assert model.info.digest == digest(folder)

    asyncio.run(follow())


def test_files_that_still_change_are_not_loaded_until_they_stay_for_two_looks(
    proxy: Proxy, saved: Callable[[str], str], second: str
) -> None:
    with httpx.Client(base_url=proxy.upstream, trust_env=False) as client:

        def changing(handler: faults.Handler, answer: Callable[[], faults.Answer]) -> None:
            put_object(client, "m/model.pkl", (Path(second) / "model.pkl").read_bytes())
            faults.fine(handler, answer)

        async def follow() -> None:
            loader = ModelLoader(URI, refresh=OFTEN)
            first = await loader.model()
            proxy.asked.clear()
            proxy.plan = times(10**9, changing)
            await looks(proxy, loader, 5)
            assert await loader.model() is first
            assert {asked.name for asked in proxy.asked} == {""}, "half of an upload was fetched"
            proxy.plan = times(0, faults.fine)
            put(proxy.upstream, second, "m")
            await until(loader, lambda model: model.info.version == digest(second))

        asyncio.run(follow())


def test_swapping_under_load_loses_no_request_and_mixes_no_versions(
    proxy: Proxy, saved: Callable[[str], str], second: str, tmp_path: Path
) -> None:
    """Callers without a pause while the model is replaced twice, by a bad one in between, and at last by other columns."""
    folders = {"one": saved("tree_regressor"), "two": second}
    versions = {name: predictions(folder) for name, folder in folders.items()}
    bad = models.tree_regressor(tmp_path / "bad")
    (bad / "model.pkl").write_bytes(b"not a pickle")
    seen: list[str] = []
    over = threading.Event()
    body = {"calls": ROWS, "userDefinedContext": {"schema": load(second).signature.schema}}

    def call(url: str) -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not over.is_set():
                answer = client.post(url, json=body)
                assert answer.status_code == 200, answer.text
                seen.append(next(name for name, values in versions.items() if values == answer.json()["replies"]))

    def wait_for(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    log = tmp_path / "log"
    settings = {"STORAGE_EMULATOR_HOST": proxy.url, "MODEL_REFRESH_SECONDS": "1"}
    with Function(URI, settings, log=log) as function, ThreadPoolExecutor(4) as pool:
        try:
            callers = [pool.submit(call, function.url) for _ in range(4)]
            wait_for(lambda: "one" in seen)
            put(proxy.upstream, folders["two"], "m")
            wait_for(lambda: "two" in seen)
            put(proxy.upstream, bad, "m")
            wait_for(lambda: "was refused" in log.read_text())
            put(proxy.upstream, folders["one"], "m")
            wait_for(lambda: seen[-1] == "one")
        finally:
            over.set()
        for caller in callers:
            caller.result()
        put(proxy.upstream, saved("classifier"), "m")
        # The classifier has the same columns; a model with others answers 400 to the SQL function made for these.
        put(proxy.upstream, saved("categories"), "m")
        wait_for(lambda: httpx.post(function.url, json=body, trust_env=False).status_code == 400)
        assert_error(httpx.post(function.url, json=body, trust_env=False), 400, "made for a model with schema")
    assert len(seen) > 100


@pytest.mark.parametrize("value", ["often", "-1", "1.5", "", "10m"])
def test_a_period_that_is_no_number_of_seconds_ends_the_start_with_a_sentence(value: str) -> None:
    environment = {"PATH": "/usr/bin:/bin", "MODEL_URI": "/tmp", "MODEL_REFRESH_SECONDS": value}
    said = subprocess.run(
        [sys.executable, "-c", "import main"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert said.returncode == 1
    assert said.stderr == f"MODEL_REFRESH_SECONDS is {value!r}; expected a whole number of seconds, or 0 for never.\n"
