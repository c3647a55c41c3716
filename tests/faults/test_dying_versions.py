"""Versions that end the process, and workers that die: the instance keeps serving, with real workers of gunicorn."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow.models import infer_signature
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeRegressor

from launch.function import Function
from model_loader import load
from serving.decoding import from_arguments
from tests import models
from tests.assertions import assert_error
from tests.faults import faults
from tests.faults.conftest import URI
from tests.faults.faults import always
from tests.faults.processes import kill_worker
from tests.faults.proxy import Proxy, publish

FAST_RETRIES = Path(__file__).parent / "fast_retries"
DEADLINE = 60.0  # seconds; the machine may be busy
ROW = [0.5, -0.25, 1, 2]

# What a step does to its process, given the number of predictions so far.
DEATHS = {
    "raises a BaseException": "class Gone(BaseException): pass\ndef die(count): raise Gone('gone')",
    "exits in its third prediction": "import sys\ndef die(count): count < 3 or sys.exit(3)",
    "raises CancelledError": "import asyncio\ndef die(count): raise asyncio.CancelledError",
    "ends the process": "import os\ndef die(count): os._exit(1)",
    "is killed": "import os, signal\ndef die(count): os.kill(os.getpid(), signal.SIGKILL)",
}


def deadly(folder: Path, code: str) -> Path:
    """Save a model with the columns of `tree_regressor` that runs `die` of some code before each prediction."""
    notebook: dict[str, Any] = {"__name__": "notebook"}  # cloudpickle saves what it holds with the model
    exec(f"{code}\ncalls = []\ndef step(X):\n    calls.append(1)\n    die(len(calls))\n    return X\n", notebook)
    X = models.numbers()
    model = make_pipeline(FunctionTransformer(), DecisionTreeRegressor(max_depth=2)).fit(X, X.a)
    signature = infer_signature(X, model.predict(X))
    model.steps[0][1].func = notebook["step"]
    return models.save(folder, model, X, signature=signature, outputs=False)


def ask(function: Function) -> httpx.Response | None:
    """Send one row; return None when the worker died instead of answering."""
    try:
        return httpx.post(function.url, json={"calls": [ROW]}, trust_env=False, timeout=DEADLINE)
    except httpx.TransportError:
        return None


def wait_for(function: Function, condition: Callable[[httpx.Response], bool]) -> None:
    """Send requests until an answer meets a condition."""
    deadline = time.monotonic() + DEADLINE
    while not ((answer := ask(function)) is not None and condition(answer)):
        assert time.monotonic() < deadline, answer and answer.text
        time.sleep(0.05)


def replies(folder: str) -> Callable[[httpx.Response], bool]:
    """Return whether an answer is the prediction of the model in a folder."""
    model = load(folder)
    (expected,) = model.predict(from_arguments(model.signature, [ROW])).tolist()
    return lambda answer: answer.status_code == 200 and answer.json()["replies"] == [expected]


@pytest.fixture
def environment(proxy: Proxy, tmp_path: Path) -> dict[str, str]:
    """Return the environment of a function that follows the bucket."""
    (tmp_path / "temporary").mkdir()
    return {
        "STORAGE_EMULATOR_HOST": proxy.url,
        "TMPDIR": str(tmp_path / "temporary"),
        "MODEL_REFRESH_SECONDS": "1",
    }


@pytest.mark.slow
@pytest.mark.parametrize("code", DEATHS.values(), ids=DEATHS)
def test_deadly_version(
    proxy: Proxy,
    environment: dict[str, str],
    saved: Callable[[str], str],
    second_model: str,
    tmp_path: Path,
    code: str,
) -> None:
    """A version that ends the process is fetched once, also by restarted workers; the last one keeps serving."""
    old = replies(saved("tree_regressor"))
    with Function(URI, environment, source=FAST_RETRIES, log=tmp_path / "log") as function:
        wait_for(function, old)
        publish(proxy.upstream, deadly(tmp_path / "deadly", code), "m")
        proxy.requests.clear()
        wait_for(function, lambda _: "ejected" in (tmp_path / "log").read_text())
        kill_worker(function, DEADLINE)
        polls = len(proxy.requests) + 5
        wait_for(function, lambda answer: old(answer) and len(proxy.requests) > polls)
        assert [request.name for request in proxy.requests].count("m/model.pkl") == 1
        publish(proxy.upstream, second_model, "m")
        wait_for(function, replies(second_model))
        # The old version is freed after its last request.
        wait_for(function, lambda _: len(list((tmp_path / "temporary").glob("model-*"))) == 1)


def test_deadly_first_version(proxy: Proxy, environment: dict[str, str], second_model: str, tmp_path: Path) -> None:
    """An instance that starts with a version that ends the process answers 424, and serves the next one."""
    publish(proxy.upstream, deadly(tmp_path / "deadly", DEATHS["ends the process"]), "m")
    with Function(URI, environment, source=FAST_RETRIES) as function:
        wait_for(function, lambda answer: answer.status_code == 424)
        answer = ask(function)
        assert answer is not None
        assert_error(answer, 424, URI, "the process ended while it was loaded")
        publish(proxy.upstream, second_model, "m")
        wait_for(function, replies(second_model))


def test_restarted_worker_serves_last_version(
    proxy: Proxy, environment: dict[str, str], saved: Callable[[str], str]
) -> None:
    """A worker that takes over serves the version on disk, even while the bucket can't be read."""
    with Function(URI, environment, source=FAST_RETRIES) as function:
        wait_for(function, replies(saved("tree_regressor")))
        proxy.plan = always(faults.status(503))
        kill_worker(function, DEADLINE)
        wait_for(function, lambda _: True)
        answer = ask(function)
        assert answer is not None
        assert replies(saved("tree_regressor"))(answer), answer.text
