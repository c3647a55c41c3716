"""Requests to remote functions and what is made of the replies, over real HTTP."""

import json
import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from local.bigquery import BigQuery
from local.errors import QueryError, RemoteFunctionError

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
    assert endpoint.calls == [[1, 1], [None, 2]]


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


@pytest.mark.parametrize(("limit", "sizes"), [(0, [7]), (3, [3, 3, 1]), (7, [7]), (100, [7])])
def test_batches_hold_at_most_max_batching_rows(
    limit: int, sizes: list[int], bigquery: BigQuery, endpoint: Any, create: Create
) -> None:
    create("ds.f(a INT64)", options=f"max_batching_rows = {limit}")
    bigquery.load("ds.t", pd.DataFrame({"a": range(7)}))
    bigquery.sql("SELECT ds.f(a) FROM ds.t")
    assert [len(request["calls"]) for request in endpoint.requests] == sizes


def test_ten_thousand_rows_come_back_in_order(bigquery: BigQuery, endpoint: Any, create: Create) -> None:
    endpoint.answer = endpoint.echoing
    create("ds.f(a INT64)", options="max_batching_rows = 1000")
    bigquery.load("ds.t", pd.DataFrame({"a": range(10_000)}))
    result = bigquery.sql("SELECT a, ds.f(a) AS b FROM ds.t")
    assert result.table["b"].to_pylist() == list(range(10_000))
    assert result.table["a"] == result.table["b"]
    assert (result.calls.rows, result.calls.retries) == (10_000, 0)
    assert result.calls.requests == len(endpoint.requests)
    assert max(len(request["calls"]) for request in endpoint.requests) == 1000
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
    assert len({request["requestId"] for request in endpoint.requests}) == 1


def test_retries_end_after_twenty(bigquery: BigQuery, endpoint: Any, create: Create) -> None:
    endpoint.answer = lambda _: (503, '{"errorMessage": "the bucket is busy"}')
    create("ds.f(a INT64)")
    with pytest.raises(RemoteFunctionError, match=r"response code 503 .*: the bucket is busy$"):
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
        f"Received response code 400 from endpoint {endpoint.url} of remote function local.ds.f: "
        "row 0, column a: expected a FLOAT64"
    )


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
