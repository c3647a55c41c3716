"""Following the champion: a new version takes over completely or not at all, without failing a request."""

import asyncio
import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import pytest
from starlette.testclient import TestClient

from launch.function import Function
from loading.residents import Residents
from model_loader import ModelLoader, load
from serving.decoding import from_arguments
from tests import models
from tests.assertions import assert_error
from tests.conftest import ROOT
from tests.faults.conftest import URI
from tests.faults.faults import always
from tests.faults.processes import wait_for
from tests.faults.proxy import Handler, Proxy, Response, no_fault, plain_client, publish, upload
from tests.faults.watching import REFRESH, digest, wait_for_model, wait_for_polls, wait_for_version

pytestmark = [
    pytest.mark.usefixtures("fast_retries"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),  # as in test_loading.py
]
ROWS = [[0.5, -0.25, 1, at] for at in range(50)]


def predictions(folder: str) -> list[Any]:
    model = load(folder)
    return list(model.predict(from_arguments(model.signature, ROWS)).tolist())


def test_new_version_takes_over(
    proxy: Proxy, saved: Callable[[str], str], second_model: str, temp_dir: Path, log: list[dict[str, Any]]
) -> None:
    """A model published at the prefix takes over; the old one leaves memory, and its files the disk."""

    async def follow() -> None:
        loader = ModelLoader(URI, refresh=REFRESH)
        old = weakref.ref(await loader.model())
        await wait_for_polls(proxy, loader, 3)
        assert await loader.model() is old()
        publish(proxy.upstream, second_model, "m")
        new = await wait_for_version(loader, second_model)
        assert new.predict(from_arguments(new.signature, ROWS)).tolist() == predictions(second_model)
        gc.collect()
        assert old() is None, "the old model is still in memory"
        (kept,) = temp_dir.glob("model-*")
        assert digest(kept) == new.info.digest, "the files of the version that serves stay, and no others"

    asyncio.run(follow())
    old = digest(saved("tree_regressor"))
    logged = [line["message"] for line in log if "Now serving" in line["message"]]
    assert logged == [f"Now serving version {digest(second_model)} instead of version {old}."]


def test_model_that_left(proxy: Proxy, saved: Callable[[str], str], second_model: str) -> None:
    """A followed model that left to make room comes back as the version that served, and then follows on."""

    async def follow() -> None:
        loader = ModelLoader(URI, refresh=REFRESH)
        residents = Residents(lambda *_, **__: None)
        residents.add("houses", loader)
        assert (await loader.model()).info.digest == digest(saved("tree_regressor"))
        await wait_for_polls(proxy, loader, 2)
        assert await asyncio.to_thread(residents.evict_one, "another")
        assert not loader.loaded
        publish(proxy.upstream, second_model, "m")
        assert (await loader.model()).info.digest == digest(saved("tree_regressor"))
        await wait_for_version(loader, second_model)
        assert await asyncio.to_thread(residents.evict_one, "another")
        assert (await loader.model()).info.digest == digest(second_model)

    asyncio.run(follow())


