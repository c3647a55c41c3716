"""How rows are dealt out to requests: batch sizes, concurrency, retries and chaos."""

import threading
from typing import Any

import pandas as pd
import pytest

from bqlocal import BigQuery, RemoteFunctionError
from tests.bqlocal.conftest import Create
from tests.endpoint import Endpoint


@pytest.mark.parametrize(("limit", "fewest"), [(0, 1), (1, 7), (3, 3), (100, 1)])
def test_max_batching_rows(limit: int, fewest: int, bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """No request has more rows than max_batching_rows."""
    create("ds.f(a INT64)", options=f"max_batching_rows = {limit}")
    bigquery.load("ds.t", pd.DataFrame({"a": range(7)}))
    bigquery.sql("SELECT ds.f(a) FROM ds.t")
    sizes = [len(request["calls"]) for request in endpoint.requests]
    assert sum(sizes) == 7
    assert max(sizes) <= (limit or 7)
    assert len(sizes) >= fewest


def test_large_batches(bigquery: BigQuery, create: Create) -> None:
    """Requests may have more rows than DuckDB's vectors of 2,048."""
    create("ds.f(a INT64)", options="max_batching_rows = 9000")
    bigquery.load("ds.t", pd.DataFrame({"a": range(20_000)}))
    assert bigquery.sql("SELECT ds.f(a) FROM ds.t").calls.largest > 4500


def test_order_and_statistics(bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """Ten thousand values come back in the order of their rows, and the statistics describe the requests."""
    endpoint.answer = endpoint.echoing
    create("ds.f(a INT64)", options="max_batching_rows = 1000")
    bigquery.load("ds.t", pd.DataFrame({"a": range(10_000)}))
    result = bigquery.sql("SELECT a, ds.f(a) AS b FROM ds.t")
    assert result.table["b"].to_pylist() == list(range(10_000))
    assert result.table["a"] == result.table["b"]
    assert (result.calls.rows, result.calls.retries) == (10_000, 0)
    assert result.calls.requests == len(endpoint.requests)
    sizes = {len(request["calls"]) for request in endpoint.requests}
    assert max(sizes) <= 1000
    assert len(sizes) > 3
    assert (result.calls.smallest, result.calls.largest) == (min(sizes), max(sizes))
    assert result.calls.bytes_sent > 10_000
    assert result.calls.seconds > 0


def test_concurrent_requests(bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """Four requests are sent at the same time."""
    together = threading.Barrier(4)

    def answer(body: dict[str, Any]) -> tuple[int, str]:
        together.wait(60)
        return endpoint.counting(body)

    endpoint.answer = answer
    create("ds.f(a INT64)", options="max_batching_rows = 1")
    assert bigquery.sql("SELECT SUM(ds.f(x)) AS n FROM UNNEST(GENERATE_ARRAY(1, 8)) AS x").table["n"].to_pylist() == [8]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT CASE WHEN a > 5 THEN ds.f(a) ELSE 0 END FROM ds.t", 4),
        ("SELECT IF(a > 5, 0, ds.f(a)) FROM ds.t", 6),
        ("SELECT COALESCE(ds.f(a), 0) FROM ds.t", 10),
        ("SELECT IFNULL(NULL, ds.f(a)) FROM ds.t", 10),
        ("SELECT 1 + NULLIF(ds.f(a), 1) FROM ds.t", 10),
        ("SELECT CASE ds.f(a) WHEN 1 THEN 'x' WHEN 2 THEN 'y' END FROM ds.t", 10),
        ("SELECT SUM(IF(a > 7, ds.f(a), 0)) OVER (ORDER BY a) FROM ds.t", 2),
        (
            "MERGE ds.t AS t USING (SELECT x FROM UNNEST([1, 2, 30, 40]) AS x) AS s ON t.a = s.x "
            "WHEN NOT MATCHED THEN INSERT (a) VALUES (ds.f(s.x))",
            2,
        ),
    ],
)
def test_one_row_per_request(query: str, rows: int, bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """Where an expression may skip rows, a request has one row, and skipped rows are not sent."""
    create("ds.f(a INT64)")
    bigquery.load("ds.t", pd.DataFrame({"a": range(10)}))
    bigquery.sql(query)
    assert {len(request["calls"]) for request in endpoint.requests} == {1}
    assert len({call[0] for call in endpoint.calls}) == rows


def test_chaos(endpoint: Endpoint) -> None:
    """With a seed the requests are duplicated, retried and out of order; the result is the same."""
    endpoint.answer = endpoint.echoing
    with BigQuery(chaos=3) as bigquery:
        bigquery.load("ds.t", pd.DataFrame({"a": range(5000)}))
        bigquery.sql(
            "CREATE FUNCTION ds.f(a INT64) RETURNS INT64 REMOTE WITH CONNECTION local.us.c "
            f"OPTIONS (endpoint = '{endpoint.url}', max_batching_rows = 200)"
        )
        result = bigquery.sql("SELECT a, ds.f(a) AS b FROM ds.t ORDER BY a")
    assert result.table["a"] == result.table["b"]
    sent = [call[0] for call in endpoint.calls]
    assert set(sent) == set(range(5000))
    assert len(sent) > 6000  # delivered twice, retried after a reply
    assert sent != sorted(sent)  # out of order
    assert result.calls.smallest < 50
    assert result.calls.retries > 0


@pytest.mark.parametrize("status", [408, 429, 500, 503, 504])
def test_retried_statuses(status: int, bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """These statuses are retried, each time with a new requestId."""

    def answer(body: dict[str, Any]) -> tuple[int, str]:
        return (status, "busy") if len(endpoint.requests) < 4 else endpoint.counting(body)

    endpoint.answer = answer
    create("ds.f(a INT64)")
    result = bigquery.sql("SELECT ds.f(1)")
    assert result.table["f0_"].to_pylist() == [1]
    assert (result.calls.requests, result.calls.retries) == (1, 3)
    assert len({request["requestId"] for request in endpoint.requests}) == 4


def test_retry_limit(bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """After twenty retries the query fails with the last response."""
    endpoint.answer = lambda _: (503, '{"errorMessage": "the bucket is busy"}')
    create("ds.f(a INT64)")
    with pytest.raises(RemoteFunctionError, match=r"response code 503 .*the bucket is busy"):
        bigquery.sql("SELECT ds.f(1)")
    assert len(endpoint.requests) == 21


@pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 403, 404, 413, 424, 501, 502])
def test_other_statuses(status: int, bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """Any other status fails the query at once."""
    endpoint.answer = lambda _: (status, "" if status == 204 else '{"errorMessage": "row 0: no"}')
    create("ds.f(a INT64)")
    with pytest.raises(RemoteFunctionError, match=rf"^Received response code {status} from endpoint http"):
        bigquery.sql("SELECT ds.f(1)")
    assert len(endpoint.requests) == 1


def test_unreachable_endpoint(bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """An endpoint that nothing listens on fails the query at once."""
    create("ds.f(a INT64)")
    endpoint.close()
    with pytest.raises(RemoteFunctionError, match=rf"^Failed to call the endpoint {endpoint.url} .*check that"):
        bigquery.sql("SELECT ds.f(1)")
