"""One line per request: it tells what happened, how long each stage took and what failed, and no row's values."""

import asyncio
import gc
import json
import logging
import time
import weakref
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.errors import ModelUnusable
from serving.model import ModelInfo
from serving.telemetry import LogWriter, RequestLog, Timer, trace_of

CALLER = "//bigquery.googleapis.com/projects/p/jobs/p:US.bquxjob_17"
ROW = [0.5, -0.25, 1, 2]
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def logged(
    app: Callable[..., TestClient], saved: Callable[[str], str], capfd: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """Return what one request to one running function leaves in its log."""
    clients: list[TestClient] = []  # started within the test, where its output is captured

    def lines(method: str = "POST", path: str = "/", headers: Mapping[str, str] | None = None, **fields: Any) -> Any:
        body = {"requestId": "r-1", "caller": CALLER, "sessionUser": "ann@example.com", **fields}
        content = json.dumps(body).encode() if method == "POST" else None
        if not clients:
            clients.append(app(saved("tree_regressor"), LOG_LEVEL="INFO"))
        response = clients[0].request(method, path, content=content, headers=headers)
        (line,) = (line for line in capfd.readouterr().out.splitlines() if '"method":' in line)
        return {"response": response, "length": len(content or b""), **json.loads(line)}

    return lines


def test_a_line_tells_who_asked_for_what_and_what_it_cost(logged: Callable[..., dict[str, Any]]) -> None:
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


def test_the_model_is_named_by_its_digest_as_model_info_has_it(logged: Callable[..., dict[str, Any]]) -> None:
    line = logged(calls=[[]], path="/model_info")
    assert line["model"] == line["response"].json()["replies"][0]["digest"][:12]
    assert line["function"] == "model_info"


def test_a_registered_version_is_named_instead_of_the_digest() -> None:
    entry = RequestLog("POST", "/")
    entry.set_model(ModelInfo("gs://b/m", digest="a" * 64, version="3"))
    assert json.loads(entry.line())["model"] == "3"


@pytest.mark.parametrize(
    ("headers", "project", "trace"),
    [
        ({"x-cloud-trace-context": f"{TRACE}/123;o=1"}, "my-project", f"projects/my-project/traces/{TRACE}"),
        ({"x-cloud-trace-context": TRACE}, None, TRACE),
        ({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, "my-project", f"projects/my-project/traces/{TRACE}"),
        ({"traceparent": "00-nonsense-b7ad6b7169203331-01"}, "my-project", None),
        ({"x-cloud-trace-context": "../../other"}, "my-project", None),
        ({}, "my-project", None),
    ],
)
def test_the_trace_is_the_one_that_cloud_run_opened(
    headers: Mapping[str, str], project: str | None, trace: str | None
) -> None:
    assert trace_of(headers, project) == trace


def test_the_trace_stands_where_cloud_logging_looks_for_it(logged: Callable[..., dict[str, Any]]) -> None:
    line = logged(calls=[ROW], headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})
    assert line["logging.googleapis.com/trace"] == TRACE


def test_a_bad_row_is_a_warning_with_the_sentence_that_the_caller_got(logged: Callable[..., dict[str, Any]]) -> None:
    line = logged(calls=[ROW, ["many", 1, 1, 1]])
    assert (line["severity"], line["status"], line["error"]) == ("WARNING", 400, "BadRequest")
    assert line["message"] == line["response"].json()["errorMessage"]
    assert line["rows"] == 2
    assert "stack_trace" not in line


def test_the_values_of_rows_stay_out_of_the_log(logged: Callable[..., dict[str, Any]]) -> None:
    for call in ([271828.5, 1, 2, 3], [271828.5, 1, 2, "x"]):
        assert "271828" not in json.dumps({**logged(calls=[call]), "response": None})


def test_our_own_fault_has_its_trace_in_the_log_alone(
    logged: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.contract.write", lambda _: 1 / 0)
    line = logged(calls=[ROW])
    assert (line["severity"], line["status"], line["error"]) == ("ERROR", 500, "ZeroDivisionError")
    assert line["message"] == "ZeroDivisionError: division by zero"
    assert line["stack_trace"].startswith("Traceback")
    assert "handler.py" in line["stack_trace"]


def test_a_model_that_cannot_be_loaded_is_an_error_with_its_cause(
    app: Callable[..., TestClient], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "MLmodel").write_text('signature: {inputs: \'[{"type": "double"}]\'}\nflavors: {python_function: {}}')
    assert app(str(tmp_path), LOG_LEVEL="INFO").post("/", json={"calls": []}).status_code == 424
    line = json.loads(capfd.readouterr().out)
    assert (line["severity"], line["error"], line["cold"]) == ("ERROR", "ModelUnusable", True)
    assert line["cause"]
    assert "model" not in line


@pytest.mark.parametrize("level", ["ERROR", "CRITICAL"])
def test_the_log_level_keeps_lines_back(
    app: Callable[..., TestClient], saved: Callable[[str], str], capfd: pytest.CaptureFixture[str], level: str
) -> None:
    assert app(saved("tree_regressor"), LOG_LEVEL=level).post("/", json={"calls": [ROW]}).status_code == 200
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("text", ["\ud800", "🦆" * 100_000, "\x00\n\r\x1b", '"}{"'])
def test_whatever_a_request_says_the_line_is_one_line_of_json(text: str) -> None:
    entry = RequestLog("POST", text, request_id=text, job=text, user=text)
    try:
        raise ModelUnusable(text) from ValueError(text)
    except ModelUnusable as error:
        entry.fail(error, 500)
    entry.finish(0)
    line = entry.line()
    assert "\n" not in line
    assert len(line.encode()) < 256_000  # what Cloud Logging takes
    assert json.loads(line)["error"] == "ModelUnusable"


def test_laps_of_one_stage_add_up_to_the_time_that_passed() -> None:
    started = time.perf_counter()
    timer = Timer()
    for stage in ("predict", "encode", "predict"):
        time.sleep(0.002)
        timer.mark(stage)
    assert timer.stages["predict"] >= 0.004
    assert sum(timer.stages.values()) <= timer.elapsed <= time.perf_counter() - started


def test_a_failed_request_leaves_nothing_behind_that_only_the_collector_of_cycles_would_find() -> None:
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


def test_the_lines_of_requests_that_end_in_one_round_of_the_loop_go_out_together_after_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
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
