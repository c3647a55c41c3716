"""Requests to remote functions over real HTTP: their content, their limits, and how arguments are converted."""

import re

import pandas as pd
import pytest

from bqlocal import BigQuery, QueryError
from tests.bqlocal.conftest import Create
from tests.endpoint import Endpoint


def test_request_fields(bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """A request contains what BigQuery documents and nothing else."""
    create("ds.f(a FLOAT64, b INT64)", options="max_batching_rows = 1")
    bigquery.load("ds.t", pd.DataFrame({"a": [1.0, None], "b": [1, 2]}))
    bigquery.sql("SELECT ds.f(a, b) FROM ds.t")
    first, second = endpoint.requests
    assert set(first) == {"requestId", "caller", "sessionUser", "calls"}
    assert re.fullmatch(r"//bigquery\.googleapis\.com/projects/local/jobs/local:US\.bquxjob_\w+", first["caller"])
    assert first["requestId"] != second["requestId"]
    assert first["caller"] == second["caller"]
    assert sorted(endpoint.calls, key=str) == [[1, 1], [None, 2]]


def test_caller_per_query(bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """Every query is a job with its own name."""
    create("ds.f()")
    bigquery.sql("SELECT ds.f()")
    bigquery.sql("SELECT ds.f()")
    first, second = endpoint.requests
    assert first["caller"] != second["caller"]


def test_user_defined_context(bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """A function's context is sent with every request."""
    create("ds.f(a INT64)", options="user_defined_context = [('function', 'predict'), ('k', 'é')]")
    bigquery.sql("SELECT ds.f(1)")
    assert endpoint.requests[0]["userDefinedContext"] == {"function": "predict", "k": "é"}


def test_row_size_limit(bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """A row whose arguments take more than 5 MB is an error, and is not sent."""
    create("ds.f(a STRING)")
    with pytest.raises(QueryError, match=r"arguments of a row .* take 5,000,005 bytes; BigQuery allows 5,000,000"):
        bigquery.sql("SELECT ds.f(REPEAT('é', 2500000) || 'x')")
    assert endpoint.requests == []
    bigquery.sql("SELECT ds.f(REPEAT('é', 2499998))")


def test_argument_coercion(bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """Arguments are converted where BigQuery does so without a CAST."""
    create("ds.f(a FLOAT64, b NUMERIC, c DATE, d TIMESTAMP, e DATETIME, f NUMERIC)")
    bigquery.sql("SELECT ds.f(1, 2, '2020-01-02', '2020-01-02 03:04:05+01', DATE '2020-01-02', 1.1)")
    assert endpoint.calls == [[1, 2, "2020-01-02", "2020-01-02T02:04:05Z", "2020-01-02T00:00:00", "1.1"]]


@pytest.mark.parametrize(
    ("declared", "given", "types"),
    [
        ("FLOAT64", "'a'", "STRING"),
        ("STRING", "1", "INT64"),
        ("INT64", "1.5", "FLOAT64"),
        ("BOOL", "1", "INT64"),
        ("JSON", "'{}'", "STRING"),
        ("STRING", "TO_JSON(1)", "JSON"),
        ("JSON", "STRUCT(1 AS a)", "STRUCT"),
        ("DATE", "TIMESTAMP '2020-01-01 00:00:00+00'", "TIMESTAMP"),
        ("TIMESTAMP", "DATETIME '2020-01-01 00:00:00'", "DATETIME"),
    ],
)
def test_argument_type_mismatch(
    declared: str, given: str, types: str, bigquery: BigQuery, endpoint: Endpoint, create: Create
) -> None:
    """An argument of another type is an error with its name, its position and both types, and is not sent."""
    create(f"ds.f(n INT64, a {declared})")
    with pytest.raises(
        QueryError,
        match=rf"^No matching signature for function local.ds.f: argument 2 \(a\) is {types}, not {declared}. "
        rf"CAST the values; supported signature: local.ds.f\(INT64, {declared}\)$",
    ):
        bigquery.sql(f"SELECT ds.f(1, {given})")
    assert endpoint.requests == []
