"""The log has one line per request: what happened, how long each stage took and what failed, but no values of rows."""

import asyncio
import gc
import json
import logging
import weakref
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.errors import ModelUnusable
from serving.model import ModelInfo
from serving.telemetry import LogWriter, RequestLog, Timer, identify

CALLER = "//bigquery.googleapis.com/projects/p/jobs/p:US.bquxjob_17"
ROW = [0.5, -0.25, 1, 2]
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(params=["", "true"], ids=["plain", "LOG_EXECUTION_ID"])
def execution_id_logging(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test as the function is started by hand, and as Cloud Functions starts it."""
    monkeypatch.setenv("LOG_EXECUTION_ID", request.param)


@pytest.fixture
def logged(
    execution_id_logging: None,
    app: Callable[..., TestClient],
    saved: Callable[[str], str],
    capfd: pytest.CaptureFixture[str],
) -> Callable[..., dict[str, Any]]:
    """Return a function that sends a request to one running function, and returns its log line and the response."""
    clients: list[TestClient] = []  # created by the first request, when the test's output is captured

    def send(method: str = "POST", path: str = "/", headers: Mapping[str, str] | None = None, **fields: Any) -> Any:
        body = {"requestId": "r-1", "caller": CALLER, "sessionUser": "ann@example.com", **fields}
        content = json.dumps(body).encode() if method == "POST" else None
        if not clients:
            clients.append(app(saved("tree_regressor"), LOG_LEVEL="INFO"))
        response = clients[0].request(method, path, content=content, headers=headers)
        (line,) = (line for line in capfd.readouterr().out.splitlines() if '"method":' in line)
        return {"response": response, "length": len(content or b""), **json.loads(line)}

    return send


def test_log_line(logged: Callable[..., dict[str, Any]]) -> None:
    """A line has the caller, the function, the sizes and the time of every stage."""
    before = datetime.now(UTC)
    cold, warm = (logged(calls=[ROW, [None, 1, 1, 1], ROW], path="/v1/predict") for _ in range(2))
    for line in (cold, warm):
        assert before <= datetime.fromisoformat(line["time"]) <= datetime.now(UTC)
        assert line["severity"] == "INFO"
        assert (line["method"], line["path"], line["status"]) == ("POST", "/v1/predict", 200)
        assert (line["requestId"], line["job"], line["user"]) == ("r-1", "p:US.bquxjob_17", "ann@example.com")
        assert (line["function"], line["rows"], line["nullRows"]) == ("predict", 3, 1)
        assert (line["bytesIn"], line["bytesOut"]) == (line["length"], len(line["response"].content))
        assert "3 rows for predict" in line["message"]
        assert "error" not in line
    assert (cold["cold"], warm["cold"]) == (True, False)
    assert cold["loadSeconds"].keys() >= {"fetch", "load"}
    assert "loadSeconds" not in warm
    assert list(cold["milliseconds"]) == ["read", "parse", "load", "decode", "queue", "predict", "encode", "total"]
    assert list(warm["milliseconds"]) == ["read", "parse", "decode", "queue", "predict", "encode", "total"]
    for line in (cold, warm):
        *stages, total = line["milliseconds"].values()
        assert min(stages) >= 0
        assert sum(stages) <= total + 0.01  # each is rounded to a microsecond


def test_digest_as_model(logged: Callable[..., dict[str, Any]]) -> None:
    """A line names the model by the start of its digest."""
    line = logged(calls=[[]], path="/model_info")
    assert line["model"] == line["response"].json()["replies"][0]["digest"][:12]
    assert line["function"] == "model_info"


def test_registered_version_as_model() -> None:
    """A line names a registered model by its name and version, however long."""
    entry = RequestLog("POST", "/")
    entry.set_model(ModelInfo("gs://b/m", digest="a" * 64, version="california-houses/3"))
    assert json.loads(entry.line())["model"] == "california-houses/3"


SPAN = "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("headers", "trace", "span", "sampled"),
    [
        ({"x-cloud-trace-context": f"{TRACE}/123;o=1"}, TRACE, "000000000000007b", True),
        ({"x-cloud-trace-context": f"{TRACE}/18446744073709551615;o=0"}, TRACE, "f" * 16, False),
        ({"x-cloud-trace-context": f"{TRACE}/18446744073709551616;o=1"}, TRACE, None, True),
        ({"x-cloud-trace-context": f"{TRACE}/0"}, TRACE, None, None),
        ({"x-cloud-trace-context": f"{TRACE}/abc;o=1"}, TRACE, None, None),
        ({"x-cloud-trace-context": f"{TRACE.upper()};o=1"}, TRACE, None, True),
        ({"x-cloud-trace-context": TRACE}, TRACE, None, None),
        ({"x-cloud-trace-context": "../../other"}, None, None, None),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01"}, TRACE, SPAN, True),
        ({"traceparent": f"00-{TRACE}-{SPAN.upper()}-00"}, TRACE, SPAN, False),
        ({"traceparent": f"01-{TRACE}-{'0' * 16}-03-more"}, TRACE, None, True),
        ({"traceparent": f"00-{TRACE}-{SPAN}-zz"}, TRACE, SPAN, None),
        ({"traceparent": f"00-nonsense-{SPAN}-01"}, None, None, None),
        ({"traceparent": f"00-{'1' * 32}-{SPAN}-01", "x-cloud-trace-context": f"{TRACE}/1"}, TRACE, f"{1:016x}", None),
        ({}, None, None, None),
    ],
)
def test_identify(headers: Mapping[str, str], trace: str | None, span: str | None, sampled: bool | None) -> None:
    """Trace, span and sampling are those of Cloud Run's headers, in Cloud Logging's format; other values are ignored."""
    raw = {name.encode(): value.encode() for name, value in headers.items()}
    for project, prefix in (("my-project", "projects/my-project/traces/"), (None, "")):
        expected = {"trace": trace and prefix + trace, "spanId": span, "trace_sampled": sampled}
        found = {f"logging.googleapis.com/{key}": value for key, value in expected.items() if value is not None}
        assert identify(raw, project) == found


@pytest.mark.parametrize("calls", [[ROW], [["bad", 1, 1, 1]]], ids=["good", "bad"])
def test_identity_in_log_line(logged: Callable[..., dict[str, Any]], calls: Any) -> None:
    """A line has trace, span, sampling and execution id under the keys that Cloud Logging reads."""
    line = logged(calls=calls, headers={"traceparent": f"00-{TRACE}-{SPAN}-01", "function-execution-id": "e-1"})
    assert {key: value for key, value in line.items() if key.startswith("logging.googleapis.com/")} == {
        "logging.googleapis.com/labels": {"execution_id": "e-1"},
        "logging.googleapis.com/trace": TRACE,
        "logging.googleapis.com/spanId": SPAN,
        "logging.googleapis.com/trace_sampled": True,
    }


def test_generated_execution_id(logged: Callable[..., dict[str, Any]]) -> None:
    """A request without an execution id gets one of its own."""
    first, second = (logged(calls=[ROW])["logging.googleapis.com/labels"]["execution_id"] for _ in range(2))
    assert first != second


def test_bad_row(logged: Callable[..., dict[str, Any]]) -> None:
    """A bad row is a warning with the message that the caller got."""
    line = logged(calls=[ROW, ["many", 1, 1, 1]])
    assert (line["severity"], line["status"], line["error"]) == ("WARNING", 400, "BadRequest")
    assert line["message"] == line["response"].json()["errorMessage"]
    assert line["rows"] == 2
    assert "stack_trace" not in line


def test_no_values_in_log(logged: Callable[..., dict[str, Any]]) -> None:
    """A line contains no values of rows."""
    for call in ([271828.5, 1, 2, 3], [271828.5, 1, 2, "x"]):
        assert "271828" not in json.dumps({**logged(calls=[call]), "response": None})


def test_internal_error(logged: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug is an error with its stack trace."""
    monkeypatch.setattr("serving.contract.write", lambda *_: 1 / 0)
    line = logged(calls=[ROW])
    assert (line["severity"], line["status"], line["error"]) == ("ERROR", 500, "ZeroDivisionError")
    assert line["message"] == "ZeroDivisionError: division by zero"
    assert line["stack_trace"].startswith("Traceback")
    assert "handler.py" in line["stack_trace"]


def test_model_not_loaded(
    execution_id_logging: None, app: Callable[..., TestClient], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A model that can't be loaded is an error with its cause."""
    (tmp_path / "MLmodel").write_text('signature: {inputs: \'[{"type": "double"}]\'}\nflavors: {python_function: {}}')
    assert app(str(tmp_path), LOG_LEVEL="INFO").post("/", json={"calls": []}).status_code == 424
    line = json.loads(capfd.readouterr().out)
    assert (line["severity"], line["error"], line["cold"]) == ("ERROR", "ModelUnusable", True)
    assert line["cause"]
    assert "model" not in line


@pytest.mark.parametrize("level", ["ERROR", "CRITICAL"])
def test_log_level(
    execution_id_logging: None,
    app: Callable[..., TestClient],
    saved: Callable[[str], str],
    capfd: pytest.CaptureFixture[str],
    level: str,
) -> None:
    """Lines below LOG_LEVEL are not logged."""
    assert app(saved("tree_regressor"), LOG_LEVEL=level).post("/", json={"calls": [ROW]}).status_code == 200
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("text", ["\ud800", "🦆" * 100_000, "\x00\n\r\x1b", '"}{"'])
def test_one_line_of_json(text: str) -> None:
    """Whatever a request contains, its line is one line of JSON that Cloud Logging accepts."""
    entry = RequestLog("POST", text, request_id=text, job=text, user=text)
    try:
        raise ModelUnusable(text) from ValueError(text)
    except ModelUnusable as error:
        entry.fail(error, 500)
    entry.finish(0)
    line = entry.line()
    assert "\n" not in line
    assert len(line.encode()) < 256_000  # the limit of Cloud Logging
    assert json.loads(line)["error"] == "ModelUnusable"


def test_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage takes the time since the last mark; the times of a repeated stage add up."""
    seconds = iter([10.0, 11.0, 13.0, 17.0, 25.0])
    monkeypatch.setattr("serving.telemetry.time", SimpleNamespace(perf_counter=seconds.__next__))
    timer = Timer()
    for stage in ("predict", "encode", "predict"):
        timer.mark(stage)
    assert timer.stages == {"predict": 5.0, "encode": 2.0}
    assert timer.elapsed == 15.0


def test_failed_request_freed() -> None:
    """The memory of a failed request is freed at once, without the garbage collector."""

    class Body:
        pass

    def fail() -> "weakref.ref[Body]":
        body, entry = Body(), RequestLog("POST", "/")
        try:
            raise ValueError("bad")
        except ValueError as error:
            entry.fail(error, 500)
        return weakref.ref(body)

    gc.disable()
    try:
        assert fail()() is None
    finally:
        gc.enable()


def test_lines_written_together(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Requests that end in one round of the event loop are logged together after it."""

    async def run() -> str:
        writer = LogWriter(logging.WARNING)
        for status in (400, 200, 500):
            entry = RequestLog("POST", f"/{status}")
            if status != 200:
                entry.fail(ValueError("no"), status)
            writer.write(entry)
        before = capfd.readouterr().out
        await asyncio.sleep(0)
        return before

    assert asyncio.run(run()) == ""
    assert [json.loads(line)["path"] for line in capfd.readouterr().out.splitlines()] == ["/400", "/500"]
