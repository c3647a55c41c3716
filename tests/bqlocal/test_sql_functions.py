"""SQL functions: their expressions stand in place of their calls, and an argument is computed once."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bqlocal import BigQuery, NotSupportedError, QueryError
from tests.endpoint import Endpoint

EXPLAINED = """
CREATE FUNCTION ds.reply(a INT64) RETURNS JSON REMOTE WITH CONNECTION local.us.c
OPTIONS (endpoint = '{url}', max_batching_rows = 1000);
CREATE FUNCTION ds.parts(reply JSON) RETURNS STRUCT<value FLOAT64, error STRING> AS (
  STRUCT(CAST(JSON_VALUE(reply, '$.value') AS FLOAT64) AS value, JSON_VALUE(reply, '$.error') AS error)
);
CREATE FUNCTION ds.explained(a INT64) RETURNS STRUCT<value FLOAT64, error STRING> AS (
  `local`.ds.parts(`local`.ds.reply(a))
);
"""


def odd_numbers(body: dict[str, Any]) -> tuple[int, str]:
    """Reply with half of an even number, and with an error to an odd one."""
    replies = [
        {"value": None if a % 2 else a / 2, "error": f"{a % 4} is odd" if a % 2 else None} for (a,) in body["calls"]
    ]
    return 200, json.dumps({"replies": replies})


@pytest.fixture
def explained(bigquery: BigQuery, endpoint: Endpoint) -> BigQuery:
    """Return BigQuery with 10,000 rows and a function that explains every second one."""
    endpoint.answer = odd_numbers
    bigquery.sql(EXPLAINED.format(url=endpoint.url))
    bigquery.load("ds.numbers", pd.DataFrame({"a": range(10_000)}))
    return bigquery


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT a, ds.explained(a) AS r FROM ds.numbers", {"a": 3, "r": {"value": None, "error": "3 is odd"}}),
        ("SELECT ds.explained(a).value, ds.explained(2) AS two FROM ds.numbers", {"value": None, "two": {"value": 1.0, "error": None}}),
        ("SELECT a, r.value, r.error FROM (SELECT a, ds.explained(a) AS r FROM ds.numbers)", {"a": 3, "value": None, "error": "3 is odd"}),
        ("SELECT DISTINCT a, ds.parts(ds.reply(a)).error FROM ds.numbers ORDER BY a", {"a": 3, "error": "3 is odd"}),
    ],
)  # fmt: skip
def test_row_is_sent_once(query: str, expected: dict[str, Any], explained: BigQuery, endpoint: Endpoint) -> None:
    """The remote function gets each row of a query once, in batches, though its reply is used twice."""
    result = explained.sql(query)
    calls = query.count("explained(a)") + query.count("reply(a)")
    assert result.table.to_pylist()[3] == expected
    sent = [len(request["calls"]) for request in endpoint.requests]
    assert sum(count for count in sent if count > 1) >= 10_000 * calls
    assert sum(sent) <= 10_000 * (calls + query.count("explained(2)"))
    if "explained(2)" not in query:
        assert len(sent) <= 20


def test_reasons_are_grouped(explained: BigQuery) -> None:
    """WHERE and GROUP BY find the rows that have an error."""
    query = "WITH scored AS (SELECT ds.explained(a) AS r FROM ds.numbers) "
    found = explained.sql(
        f"{query} SELECT r.error AS e, COUNT(*) AS n FROM scored WHERE r.error IS NOT NULL GROUP BY e"
    )
    assert sorted(found.table.to_pylist(), key=lambda row: row["e"]) == [
        {"e": "1 is odd", "n": 2_500},
        {"e": "3 is odd", "n": 2_500},
    ]


def test_arguments(bigquery: BigQuery) -> None:
    """An argument that is used several times, once or never is what the call has in its place."""
    bigquery.sql("CREATE FUNCTION ds.f(x INT64, y INT64, z INT64) AS (x * X + y)")
    assert bigquery.sql("SELECT ds.f(1 + 2, 4, 0) AS a, ds.f(ds.f(1, 1, 1), 1, 1) AS b").table.to_pylist() == [
        {"a": 13, "b": 5}
    ]
    with pytest.raises(QueryError, match=r"function local\.ds\.f: it takes 3, not 1"):
        bigquery.sql("SELECT ds.f(1)")


def test_create_replace_drop(tmp_path: Path, endpoint: Endpoint) -> None:
    """A SQL function is kept, replaces a remote one of its name and the reverse, and is dropped."""
    remote = f"REMOTE WITH CONNECTION local.us.c OPTIONS (endpoint = '{endpoint.url}')"
    with BigQuery(state=tmp_path / "state.db") as bigquery:
        bigquery.sql("CREATE FUNCTION ds.f(a INT64) RETURNS INT64 AS (a + 1)")
        bigquery.sql(f"CREATE FUNCTION ds.g(a INT64) RETURNS INT64 {remote}")
        with pytest.raises(QueryError, match="Already Exists"):
            bigquery.sql("CREATE FUNCTION ds.g(a INT64) AS (a)")
        bigquery.sql("CREATE OR REPLACE FUNCTION ds.g(a INT64) AS (a * 2)")
    with BigQuery(state=tmp_path / "state.db") as bigquery:
        assert bigquery.sql("SELECT ds.f(1) AS f, ds.g(4) AS g").table.to_pylist() == [{"f": 2, "g": 8}]
        bigquery.sql(f"CREATE OR REPLACE FUNCTION ds.g(a INT64) RETURNS INT64 {remote}")
        assert bigquery.sql("SELECT ds.g(4) AS g").table.to_pylist() == [{"g": 1}]
        bigquery.sql("DROP FUNCTION ds.f; DROP FUNCTION ds.g")
        with pytest.raises(QueryError, match="Function not found"):
            bigquery.sql("SELECT ds.f(1)")


@pytest.mark.parametrize(
    ("ddl", "call", "message"),
    [
        ("ds.f(a INT64) AS ((SELECT MAX(b) FROM ds.t))", "", "with a subquery or an aggregate"),
        ("ds.f(a INT64) AS (SUM(a))", "", "with a subquery or an aggregate"),
        ("ds.f(a JSON) AS (a.b)", "ds.f(JSON '{}')", "write JSON_VALUE"),
        ("ds.f(a INT64) AS (ds.f(a))", "ds.f(1)", "calls itself"),
        ("ds.f(Age INT64, age INT64) AS (Age + age)", "", "Duplicate argument name age"),
        ("ds.f(a INT64) AS (FARM_FINGERPRINT(a))", "ds.f(1)", "FARM_FINGERPRINT is not supported"),
    ],
)
def test_unsupported(ddl: str, call: str, message: str, bigquery: BigQuery) -> None:
    """What can't be answered as BigQuery answers it is an error."""
    with pytest.raises((NotSupportedError, QueryError), match=message):
        bigquery.sql(f"CREATE FUNCTION {ddl}; SELECT {call or 1}")
