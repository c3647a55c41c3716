"""The lint finds slow calls, with their line and a faster form, and nothing else."""

import pytest

from bqlocal.lint import find
from tests import googlesql


def findings(text: str, *functions: str) -> list[tuple[int, str, str]]:
    """Return the findings as (line, message, faster form)."""
    return [(found.line, found.message, found.faster) for found in find(text, "q.sql", functions or ("ds.predict",))]


@pytest.mark.parametrize(
    ("query", "keyword"),
    [
        ("SELECT\n  IF(a > 1, ds.predict(a), 0) FROM ds.t", "IF"),
        ("SELECT\n  CASE WHEN a > 1 THEN ds.predict(a) END FROM ds.t", "CASE"),
        ("SELECT\n  CASE ds.predict(a) WHEN 1 THEN 2 END FROM ds.t", "CASE"),
        ("SELECT\n  COALESCE(ds.predict(a), 0) FROM ds.t", "COALESCE or IFNULL"),
        ("SELECT\n  IFNULL(1 + ds.predict(a), 0) FROM ds.t", "COALESCE or IFNULL"),
        ("SELECT\n  NULLIF(`p.ds.predict`(a), 0) FROM ds.t", "NULLIF"),
        ("SELECT a FROM ds.t WHERE\n  IF(b, ds.predict(a) > 1, FALSE)", "IF"),
        (
            "MERGE ds.t AS t USING ds.s AS s ON t.a = s.a WHEN NOT MATCHED THEN INSERT (a) VALUES (\n  ds.predict(s.a))",
            "MERGE ... WHEN",
        ),
    ],
)
def test_call_without_batching(query: str, keyword: str) -> None:
    """A call that BigQuery sends one row at a time is found, on its line."""
    ((line, message, faster),) = findings(query)
    assert line == 2
    assert f"is inside {keyword}, where BigQuery sends one row per request" in message
    assert faster


@pytest.mark.parametrize(
    ("query", "faster"),
    [
        (
            "SELECT IF(a IS NULL OR b IS NULL, NULL, ds.predict(a, b)) FROM ds.t",
            "ds.predict(a, b) alone, if the function itself returns NULL for NULL",
        ),
        (
            "SELECT CASE WHEN a > 3 THEN ds.predict(a) END FROM ds.t",
            "SELECT ..., ds.predict(a) AS predicted FROM ... WHERE a > 3\n"
            "UNION ALL SELECT ..., NULL FROM ... WHERE (a > 3) IS NOT TRUE",
        ),
        (
            "SELECT COALESCE(ds.predict(a), 0) FROM ds.t",
            "CREATE TEMP TABLE scored AS SELECT *, ds.predict(a) AS predicted FROM ...;\n"
            "SELECT COALESCE(predicted, 0) FROM scored;",
        ),
    ],
)
def test_faster_form(query: str, faster: str) -> None:
    """The faster form is valid SQL for the same result."""
    assert [sql for _, _, sql in findings(query)] == [faster]
    if "CREATE" in faster:
        assert googlesql.statements(faster.replace("...", "ds.t")) == 2


@pytest.mark.parametrize("argument", ["TO_JSON(t)", "TO_JSON((SELECT AS STRUCT t.*))"])
def test_whole_row_as_json(argument: str) -> None:
    """A call that sends every column of a table is found."""
    ((_, message, faster),) = findings(f"SELECT ds.predict_row({argument}) FROM ds.t AS t", "ds.predict_row")
    assert "sends every column of the table" in message
    assert faster == "ds.predict_row(TO_JSON(STRUCT(a, b, ...))) with the model's columns only"


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("SELECT ds.predict(a) FROM ds.t WHERE ds.predict(a) > 3", "ds.predict(a) is written 2 times"),
        ("SELECT ds.predict(a) AS x FROM ds.t ORDER BY ds.predict(a)", "ds.predict(a) is written 2 times"),
        (
            "WITH p AS (SELECT ds.predict(a) AS x FROM ds.t) SELECT a.x FROM p AS a JOIN p AS b ON a.x = b.x",
            "p is read 2 times, and its calls are made each time",
        ),
    ],
)
def test_repeated_call(query: str, part: str) -> None:
    """A call that is made twice for the same row is found."""
    ((_, message, _),) = findings(query)
    assert part in message


@pytest.mark.parametrize(
    "query",
    [
        "SELECT ds.predict(a), IF(a > 1, 2, 3) FROM ds.t",
        "SELECT ds.predict(a), ds.predict(b) FROM ds.t",
        "SELECT IF(x > 1, 'high', 'low') FROM (SELECT ds.predict(a) AS x FROM ds.t)",
        "SELECT IF(a > 1, other.predictor(a), 0) FROM ds.t",
        "SELECT ds.predict(TO_JSON(STRUCT(a, b))) FROM ds.t",
        "SELECT ds.predict(a) FROM ds.t UNION ALL SELECT ds.predict(a) FROM ds.u",
    ],
)
def test_fast_calls(query: str) -> None:
    """Calls that are fast already are not reported."""
    assert findings(query) == []


def test_invalid_sql() -> None:
    """SQL that cannot be parsed is a finding."""
    assert findings("SELECT 1;\nSELECT ((ds.predict(a)") == [
        (2, "cannot parse this SQL, so its calls were not checked", "")
    ]
