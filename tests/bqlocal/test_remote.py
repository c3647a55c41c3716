"""Requests to remote functions and what is made of the replies, over real HTTP."""

import json
import re
import threading
from collections.abc import Callable
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from bqlocal.bigquery import BigQuery
from bqlocal.errors import QueryError, RemoteFunctionError

Create = Callable[..., None]


def test_a_request_holds_what_bigquery_documents(bigquery: BigQuery, endpoint: Any, create: Create) -> None:
    create("ds.f(a FLOAT64, b INT64)", options="max_batching_rows = 1")
    bigquery.load("ds.t", pd.DataFrame({"a": [1.0, None], "b": [1, 2]}))
    bigquery.sql("SELECT ds.f(a, b) FROM ds.t")
    first, second = endpoint.requests
    assert set(first) == {"requestId", "caller", "sessionUser", "calls"}
    assert re.fullmatch(r"//bigquery\.googleapis\.com/projects/local/jobs/local:US\.bquxjob_\w+", first["caller"])
    assert first["requestId"] != second["requestId"]
    assert first["caller"] == second["caller"]
    assert sorted(endpoint.calls, key=str) == [[1, 1], [None, 2]]


def test_every_query_is_a_job_of_its_own(bigquery: BigQuery, endpoint: Any, create: Create) -> None:
    create("ds.f()")
    bigquery.sql("SELECT ds.f()")
    bigquery.sql("SELECT ds.f()")
    first, second = endpoint.requests
    assert first["caller"] != second["caller"]


def test_the_context_is_sent_when_there_is_one(bigquery: BigQuery, endpoint: Any, create: Create) -> None:
    create("ds.f(a INT64)", options="user_defined_context = [('function', 'predict'), ('k', 'é')]")
    bigquery.sql("SELECT ds.f(1)")
    assert endpoint.requests[0]["userDefinedContext"] == {"function": "predict", "k": "é"}


@pytest.mark.parametrize(("limit", "fewest"), [(0, 1), (1, 7), (3, 3), (100, 1)])
def test_batches_hold_at_most_max_batching_rows(
    limit: int, fewest: int, bigquery: BigQuery, endpoint: Any, create: Create
) -> None:
    create("ds.f(a INT64)", options=f"max_batching_rows = {limit}")
    bigquery.load("ds.t", pd.DataFrame({"a": range(7)}))
    bigquery.sql("SELECT ds.f(a) FROM ds.t")
    sizes = [len(request["calls"]) for request in endpoint.requests]
    assert sum(sizes) == 7
    assert max(sizes) <= (limit or 7)
    assert len(sizes) >= fewest


def test_ten_thousand_rows_come_back_in_order(bigquery: BigQuery, endpoint: Any, create: Create) -> None:
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


@pytest.mark.parametrize("status", [408, 429, 500, 503, 504])
def test_these_statuses_are_tried_again(status: int, bigquery: BigQuery, endpoint: Any, create: Create) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, str]:
        return (status, "busy") if len(endpoint.requests) < 4 else endpoint.counting(body)

    endpoint.answer = answer
    create("ds.f(a INT64)")
    result = bigquery.sql("SELECT ds.f(1)")
    assert result.table["f0_"].to_pylist() == [1]
    assert (result.calls.requests, result.calls.retries) == (1, 3)
    assert len({request["requestId"] for request in endpoint.requests}) == 4


def test_retries_end_after_twenty(bigquery: BigQuery, endpoint: Any, create: Create) -> None:
    endpoint.answer = lambda _: (503, '{"errorMessage": "the bucket is busy"}')
    create("ds.f(a INT64)")
    with pytest.raises(RemoteFunctionError, match=r"response code 503 .*the bucket is busy"):
        bigquery.sql("SELECT ds.f(1)")
    assert len(endpoint.requests) == 21


@pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 403, 404, 413, 424, 501, 502])
def test_other_statuses_fail_at_once(status: int, bigquery: BigQuery, endpoint: Any, create: Create) -> None:
    endpoint.answer = lambda _: (status, "" if status == 204 else '{"errorMessage": "row 0: no"}')
    create("ds.f(a INT64)")
    with pytest.raises(RemoteFunctionError, match=rf"^Received response code {status} from endpoint http"):
        bigquery.sql("SELECT ds.f(1)")
    assert len(endpoint.requests) == 1


def test_a_failure_shows_the_functions_message(bigquery: BigQuery, endpoint: Any, create: Create) -> None:
    endpoint.answer = lambda _: (400, '{"errorMessage": "row 0, column a: expected a FLOAT64"}')
    create("ds.f(a INT64)")
    with pytest.raises(RemoteFunctionError) as failure:
        bigquery.sql("SELECT ds.f(1)")
    assert failure.value.message == (
        f"Received response code 400 from endpoint {endpoint.url} with response "
        '{"errorMessage": "row 0, column a: expected a FLOAT64"}'
    )


