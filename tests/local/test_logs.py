"""`python -m local logs` and the view sql/requests_by_job.sql: a row per query from the function's log."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from click.testing import CliRunner
from sqlglot import exp

from bqlocal.bigquery import BigQuery
from launch import prices
from launch.function import Function
from local import logs
from local.__main__ import main
from serving.telemetry import RequestLog

START = datetime(2026, 11, 23, 10, tzinfo=UTC)


def line(job: str, at: float = 0, took: float = 10, *, request: str = "r", status: int = 200, **fields: Any) -> str:
    """Return the function's line for a request that began after `at` and took `took` milliseconds."""
    entry = RequestLog("POST", "/", request_id=request, job=job, user="ann@example.com", status=status, **fields)
    entry.began, entry.total = START + timedelta(milliseconds=at), took / 1000
    return entry.line()


def exported(text: str, instance: str | None = None) -> dict[str, Any]:
    """Return a line as Cloud Logging stores it: fields that it does not know stay in jsonPayload."""
    payload = json.loads(text)
    entry = {"timestamp": payload.pop("time").replace("+00:00", "Z"), "severity": payload.pop("severity")}
    return {**entry, "labels": {"instanceId": instance} if instance else {}, "jsonPayload": payload}


def rolled(lines: list[str], vcpus: float = 1, gibs: float = 2) -> list[dict[str, Any]]:
    """Return the rows per query."""
    rows: list[dict[str, Any]] = logs.roll_up(logs.read(lines), vcpus, gibs).table.to_pylist()
    return rows


@pytest.mark.parametrize("execution_id", ["", "true"])
def test_real_log(saved: Callable[[str], str], tmp_path: Path, execution_id: str) -> None:
    """The log of a real function has a row per query, with the numbers that the caller counted."""
    log = tmp_path / "function.log"
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({"a": at if at % 10 else None}) + "\n" for at in range(100)))
    with (
        Function(saved("tree_regressor"), {"LOG_EXECUTION_ID": execution_id}, log=log) as function,
        BigQuery() as bigquery,
    ):
        bigquery.load("ds.t", tmp_path / "t.jsonl")
        bigquery.sql(
            "CREATE FUNCTION ds.predict(a FLOAT64, b FLOAT64, c FLOAT64, d FLOAT64) RETURNS FLOAT64 REMOTE WITH "
            f"CONNECTION local.us.c OPTIONS (endpoint = '{function.url}', max_batching_rows = 30)"
        )
        first = bigquery.sql("SELECT ds.predict(a, 1, 2, 3) AS p FROM ds.t").calls
        second = bigquery.sql("SELECT IF(a > 95, ds.predict(a, 1, 2, 3), 0) AS p FROM ds.t").calls
    printed = log.read_text().splitlines()
    rows = rolled(printed)
    assert [row["requests"] for row in rows] == [first.requests, second.requests]
    assert [row["row_count"] for row in rows] == [first.rows, second.rows]
    assert [row["null_rows"] for row in rows] == [10, 0]
    assert first.requests >= 4
    assert len({row["job"] for row in rows}) == 2
    for row, calls in zip(rows, (first, second), strict=True):
        assert (row["functions"], row["retries"], row["errors"]) == ("predict", 0, 0)
        assert row["user"]
        assert 0 < row["instance_seconds"] <= row["request_seconds"] + 0.001 <= calls.seconds + 0.002
    ours = [text for text in printed if '"job"' in text]
    array = json.dumps([exported(text) for text in ours], indent=2)
    assert rolled([json.dumps(exported(text)) for text in ours]) == rows  # as a sink writes them to a bucket
    assert rolled(array.splitlines(keepends=True)) == rows  # as gcloud prints them


