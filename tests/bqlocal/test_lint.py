"""Slow calls are found in SQL, with their line and a faster form, and fast ones are left alone."""

import pytest
from bqlocal.lint import find

from tests import googlesql


def findings(text: str, *functions: str) -> list[tuple[int, str, str]]:
    return [(found.line, found.message, found.faster) for found in find(text, "q.sql", functions or ("ds.predict",))]


@pytest.mark.parametrize(
    ("query", "word"),
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
def test_a_call_that_switches_batching_off_is_found_in_its_line(query: str, word: str) -> None:
    ((line, message, faster),) = findings(query)
    assert line == 2
    assert f"stands in {word}, where BigQuery sends one row per request" in message
    assert faster


@pytest.mark.parametrize(
    ("query", "faster"),
    [
        (
            "SELECT IF(a IS NULL OR b IS NULL, NULL, ds.predict(a, b)) FROM ds.t",
            "ds.predict(a, b) alone, where the function answers NULL for NULL by itself",
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
def test_the_faster_form_is_shown(query: str, faster: str) -> None:
    assert [shown for _, _, shown in findings(query)] == [faster]
    if "CREATE" in faster:
        assert googlesql.statements(faster.replace("...", "ds.t")) == 2


@pytest.mark.parametrize("argument", ["TO_JSON(t)", "TO_JSON((SELECT AS STRUCT t.*))"])
def test_a_whole_row_as_json_is_found(argument: str) -> None:
    ((_, message, faster),) = findings(f"SELECT ds.predict_row({argument}) FROM ds.t AS t", "ds.predict_row")
    assert "sends every column of the table" in message
    assert faster == "ds.predict_row(TO_JSON(STRUCT(a, b, ...))) with the model's columns alone"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT ds.predict(a) FROM ds.t WHERE ds.predict(a) > 3", "ds.predict(a) is written 2 times"),
        ("SELECT ds.predict(a) AS x FROM ds.t ORDER BY ds.predict(a)", "ds.predict(a) is written 2 times"),
        (
            "WITH p AS (SELECT ds.predict(a) AS x FROM ds.t) SELECT a.x FROM p AS a JOIN p AS b ON a.x = b.x",
            "p is read 2 times, and its calls are made each time",
        ),
    ],
)
def test_a_call_that_is_repeated_for_the_same_row_is_found(query: str, said: str) -> None:
    ((_, message, _),) = findings(query)
    assert said in message


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
def test_fast_calls_are_left_alone(query: str) -> None:
    assert findings(query) == []


def test_what_cannot_be_read_is_said() -> None:
    assert findings("SELECT 1;\nSELECT ((ds.predict(a)") == [
        (2, "this is no SQL that can be read, so its calls were not checked", "")
    ]
