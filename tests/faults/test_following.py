"""Following the champion: another version takes over in full or not at all, and no request notices but by its answer."""

import asyncio
import gc
import json
import logging
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pytest
import yaml

import model_folder
from local.function import Function
from model_loader import ModelLoader, folder_digest, load
from serving.model import Model
from serving.rows import from_arguments
from tests import models
from tests.assertions import assert_error
from tests.conftest import ROOT
from tests.faults import proxy as faults
from tests.faults.conftest import URI
from tests.faults.proxy import Proxy, put, put_object, times

pytestmark = [
    pytest.mark.usefixtures("quick"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),  # as in test_loading.py
]
OFTEN = 0.01  # seconds
ROWS = [[0.5, -0.25, 1, at] for at in range(50)]


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


def digest(folder: str | Path) -> str:
    return folder_digest(Path(folder))


def predictions(folder: str) -> list[Any]:
    model = load(folder)
    return list(model.predict(from_arguments(model.signature, ROWS)).tolist())


async def until(loader: ModelLoader, condition: Callable[[Model], bool]) -> Model:
    """Ask for the model as requests do until a condition holds."""
    deadline = time.monotonic() + 30
    while not condition(model := await loader.model()):
        assert time.monotonic() < deadline, model.facts
        await asyncio.sleep(OFTEN)
    return model


async def looks(proxy: Proxy, loader: ModelLoader, count: int) -> None:
    """Ask for the model until another `count` looks were taken."""
    before = len(proxy.asked)
    await until(loader, lambda _: len(proxy.asked) >= before + count)


def test_another_model_at_a_prefix_takes_over_and_leaves_neither_files_nor_the_old_one_in_memory(
    proxy: Proxy, saved: Callable[[str], str], second: str, files: Path, log: list[dict[str, Any]]
) -> None:
    async def follow() -> Model:
        loader = ModelLoader(URI, refresh=OFTEN)
        old = weakref.ref(await loader.model())
        await looks(proxy, loader, 3)
        assert await loader.model() is old()
        put(proxy.upstream, second, "m")
        new = await until(loader, lambda model: model.facts["version"] == digest(second))
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
        assert (await loader.model()).facts["version"] == "1"
        for version, folder in (("2", second), ("1", saved("tree_regressor"))):
            client.set_registered_model_alias("house", "champion", version)
            model = await until(loader, lambda model, version=version: model.facts["version"] == version)
            assert model.facts["digest"] == digest(folder)

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
            await until(loader, lambda model: model.facts["version"] == digest(second))

        asyncio.run(follow())


def spoilt_pickle(folder: Path) -> None:
    (folder / "model.pkl").write_bytes(b"not a pickle")


def no_mark(folder: Path) -> None:
    (folder / "MLmodel").unlink()


def no_example(folder: Path) -> None:
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    del mlmodel["saved_input_example_info"]
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))


def other_columns_than_it_was_fitted_on(folder: Path) -> None:
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    inputs = json.loads(mlmodel["signature"]["inputs"])[:3]
    mlmodel["signature"]["inputs"] = json.dumps(inputs)
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))


def other_output(folder: Path) -> None:
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    mlmodel["signature"]["outputs"] = json.dumps([{"type": "boolean", "name": "x"}])
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "not a pickle": (spoilt_pickle, "cannot be loaded: UnpicklingError"),
    "no MLmodel": (no_mark, "There is no MLmodel file"),
    "no example": (no_example, "has no input example to try it on"),
    "an example that it cannot score": (other_columns_than_it_was_fitted_on, "cannot score its own input example"),
    "another output than declared": (other_output, "cannot score its own input example"),
}