def test_more_than_a_kilobyte_of_a_failure_is_cut(bigquery: BigQuery, endpoint: Any, create: Create) -> None:
    endpoint.answer = lambda _: (400, json.dumps({"errorMessage": "x" * 5000}))
    create("ds.f(a INT64)")
    with pytest.raises(RemoteFunctionError, match=r"xxx \(cut after 1 KB, as BigQuery asks for less\)$") as failure:
        bigquery.sql("SELECT ds.f(1)")
    assert len(failure.value.message) < 1300


def test_a_row_of_more_than_5_mb_is_refused(bigquery: BigQuery, endpoint: Any, create: Create) -> None:
    create("ds.f(a STRING)")
    with pytest.raises(QueryError, match=r"arguments of a row .* take 5,000,005 bytes; BigQuery allows 5,000,000"):
        bigquery.sql("SELECT ds.f(REPEAT('é', 2500000) || 'x')")
    assert endpoint.requests == []
    bigquery.sql("SELECT ds.f(REPEAT('é', 2499998))")


def test_a_reply_of_more_than_15_mb_is_refused(bigquery: BigQuery, endpoint: Any, create: Create) -> None:
    endpoint.answer = lambda body: (200, json.dumps({"replies": ["x" * 15_000_000]}))
    create("ds.f()", "STRING")
    with pytest.raises(RemoteFunctionError, match=r"it has 15,000,017 bytes for 1 calls, .* max_batching_rows"):
        bigquery.sql("SELECT ds.f()")


def test_requests_run_beside_each_other(bigquery: BigQuery, endpoint: Any, create: Create) -> None:
    together = threading.Barrier(4)  # opens when four requests are there at the same time

    def answer(body: dict[str, Any]) -> tuple[int, str]:
        together.wait(10)
        return endpoint.counting(body)

    endpoint.answer = answer
    create("ds.f(a INT64)", options="max_batching_rows = 1")
    assert bigquery.sql("SELECT SUM(ds.f(x)) AS n FROM UNNEST(GENERATE_ARRAY(1, 8)) AS x").table["n"].to_pylist() == [8]


def test_max_batching_rows_may_be_larger_than_duckdbs_vectors(
    bigquery: BigQuery, endpoint: Any, create: Create
) -> None:
    create("ds.f(a INT64)", options="max_batching_rows = 9000")
    bigquery.load("ds.t", pd.DataFrame({"a": range(20_000)}))
    assert bigquery.sql("SELECT ds.f(a) FROM ds.t").calls.largest > 4500


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
def test_where_rows_may_be_skipped_a_request_has_one_row(
    query: str, rows: int, bigquery: BigQuery, endpoint: Any, create: Create
) -> None:
    create("ds.f(a INT64)")
    bigquery.load("ds.t", pd.DataFrame({"a": range(10)}))
    bigquery.sql(query)
    assert {len(request["calls"]) for request in endpoint.requests} == {1}
    assert len({call[0] for call in endpoint.calls}) == rows


def test_an_adverse_caller_changes_the_requests_and_not_the_result(endpoint: Any) -> None:
    endpoint.answer = endpoint.echoing
    with BigQuery(adverse=3) as bigquery:
        bigquery.load("ds.t", pd.DataFrame({"a": range(5000)}))
        bigquery.sql(
            "CREATE FUNCTION ds.f(a INT64) RETURNS INT64 REMOTE WITH CONNECTION local.us.c "
            f"OPTIONS (endpoint = '{endpoint.url}', max_batching_rows = 200)"
        )
        result = bigquery.sql("SELECT a, ds.f(a) AS b FROM ds.t ORDER BY a")
    assert result.table["a"] == result.table["b"]
    sent = [call[0] for call in endpoint.calls]
    assert set(sent) == set(range(5000))
    assert len(sent) > 6000  # delivered twice, asked again
    assert sent != sorted(sent)  # out of order
    assert result.calls.smallest < 50
    assert result.calls.retries > 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<html>", "it is no JSON"),
        ('{"replies": [NaN]}', "it is no JSON (NaN is no JSON)"),
        ("[1]", "it has no array 'replies'"),
        ('{"answers": [1]}', "it has no array 'replies'"),
        ('{"replies": {"0": 1}}', "it has no array 'replies'"),
        ('{"replies": []}', "it has 0 replies for 1 calls"),
        ('{"replies": [1, 2]}', "it has 2 replies for 1 calls"),
    ],
)
def test_a_reply_of_the_wrong_shape_is_an_error(
    text: str, said: str, bigquery: BigQuery, endpoint: Any, create: Create
) -> None:
    endpoint.answer = lambda _: (200, text)
    create("ds.f(a INT64)")
    with pytest.raises(RemoteFunctionError, match=rf"^Invalid response from .*{re.escape(said)}"):
        bigquery.sql("SELECT ds.f(1)")


