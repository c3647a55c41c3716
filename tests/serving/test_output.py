"""Everything that the process prints is one JSON object per line, with and without the platform's LOG_EXECUTION_ID."""

import contextlib
import io
import json
import logging
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pandas as pd
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from launch.function import Function
from tests.faults.test_overload import wait_for

CALLERS = 8
REQUESTS = 300
TRACE = "0af7651916cd43dd8448eb211c80319c"
CLOSES = 17.0  # the value for which the model closes its streams
DEADLINE = 600.0  # seconds; the machine may be busy
LABELS, TRACE_KEY = "logging.googleapis.com/labels", "logging.googleapis.com/trace"
SPAN, SAMPLED = "logging.googleapis.com/spanId", "logging.googleapis.com/trace_sampled"


class Talkative(mlflow.pyfunc.PythonModel):
    """Prints, warns and logs in every way there is when its column is negative; swallows what it prints otherwise."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            print("swallowed")
            time.sleep(0.005)
        if (model_input["a"] == CLOSES).any():
            for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
                stream.close()
                stream.buffer.close()
        if (model_input["a"] < 0).any():
            print("printed", 17)
            print("in\nseveral\nlines")
            print("in ", end="")
            print("pieces", flush=True)
            print('{"severity": "ERROR", "message": "structured", "key": 1}\n{"message": "second"}')
            print("[1, 2]")
            print("\ud800 no UTF-8")
            sys.stdout.writelines(["written\n", "\n"])
            print("to stderr", file=sys.stderr)
            warnings.warn("a warning", stacklevel=1)
            logging.getLogger("library").warning("logged %s", "below errors")
            logging.getLogger("library").log(35, "level of its own")
            logging.getLogger("library").critical("critical")
            try:
                raise ValueError("caught")
            except ValueError:
                logging.getLogger("library").exception("logged with its stack trace")
        return model_input["a"] * 2


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a `Talkative` model."""
    folder = tmp_path_factory.mktemp("models") / "talkative"
    signature = ModelSignature(Schema([ColSpec("double", "a")]), Schema([ColSpec("double")]))
    mlflow.pyfunc.save_model(folder, python_model=Talkative(), signature=signature, pip_requirements=["pandas"])
    return str(folder)


@pytest.fixture(params=[{}, {"LOG_EXECUTION_ID": "true"}], ids=["plain", "LOG_EXECUTION_ID"])
def function(request: pytest.FixtureRequest, talkative: str, tmp_path: Path) -> Iterator[Function]:
    """Return the function with that model, as it is started by hand and as Cloud Functions starts it."""
    with Function(talkative, request.param, log=tmp_path / "log") as running:
        yield running


def lines(function: Function) -> list[dict[str, Any]]:
    """Return what the process has printed so far, each line as the JSON object that it must be."""
    complete = function.log.read_text().rpartition("\n")[0]  # the last line may be on its way
    found = [json.loads(line) for line in complete.splitlines()]
    assert all(type(line) is dict and line["severity"] for line in found)
    return found


def request_lines(function: Function) -> list[dict[str, Any]]:
    return [line for line in lines(function) if line.get("method") == "POST"]


def post(function: Function, value: float, **headers: str) -> None:
    body = {"calls": [[value]]}
    response = httpx.post(function.url, json=body, headers=headers, timeout=DEADLINE, trust_env=False)
    assert response.json() == {"replies": [value * 2]}


@pytest.mark.check
def test_every_line_is_one_object(function: Function) -> None:
    """Under load, each request has its line with severity, trace and execution id, and so has its load of the model."""

    def send(number: int) -> None:
        context = f"{TRACE}/{number + 1};o={number % 2}"
        post(function, float(number), **{"function-execution-id": f"id-{number}", "x-cloud-trace-context": context})

    with ThreadPoolExecutor(CALLERS) as threads:
        list(threads.map(send, range(REQUESTS)))
    deadline = time.monotonic() + DEADLINE
    while len(requests := request_lines(function)) < REQUESTS and time.monotonic() < deadline:
        time.sleep(0.02)  # lines are written after the replies
    numbers = [int(line[LABELS]["execution_id"].removeprefix("id-")) for line in requests]
    assert sorted(numbers) == list(range(REQUESTS))
    for number, line in zip(numbers, requests, strict=True):
        assert (line["severity"], line["status"], line["rows"]) == ("INFO", 200, 1)
        assert (line[TRACE_KEY], line[SPAN], line[SAMPLED]) == (TRACE, f"{number + 1:016x}", number % 2 == 1)
    (loaded,) = (line for line in lines(function) if line["message"].startswith("Loaded the model"))
    assert loaded[LABELS]["execution_id"] in {f"id-{number}" for number in range(CALLERS)}
    assert loaded[TRACE_KEY] == TRACE


@pytest.mark.check
def test_what_models_print(function: Function) -> None:
    """Prints, warnings and records of libraries are lines with a severity; several lines of one print stay together."""
    post(function, 1.0)
    before = len(lines(function))
    post(function, -1.0, **{"function-execution-id": "talk"})
    found = {line["message"]: line for line in lines(function)[before:]}
    severities = {
        "printed 17": "INFO",
        "in\nseveral\nlines": "INFO",
        "in pieces": "INFO",
        "structured": "ERROR",
        "second": "INFO",
        "[1, 2]": "INFO",
        "? no UTF-8": "INFO",
        "written": "INFO",
        "to stderr": "WARNING",
        "logged below errors": "WARNING",
        "level of its own": "WARNING",
        "critical": "CRITICAL",
        "logged with its stack trace": "ERROR",
    }
    assert {message: line["severity"] for message, line in found.items() if message in severities} == severities
    assert all(found[message][LABELS] == {"execution_id": "talk"} for message in severities)
    assert found["structured"]["key"] == 1
    assert found["logged with its stack trace"]["stack_trace"].rstrip().endswith("ValueError: caught")
    (warning,) = (line for message, line in found.items() if "UserWarning: a warning" in message)
    assert warning["severity"] == "WARNING"


def test_model_closes_streams(function: Function) -> None:
    """A model that closes the streams it prints to ends neither the log nor the worker."""
    for _ in range(2):
        post(function, CLOSES)
    post(function, -1.0)
    wait_for(lambda: len(request_lines(function)) == 3)
    messages = Counter(line["message"] for line in lines(function))
    assert [messages[text] for text in ("printed 17", "in pieces", "to stderr", "critical")] == [1] * 4
    assert len([message for message in messages if message.startswith("Loaded the model")]) == 1


def check_listening_line(function: Function) -> None:
    (line,) = lines(function)
    assert (line["severity"], line["message"]) == ("INFO", f"Listening at {function.url}.")
    assert line["address"] == function.url


def test_listening_line(function: Function) -> None:
    """One line says on which address the function listens, and no other line of the server is printed."""
    check_listening_line(function)


@pytest.mark.parametrize("environment", [{"GUNICORN_LOG_LEVEL": "critical"}, {"WORKERS": "2"}])
def test_listening_line_under_settings(talkative: str, environment: dict[str, str]) -> None:
    """That line doesn't depend on what else gunicorn logs, or on the number of workers."""
    with Function(talkative, environment) as function:
        check_listening_line(function)


def test_missing_model_uri() -> None:
    """Without MODEL_URI, one warning at the start says so."""
    with Function("") as function:
        warning, _ = lines(function)
    assert warning["severity"] == "WARNING"
    assert warning["message"].startswith("MODEL_URI is not set")