@pytest.mark.parametrize(("spoil", "reason"), BAD.values(), ids=BAD)
def test_a_bad_version_is_refused_and_said_to_be_so_once_and_a_good_one_still_follows(
    proxy: Proxy,
    saved: Callable[[str], str],
    second: str,
    spoil: Callable[[Path], None],
    reason: str,
    files: Path,
    log: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    bad = models.tree_regressor(tmp_path / "bad")
    spoil(bad)

    async def follow() -> None:
        loader = ModelLoader(URI, refresh=OFTEN)
        first = await loader.model()
        put(proxy.upstream, bad, "m") if (bad / "MLmodel").exists() else remove_mark(proxy)
        await until(loader, lambda model: any("was refused" in line["message"] for line in log))
        await looks(proxy, loader, 6)
        assert await loader.model() is first
        assert list(files.glob("model-*")) == [], "what is read whole needs no files any more"
        put(proxy.upstream, second, "m")
        await until(loader, lambda model: model.facts["version"] == digest(second))

    asyncio.run(follow())
    (said,) = [line for line in log if line["severity"] != "INFO"]
    assert said["severity"] == "ERROR"
    assert said["message"].startswith(
        f"Version {digest(saved('tree_regressor'))} goes on; what is to follow it was refused"
    )
    assert reason in said["message"]


def remove_mark(proxy: Proxy) -> None:
    httpx.delete(f"{proxy.upstream}/storage/v1/b/models/o/m%2FMLmodel", trust_env=False).raise_for_status()


def test_with_a_digest_no_other_model_follows(
    proxy: Proxy, saved: Callable[[str], str], second: str, log: list[dict[str, Any]]
) -> None:
    async def follow() -> None:
        loader = ModelLoader(URI, digest(saved("tree_regressor")), refresh=OFTEN)
        first = await loader.model()
        put(proxy.upstream, second, "m")
        await until(loader, lambda model: any("MODEL_DIGEST asks for" in line["message"] for line in log))
        assert await loader.model() is first

    asyncio.run(follow())


def test_a_version_with_other_code_under_the_same_name_is_refused(
    proxy: Proxy, log: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(model_folder, "_code_here", {})
    folder = models.python_model(tmp_path / "model")
    put(proxy.upstream, folder, "m")

    async def follow() -> None:
        loader = ModelLoader(URI, refresh=OFTEN)
        first = await loader.model()
        (folder / "code" / "prepare.py").write_text("def scale(frame, factor):\n    return frame.assign(total=0.0)\n")
        put(proxy.upstream, folder, "m")
        await until(loader, lambda model: any("brings other code" in line["message"] for line in log))
        model = await loader.model()
        assert model is first
        assert model.predict(from_arguments(model.signature, [[1.5, 1, "x"]])) == ["x: 2.500"]

    asyncio.run(follow())


def test_a_bucket_that_cannot_be_read_is_said_once_and_no_request_waits_for_a_look(
    proxy: Proxy, second: str, log: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()

    def held(handler: faults.Handler, answer: Callable[[], faults.Answer]) -> None:
        goes_on.wait(30)
        faults.status(503)(handler, answer)

    async def follow() -> None:
        loader = ModelLoader(URI, refresh=OFTEN)
        first = await loader.model()
        monkeypatch.setattr("model_bucket.TRY_AGAIN", 0)
        monkeypatch.setattr("model_bucket.TIMEOUT", (5, 60))
        proxy.plan = times(10**9, held)
        await looks(proxy, loader, 1)
        for _ in range(100):
            assert await asyncio.wait_for(loader.model(), 10) is first
        assert not goes_on.is_set()
        goes_on.set()
        await looks(proxy, loader, 3)
        assert await loader.model() is first
        proxy.plan = times(0, faults.fine)
        put(proxy.upstream, second, "m")
        await until(loader, lambda model: model.facts["version"] == digest(second))

    asyncio.run(follow())
    assert [line["severity"] for line in log if "is not known" in line["message"]] == ["WARNING"]


def test_what_could_not_be_looked_at_is_tried_when_it_can_be(
    proxy: Proxy, second: str, log: list[dict[str, Any]]
) -> None:
    seen = False

    def only_the_first_look(_: faults.Asked) -> faults.Fault:
        nonlocal seen
        fault = faults.status(403) if seen else faults.fine
        seen = True
        return fault

    async def follow() -> None:
        loader = ModelLoader(URI, refresh=OFTEN)
        first = await loader.model()
        put(proxy.upstream, second, "m")
        proxy.plan = only_the_first_look
        await until(loader, lambda model: any("objectViewer" in line["message"] for line in log))
        assert await loader.model() is first
        proxy.plan = times(0, faults.fine)
        await until(loader, lambda model: model.facts["version"] == digest(second))

    asyncio.run(follow())


def test_swapping_under_load_loses_no_request_and_mixes_no_versions(
    proxy: Proxy, saved: Callable[[str], str], second: str, tmp_path: Path
) -> None:
    """Callers without a pause while the model is replaced twice, by a bad one in between, and at last by other columns."""
    folders = {"one": saved("tree_regressor"), "two": second}
    versions = {name: predictions(folder) for name, folder in folders.items()}
    bad = models.tree_regressor(tmp_path / "bad")
    spoilt_pickle(bad)
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