@pytest.mark.parametrize(
    ("returns", "replies"),
    [
        ("BOOL", ["1", '"true"']),
        ("INT64", ["1.5", "1.0", '"1.0"', '"a"', "true", "9223372036854775808", "[1]"]),
        ("FLOAT64", ['"1"', '"nan"', "true", "{}"]),
        ("NUMERIC", ['"x"', '"NaN"', "true", '"100000000000000000000000000000"']),
        ("BIGNUMERIC", ['"Infinity"', '"1e30"']),
        ("STRING", ["1", "true", "[]"]),
        ("BYTES", ["1", '"not base64!"']),
        ("DATE", ['"2020-13-01"', '"2020-01-01T00:00:00"', "20200101"]),
        ("DATETIME", ['"2020-01-01"', '"2020-01-01T00:00:00Z"', '"2020-01-01T25:00:00"']),
        ("TIMESTAMP", ['"2020-01-01T00:00:00"', "1577836800"]),
        ("TIME", ['"12"', '"12:00"', '"25:00:00"']),
    ],
)
def test_a_reply_of_the_wrong_type_is_an_error(
    returns: str, replies: list[str], bigquery: BigQuery, endpoint: Any, create: Create
) -> None:
    create("ds.f(a INT64)", returns)
    for reply in replies:
        endpoint.answer = lambda _, reply=reply: (200, f'{{"replies": [null, {reply}]}}')
        with pytest.raises(RemoteFunctionError, match=rf"reply 1 is .*, which is no {returns}$"):
            bigquery.sql("SELECT ds.f(x) FROM UNNEST([1, 2]) AS x")


@pytest.mark.parametrize(
    ("returns", "reply", "value"),
    [
        ("FLOAT64", "1", 1.0),
        ("FLOAT64", '"Infinity"', float("inf")),
        ("INT64", '"9223372036854775807"', 2**63 - 1),
        ("NUMERIC", "1.1", 1.1),
        ("JSON", '{"b": 1, "a": [1.5, "NaN", null]}', '{"a":[1.5,"NaN",null],"b":1}'),
    ],
)
def test_a_reply_has_the_declared_type(
    returns: str, reply: str, value: Any, bigquery: BigQuery, endpoint: Any, create: Create
) -> None:
    endpoint.answer = lambda _: (200, f'{{"replies": [{reply}]}}')
    create("ds.f()", returns)
    result = bigquery.sql("SELECT ds.f() AS x").table["x"][0].as_py()
    assert json.dumps(result, default=float) == json.dumps(value)


def test_an_endpoint_that_nobody_listens_on_fails_at_once(bigquery: BigQuery, endpoint: Any, create: Create) -> None:
    create("ds.f(a INT64)")
    endpoint.close()
    with pytest.raises(RemoteFunctionError, match=rf"^Failed to call the endpoint {endpoint.url} .*check that"):
        bigquery.sql("SELECT ds.f(1)")


def test_arguments_are_coerced_as_bigquery_does(bigquery: BigQuery, endpoint: Any, create: Create) -> None:
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
def test_other_types_match_no_signature(
    declared: str, given: str, types: str, bigquery: BigQuery, endpoint: Any, create: Create
) -> None:
    create(f"ds.f(a {declared})")
    with pytest.raises(
        QueryError,
        match=rf"^No matching signature for function local.ds.f for argument types: {types}. "
        rf"Supported signature: local.ds.f\({declared}\)$",
    ):
        bigquery.sql(f"SELECT ds.f({given})")
    assert endpoint.requests == []


def test_types_of_loaded_tables_reach_the_function(bigquery: BigQuery, endpoint: Any, create: Create) -> None:
    table = pa.table(
        {
            "i": pa.array([1], pa.int8()),
            "u": pa.array([2**40], pa.uint64()),
            "f": pa.array([0.5], pa.float32()),
            "s": pa.array(["x"]).dictionary_encode(),
            "t": pa.array([1_500_000_000], pa.timestamp("ns")),
        }
    )
    create("ds.f(i INT64, u INT64, f FLOAT64, s STRING, t DATETIME)")
    bigquery.load("ds.t", table)
    bigquery.sql("SELECT ds.f(i, u, f, s, t) FROM ds.t")
    assert endpoint.calls == [[1, 2**40, 0.5, "x", "1970-01-01T00:00:01.500"]]