def test_alias_followed_there_and_back(
    saved: Callable[[str], str], second_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version behind an alias is served, also when the alias moves back."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    client.create_registered_model("house")
    for source in (saved("tree_regressor"), second_model):
        client.create_model_version("house", source=source)

    async def follow() -> None:
        client.set_registered_model_alias("house", "champion", "1")
        loader = ModelLoader("models:/house@champion", refresh=REFRESH)
        assert (await loader.model()).info.version == "house/1"
        for version, folder in (("2", second_model), ("1", saved("tree_regressor"))):
            client.set_registered_model_alias("house", "champion", version)
            model = await wait_for_model(
                loader, lambda model, version=version: model.info.version == f"house/{version}"
            )
            assert model.info.digest == digest(folder)

    asyncio.run(follow())


def test_unfinished_upload_not_loaded(proxy: Proxy, saved: Callable[[str], str], second_model: str) -> None:
    """Files that still change are not fetched until two polls in a row find them the same."""
    with plain_client(proxy.upstream) as client:

        def change(handler: Handler, fetch: Callable[[], Response]) -> None:
            upload(client, "m/model.pkl", (Path(second_model) / "model.pkl").read_bytes())
            no_fault(handler, fetch)

        async def follow() -> None:
            loader = ModelLoader(URI, refresh=REFRESH)
            first = await loader.model()
            proxy.requests.clear()
            proxy.plan = always(change)
            await wait_for_polls(proxy, loader, 5)
            assert await loader.model() is first
            assert {request.name for request in proxy.requests} == {""}, "half of an upload was fetched"
            proxy.plan = None
            publish(proxy.upstream, second_model, "m")
            await wait_for_version(loader, second_model)

        asyncio.run(follow())


@pytest.mark.slow
def test_swaps_under_load(proxy: Proxy, saved: Callable[[str], str], second_model: str, tmp_path: Path) -> None:
    """Swapping models under load fails no request, and no reply mixes versions.

    Four callers send requests without a pause while the model is replaced twice, with a bad version in between.
    At last a model with other columns takes over.
    """
    folders = {"one": saved("tree_regressor"), "two": second_model}
    versions = {name: predictions(folder) for name, folder in folders.items()}
    bad = models.tree_regressor(tmp_path / "bad")
    (bad / "model.pkl").write_bytes(b"not a pickle")
    seen: list[str] = []
    done = threading.Event()
    body = {"calls": ROWS, "userDefinedContext": {"schema": load(second_model).signature.schema}}

    def call(url: str) -> None:
        with plain_client(url) as client:
            while not done.is_set():
                answer = client.post("/", json=body)
                assert answer.status_code == 200, answer.text
                seen.append(next(name for name, values in versions.items() if values == answer.json()["replies"]))

    log = tmp_path / "log"
    settings = {"STORAGE_EMULATOR_HOST": proxy.url, "MODEL_REFRESH_SECONDS": "1"}
    with Function(URI, settings, log=log) as function, ThreadPoolExecutor(4) as pool:
        try:
            callers = [pool.submit(call, function.url) for _ in range(4)]
            wait_for(lambda: "one" in seen)
            publish(proxy.upstream, folders["two"], "m")
            wait_for(lambda: "two" in seen)
            publish(proxy.upstream, bad, "m")
            wait_for(lambda: "was rejected" in log.read_text())
            publish(proxy.upstream, folders["one"], "m")
            wait_for(lambda: seen[-1] == "one")
        finally:
            done.set()
        for caller in callers:
            caller.result()
        with plain_client(function.url) as client:
            publish(proxy.upstream, saved("categories"), "m")
            wait_for(lambda: client.post("/", json=body).status_code == 400)
            assert_error(client.post("/", json=body), 400, "made for a model with schema")
    assert len(seen) > 100


@pytest.mark.parametrize("value", ["often", "-1", "1.5", "", "10m"])
def test_bad_refresh_period(app: Callable[..., TestClient], value: str) -> None:
    """MODEL_REFRESH_SECONDS that is not a whole number of seconds ends the start with one sentence."""
    with pytest.raises(SystemExit) as exited:
        app("/tmp", MODEL_REFRESH_SECONDS=value)
    assert exited.value.code == (
        f"MODEL_REFRESH_SECONDS is {value!r}; expected a whole number of seconds, or 0 for never."
    )


def test_bad_refresh_period_in_process() -> None:
    """The process exits with status 1 and prints that sentence alone."""
    environment = {"PATH": "/usr/bin:/bin", "MODEL_URI": "/tmp", "MODEL_REFRESH_SECONDS": "often"}
    done = subprocess.run(
        [sys.executable, "-c", "import main"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "MODEL_REFRESH_SECONDS is 'often'; expected a whole number of seconds, or 0 for never.\n"
