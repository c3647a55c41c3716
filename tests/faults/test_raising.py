"""Whatever a model raises, its caller gets an answer, and the process keeps all of its threads."""

import json
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from starlette.testclient import TestClient

from launch.function import ROOT, Function
from launch.processes import ProcessError
from tests import models
from tests.assertions import assert_error
from tests.faults.processes import DEADLINE, wait_for

RAISING = """
    import asyncio, mlflow, os, sys

    class Stop(BaseException):
        pass

    class Unprintable(Stop):
        def __str__(self):
            raise Stop

    class Model(mlflow.pyfunc.PythonModel):
        def load_context(self, context):
            {load}

        def predict(self, context, model_input, params=None):
            for raised in set(model_input["raised"]) - {{""}}:
                raise eval(raised)
            return model_input["x"] * 2

    mlflow.models.set_model(Model())
"""
RAISED = [
    "SystemExit(3)", "KeyboardInterrupt()", "GeneratorExit()", "asyncio.CancelledError()", "StopIteration(1)",
    "StopAsyncIteration()", "Stop('no')", "Unprintable()", "RecursionError()", "TimeoutError()",
]  # fmt: skip


def raising(folder: Path, load: str = "pass") -> str:
    """Save a model that raises what its second column says, and runs a statement when it is loaded."""
    inputs = models.schema(("double", "x"), ("string", "raised"))
    example = pd.DataFrame({"x": [1.0, 2.0], "raised": ["", ""]})
    source = textwrap.dedent(RAISING).format(load=load)
    return str(models.from_code(folder, source, inputs, models.schema(("double",)), example))


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Function]:
    """Return the function with that model, shared by the tests: what one leaves behind, the next ones find."""
    folder = tmp_path_factory.mktemp("raising")
    with Function(raising(folder / "model"), log=folder / "log") as running:
        yield running


def logged(log: Path, request_id: str) -> list[int]:
    """Return the statuses of the requests with an id, in the order of their log lines."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    return [line["status"] for line in lines if line.get("requestId") == request_id]


@pytest.mark.parametrize("raised", RAISED)
def test_raised_by_prediction(function: Function, raised: str) -> None:
    """A row for which the model raises anything is a 400 that names both, or NULL; the other rows get replies."""
    calls = [[1, ""], [2, raised], [3, ""]]

    def ask(calls: list[Any], **context: str) -> httpx.Response:
        body = {"requestId": raised, "calls": calls, "userDefinedContext": context}
        return httpx.post(function.url, json=body, trust_env=False, timeout=DEADLINE)

    for _ in range(5):  # more than there are threads
        assert_error(ask(calls), 400, "Row 1: the model could not score it: ", raised.partition("(")[0].split(".")[-1])
    assert ask(calls, on_error="null").json() == {"replies": [2.0, None, 6.0]}
    assert ask(calls[:1]).json() == {"replies": [2.0]}
    wait_for(lambda: logged(function.log, raised) == [400] * 5 + [200] * 2)


@pytest.mark.parametrize("raised", RAISED)
def test_raised_by_load(raised: str, app: Callable[..., TestClient], tmp_path: Path) -> None:
    """A model that raises anything while it is loaded is a 424 that names it, again and again."""
    client = app(raising(tmp_path / "model", load=f"raise {raised}"))
    for _ in range(2):
        named = raised.partition("(")[0].split(".")[-1]
        assert_error(client.post("/", json={"calls": [[1, ""]]}), 424, "The model at ", named)


@pytest.mark.parametrize("code", [1, 3, 4])  # gunicorn itself ends with workers that exit with 3 or 4
def test_exit_does_not_end_server(code: int, tmp_path: Path) -> None:
    """A model that ends its process, while it is loaded or in a prediction, gets another one."""
    once = str(tmp_path / "once")
    exits = f"not os.path.exists({once!r}) and (open({once!r}, 'w').close(), os._exit({code}))"
    model = raising(tmp_path / "model", load=f"'SERVED' in os.environ and {exits}")  # MLflow loads it to save it
    with Function(model, {"SERVED": "1"}) as function:

        def ask(raised: str) -> httpx.Response | None:
            try:
                return httpx.post(function.url, json={"calls": [[1, raised]]}, trust_env=False, timeout=DEADLINE)
            except httpx.TransportError:
                return None

        for raised in ["", f"os._exit({code})"]:
            assert ask(raised) is None
            wait_for(lambda: (answer := ask("")) is not None and answer.json() == {"replies": [2.0]})


@pytest.mark.parametrize(
    "fault",
    ["raise ValueError('no start')", "uvicorn_worker.UvicornWorker.init_signals = None"],
    ids=["main.py fails", "workers fail"],
)
def test_boot_error_ends_server(fault: str, tmp_path: Path) -> None:
    """A function that cannot start ends instead of starting again and again."""
    source = f"import sys, uvicorn_worker\nsys.path.insert(0, {str(ROOT)!r})\nfrom serving import server\n"
    (tmp_path / "main.py").write_text(
        f"{source}server.configure(None)\n{fault}\nimport functions_framework.aio\n"
        "@functions_framework.aio.http\nasync def predict(request):\n    return ''\n"
    )
    with pytest.raises(ProcessError, match="exited with status"), Function("", source=tmp_path):
        pass