@pytest.mark.parametrize(
    ("answers", "retries"),
    [
        ([("a", 200), ("b", 200)], 0),
        ([("a", 400)], 0),
        ([("a", 503), ("b", 200)], 1),  # a new id for the second try
        ([("a", 503), ("a", 200)], 1),  # the same id
        ([("a", 200), ("a", 200)], 1),  # sent again after an answer
        ([("a", 429), ("a", 500), ("a", 200), ("b", 200), ("c", 504)], 3),
    ],
)
def test_retries(answers: list[tuple[str, int]], retries: int) -> None:
    """A repeated request id counts as a retry, and so does the request after a retried status."""
    (row,) = rolled([line("p:US.job", request=request, status=status) for request, status in answers])
    assert (row["requests"], row["retries"]) == (len(answers), retries)
    assert row["errors"] == sum(status != 200 for _, status in answers)


def test_failed_requests() -> None:
    """Rows of failed requests are not counted as answered."""
    (row,) = rolled([line("j", rows=5, null_rows=1), line("j", rows=7, null_rows=2, status=400), line("j", status=503)])
    assert (row["row_count"], row["null_rows"]) == (5, 1)


def test_instance_seconds() -> None:
    """An instance costs the time in which it answers at least one request."""
    generator = random.Random(4)
    lines, paid = [], {}
    for job in map(str, range(40)):
        seconds = 0.0
        for instance in ("i-1", "i-2"):
            intervals = [
                (generator.randrange(300), generator.randrange(1, 80)) for _ in range(generator.randrange(1, 9))
            ]
            lines += [json.dumps(exported(line(job, at, took), instance)) for at, took in intervals]
            seconds += len({moment for at, took in intervals for moment in range(at, at + took)}) / 1000
        paid[job] = seconds
    rows = rolled(lines, vcpus=2, gibs=4)
    assert {row["job"]: row["instance_seconds"] for row in rows} == pytest.approx(paid)
    for row in rows:
        assert row["estimated_usd"] == pytest.approx(prices.usd(paid[row["job"]], row["requests"], 2, 4), abs=5e-7)


def test_constants_of_view() -> None:
    """The view has the prices of launch/prices.py and the size of a default deployment."""
    view = sqlglot.parse_one(logs.VIEW.read_text(), read="bigquery")
    constants = {alias.alias: float(alias.this.name) for alias in view.find_all(exp.Alias) if alias.this.is_number}
    assert constants == {
        "vcpu_second": prices.VCPU_SECOND,
        "gib_second": prices.GIB_SECOND,
        "request": prices.REQUEST,
        "vcpus": 1,
        "gibs": 2,
    }


def test_other_lines(tmp_path: Path) -> None:
    """Lines that belong to no query are counted on stderr."""
    page = RequestLog("GET", "/").line()
    (tmp_path / "log").write_text(
        "\n".join(["[2026-11-23] start", line("j"), "Traceback (most recent call last):", "", page, "{}", "5", "null"])
    )
    done = CliRunner().invoke(main, ["logs", str(tmp_path / "log"), "--format", "json"])
    assert done.exit_code == 0
    assert [row["job"] for row in json.loads(done.stdout)] == ["j"]
    assert done.stderr == "1 request of queries; ignored 4 other entries and 2 lines that are not JSON.\n"


@pytest.mark.parametrize("output_format", ["table", "csv"])
def test_standard_input(output_format: str) -> None:
    """A log can be read from stdin."""
    done = CliRunner().invoke(
        main, ["logs", "-", "--format", output_format, "--cpu", "2"], input=line("p:US.bquxjob_1")
    )
    assert done.exit_code == 0
    assert "p:US.bquxjob_1" in done.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no line of a query"),
        ("no JSON\n{}\n", "1 other entry and 1 line that is not JSON"),
        ('[{"jsonPayload": ', "incomplete or malformed"),
        ("[]", "gcloud logging read"),
    ],
)
def test_log_without_query(text: str, words: str) -> None:
    """A log without a request of a query is an error that says what was expected."""
    done = CliRunner().invoke(main, ["logs", "-"], input=text)
    assert done.exit_code == 1
    assert words in done.stderr
    assert "Traceback" not in done.output
