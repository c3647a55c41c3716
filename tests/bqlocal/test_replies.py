"""Responses of remote functions: the errors they cause, and the values they become."""

import json
import re
from typing import Any

import pytest

from bqlocal import BigQuery, RemoteFunctionError
from tests.bqlocal.conftest import Create
from tests.endpoint import Endpoint


def test_error_message(bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """A failed query shows the function's own message."""
    endpoint.answer = lambda _: (400, '{"errorMessage": "row 0, column a: expected a FLOAT64"}')
    create("ds.f(a INT64)")
    with pytest.raises(RemoteFunctionError) as failure:
        bigquery.sql("SELECT ds.f(1)")
    assert failure.value.message == (
        f"Received response code 400 from endpoint {endpoint.url} with response "
        '{"errorMessage": "row 0, column a: expected a FLOAT64"}'
    )


def test_long_error_message(bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """A message of more than 1 KB is cut, and says so."""
    endpoint.answer = lambda _: (400, json.dumps({"errorMessage": "x" * 5000}))
    create("ds.f(a INT64)")
    with pytest.raises(RemoteFunctionError, match=r"xxx \(cut after 1 KB, BigQuery's limit\)$") as failure:
        bigquery.sql("SELECT ds.f(1)")
    assert len(failure.value.message) < 1300


def test_reply_size_limit(bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """A reply of more than 15 MB is an error that suggests smaller batches."""
    endpoint.answer = lambda body: (200, json.dumps({"replies": ["x" * 15_000_000]}))
    create("ds.f()", "STRING")
    with pytest.raises(RemoteFunctionError, match=r"it has 15,000,017 bytes for 1 call; .* max_batching_rows"):
        bigquery.sql("SELECT ds.f()")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html>", "it is not JSON"),
        ('{"replies": [NaN]}', "it is not JSON (NaN is not JSON)"),
        ("[1]", "it has no array 'replies'"),
        ('{"answers": [1]}', "it has no array 'replies'"),
        ('{"replies": {"0": 1}}', "it has no array 'replies'"),
        ('{"replies": []}', "it has 0 replies for 1 call"),
        ('{"replies": [1, 2]}', "it has 2 replies for 1 call"),
    ],
)
def test_invalid_shape(text: str, message: str, bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """A 200 without one reply per call is an error."""
    endpoint.answer = lambda _: (200, text)
    create("ds.f(a INT64)")
    with pytest.raises(RemoteFunctionError, match=rf"^Invalid response from .*{re.escape(message)}"):
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
def test_invalid_type(returns: str, replies: list[str], bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """A reply that is not exactly of the declared type is an error that names it."""
    create("ds.f(a INT64)", returns)
    for reply in replies:
        endpoint.answer = lambda _, reply=reply: (200, f'{{"replies": [null, {reply}]}}')
        with pytest.raises(RemoteFunctionError, match=rf"reply 1 is .*, which is not a valid {returns}$"):
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
def test_valid_reply(
    returns: str, reply: str, value: Any, bigquery: BigQuery, endpoint: Endpoint, create: Create
) -> None:
    """A reply becomes a value of the declared type."""
    endpoint.answer = lambda _: (200, f'{{"replies": [{reply}]}}')
    create("ds.f()", returns)
    result = bigquery.sql("SELECT ds.f() AS x").table["x"][0].as_py()
    assert json.dumps(result, default=float) == json.dumps(value)
