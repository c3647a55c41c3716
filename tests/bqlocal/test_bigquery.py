"""Tables, names, statements, and remote calls wherever SQL allows an expression."""

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from bqlocal.bigquery import BigQuery
from bqlocal.errors import NotSupportedError, QueryError, SourceError

from tests.conftest import ROOT

Create = Callable[..., None]

# Forty rows, every third with a NULL in `a`, every fifth with one in `s`.
ROWS = pd.DataFrame(
    {
        "id": range(40),
        "a": [None if i % 3 == 0 else i / 2 for i in range(40)],
        "s": [None if i % 5 == 0 else f"name {i}" for i in range(40)],
    }
)


@pytest.fixture
def rows(bigquery: BigQuery, endpoint: Any) -> BigQuery:
    """BigQuery with the forty rows as ds.t, and an endpoint that returns its first argument."""
    endpoint.answer = endpoint.echoing
    bigquery.load("ds.t", ROWS)
    return bigquery


def test_rows_with_nulls_are_sent_and_come_back(rows: BigQuery, endpoint: Any, create: Create) -> None:
    create("ds.f(a FLOAT64, s STRING)", "FLOAT64")
    result = rows.sql("SELECT id, a, ds.f(a, s) AS b FROM ds.t ORDER BY id")
    assert result.table["b"].to_pylist() == result.table["a"].to_pylist()
    assert endpoint.calls[:6] == [
        *([None, None], [0.5, "name 1"], [1, "name 2"], [None, "name 3"], [2, "name 4"], [2.5, None])
    ]


@pytest.mark.parametrize(
    "name",
    [
        "ds.f",
        "`ds`.f",
        "`ds.f`",
        "`my-project.ds.f`",
        "`my-project`.ds.f",
        "`my-project.ds`.f",
        "my-project.ds.f",
    ],
)
def test_a_function_is_called_by_any_of_its_names(name: str, endpoint: Any) -> None:
    with BigQuery(project="my-project") as bigquery:
        bigquery.sql(
            "CREATE FUNCTION `my-project`.ds.f(a INT64) RETURNS INT64 "
            f"REMOTE WITH CONNECTION `my-project.us.c` OPTIONS (endpoint = '{endpoint.url}')"
        )
        bigquery.load("my-project.ds.t", pd.DataFrame({"a": [7]}))
        result = bigquery.sql(f"SELECT 1 + {name}(a) AS x FROM `my-project.ds.t` AS t")
    assert result.table["x"].to_pylist() == [2]


@pytest.mark.parametrize(
    ("query", "expected", "sent"),
    [
        ("SELECT id FROM ds.t WHERE ds.f(id) > 37 ORDER BY id", [38, 39], 40),
        (
            "SELECT CASE WHEN id > 37 THEN ds.f(id) END AS x FROM ds.t ORDER BY x DESC LIMIT 3",
            [39, 38, None],
            2,
        ),
        ("SELECT IF(id < 2, ds.f(id), -1) AS x FROM ds.t ORDER BY id LIMIT 3", [0, 1, -1], 2),
        ("SELECT SUM(ds.f(id)) AS x FROM ds.t", [780], 40),
        ("SELECT ds.f(SUM(id)) AS x FROM ds.t", [780], 1),
        ("SELECT SUM(ds.f(id)) OVER (ORDER BY id) AS x FROM ds.t ORDER BY id LIMIT 3", [0, 1, 3], 40),
        ("SELECT COUNT(*) AS x FROM ds.t GROUP BY MOD(ds.f(id), 2)", [20, 20], 40),
        ("SELECT ds.f(ds.f(id)) AS x FROM ds.t WHERE id = 5", [5], 2),
        ("SELECT ds.f(1) AS x", [1], 1),
        ("SELECT ds.f(1) AS x FROM ds.t WHERE id < 3", [1, 1, 1], 3),
        ("SELECT ds.f(id) AS x FROM ds.t WHERE FALSE", [], 0),
        ("SELECT ds.f(id) AS x FROM ds.t ORDER BY id LIMIT 1", [0], None),
        ("WITH p AS (SELECT id, ds.f(id) AS x FROM ds.t) SELECT AVG(ABS(x - id)) AS mae FROM p", [0.0], 40),
        ("SELECT x FROM (SELECT ds.f(id) AS x FROM ds.t) WHERE x > 38", [39], 40),
        ("SELECT a.id FROM ds.t AS a JOIN ds.t AS b ON ds.f(a.id) = b.id WHERE b.id = 3", [3], None),
        ("SELECT MAX(r) AS x FROM (SELECT RANK() OVER (ORDER BY ds.f(id)) AS r FROM ds.t)", [40], 40),
        ("SELECT id FROM ds.t QUALIFY ROW_NUMBER() OVER (ORDER BY ds.f(id) DESC) = 1", [39], 40),
        ("SELECT ds.f(id) AS x FROM ds.t WHERE id = 1 UNION ALL SELECT ds.f(2)", [1, 2], 2),
        ("SELECT SAFE_DIVIDE(ds.f(id), 2) AS x FROM ds.t WHERE id = 3", [1.5], 1),
        ("SELECT ds.f(x) AS x FROM UNNEST([3, 4]) AS x", [3, 4], 2),
    ],
)
def test_a_call_may_stand_anywhere(
    query: str, expected: list[Any], sent: int | None, rows: BigQuery, endpoint: Any, create: Create
) -> None:
    create("ds.f(id INT64)", "INT64")
    assert rows.sql(query).table.column(0).to_pylist() == expected
    assert sent in (None, len(endpoint.calls))


def test_rows_of_a_table_go_as_json_objects(rows: BigQuery, endpoint: Any, create: Create) -> None:
    create("ds.f(row JSON)", "JSON")
    rows.sql("SELECT ds.f(TO_JSON(t)) FROM ds.t AS t WHERE id IN (1, 3)")
    rows.sql("SELECT ds.f(TO_JSON(STRUCT(a, id AS `the id`))) FROM ds.t WHERE id = 2")
    assert endpoint.calls == [
        [{"id": 1, "a": 0.5, "s": "name 1"}],
        [{"id": 3, "a": None, "s": "name 3"}],
        [{"a": 1.0, "the id": 2}],
    ]


def test_a_function_without_arguments_is_called_for_every_row(rows: BigQuery, endpoint: Any, create: Create) -> None:
    endpoint.answer = endpoint.counting
    create("ds.f()")
    assert rows.sql("SELECT ds.f() AS x FROM ds.t WHERE id < 3").table["x"].to_pylist() == [0, 0, 0]
    assert endpoint.calls == [[], [], []]


def test_nameless_columns_are_named_as_in_bigquery(bigquery: BigQuery) -> None:
    bigquery.load("ds.t", pd.DataFrame({"a": [1]}))
    assert bigquery.sql("SELECT 1, t.a, a + 1, 2 AS b FROM ds.t AS t").table.column_names == [*("f0_", "a", "f1_", "b")]


def test_results_have_bigquerys_types(bigquery: BigQuery) -> None:
    frame = bigquery.sql(
        "SELECT 1 AS i, SUM(2) AS s, 1.5 AS f, TRUE AS b, CURRENT_TIMESTAMP() AS t, NUMERIC '1.5' AS n"
    ).table
    assert [str(kind) for kind in frame.schema.types] == [
        *("int64", "int64", "double", "bool", "timestamp[us, tz=UTC]", "decimal128(38, 9)")
    ]


def test_functions_are_replaced_kept_and_dropped(bigquery: BigQuery, endpoint: Any) -> None:
    def create(how: str, returns: str) -> None:
        bigquery.sql(
            f"{how} ds.f() RETURNS {returns} REMOTE WITH CONNECTION local.us.c OPTIONS (endpoint = '{endpoint.url}')"
        )

    create("CREATE FUNCTION", "INT64")
    create("CREATE FUNCTION IF NOT EXISTS", "FLOAT64")
    assert str(bigquery.sql("SELECT ds.f() AS x").table.schema.field("x").type) == "int64"
    create("CREATE OR REPLACE FUNCTION", "FLOAT64")
    assert str(bigquery.sql("SELECT ds.f() AS x").table.schema.field("x").type) == "double"
    with pytest.raises(QueryError, match=r"^Already Exists: Routine local\.ds\.f"):
        create("CREATE FUNCTION", "INT64")
    bigquery.sql("DROP FUNCTION ds.f; DROP FUNCTION IF EXISTS ds.f")
    with pytest.raises(QueryError, match=r"^Not found: Routine local\.ds\.f"):
        bigquery.sql("DROP FUNCTION `local.ds.f`")
    with pytest.raises(QueryError, match=r"^Function not found: local\.ds\.f"):
        bigquery.sql("SELECT ds.f()")


@pytest.mark.parametrize(
    ("ddl", "said"),
    [
        (
            "ds.f(a ARRAY<INT64>) RETURNS INT64 {r} OPTIONS (endpoint = 'http://x')",
            "know no type ARRAY<INT64>",
        ),
        (
            "ds.f() RETURNS STRUCT<a INT64> {r} OPTIONS (endpoint = 'http://x')",
            "know no type STRUCT<a INT64>",
        ),
        ("ds.f() {r} OPTIONS (endpoint = 'http://x')", "needs RETURNS and a type"),
        ("ds.f() RETURNS INT64 {r} OPTIONS ()", "needs the option endpoint"),
        ("ds.f() RETURNS INT64 {r} OPTIONS (endpoint = 'ftp://x')", "must be an http(s) URL, not 'ftp://x'"),
        (
            "ds.f() RETURNS INT64 {r} OPTIONS (endpoint = 'http://x', max_batching_rows = 'a')",
            "max_batching_rows",
        ),
        (
            "ds.f() RETURNS INT64 {r} OPTIONS (endpoint = 'http://x', user_defined_context = 'a')",
            "array of pairs",
        ),
        *[
            (f"ds.f() RETURNS INT64 {{r}} OPTIONS (endpoint = 'http://x/{path}')", f"has the path '/{path}'")
            for path in ("v1.2", "a~b", "a?b", "a#b", "eventlog", "_ah/x", "healthz", "é")
        ],
        (
            f"ds.f({', '.join(f'a{at} INT64' for at in range(257))}) RETURNS INT64 {{r}} OPTIONS (endpoint = 'http://x')",
            "has 257 arguments; BigQuery allows 256",
        ),
        (f"ds.f({'a' * 129} INT64) RETURNS INT64 {{r}} OPTIONS (endpoint = 'http://x')", "name of over 128 characters"),
        ("ds.`f-g`() RETURNS INT64 {r} OPTIONS (endpoint = 'http://x')", "letters, digits and underscores"),
        (
            "ds.f() RETURNS INT64 {r} OPTIONS (endpoint = 'http://x', user_defined_context = [('k', '"
            + "é" * 4096
            + "')])",
            "has 8,193 bytes of keys and values; BigQuery allows less than 8,192",
        ),
        ("ds.f() RETURNS INT64 {r} OPTIONS (endpoint = 'http://x', batch = 1)", "Unknown option 'batch'"),
        ("f() RETURNS INT64 {r} OPTIONS (endpoint = 'http://x')", "needs a dataset"),
        ("ds.f(a INT64) RETURNS INT64 AS (a + 1)", "without REMOTE WITH CONNECTION is not supported"),
    ],
)
def test_a_declaration_that_bigquery_refuses_is_refused(ddl: str, said: str, bigquery: BigQuery) -> None:
    with pytest.raises(QueryError) as failure:
        bigquery.sql(f"CREATE FUNCTION {ddl.format(r='REMOTE WITH CONNECTION local.us.c')}")
    assert said in failure.value.message


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELECT * FROM ds.nowhere", "Not found: Table local.ds.nowhere; loaded are: local.ds.t."),
        ("SELECT * FROM t", 'Table "t" must be qualified with a dataset (e.g. dataset.table).'),
        ("SELECT ds.g(1)", "Function not found: local.ds.g"),
        (
            "SELECT ds.f(1, 2)",
            "Number of arguments does not match for function local.ds.f: it takes 1, not 2.",
        ),
        ("SELECT nope FROM ds.t", "nope"),
        ("SELEC 1", "Syntax error: "),
        ("SELECT (1", "Syntax error: "),
        ("", "There is no statement"),
        ("CREATE TABLE ds.x AS SELECT 1", "CREATE TABLE columns must be named, but column 1 has no name"),
        ("CREATE TABLE ds.t AS SELECT 1 AS x", "Already Exists: Table local.ds.t; write CREATE OR REPLACE TABLE."),
        ("CREATE TEMP TABLE x AS SELECT 1 AS d", "Table name 'x' needs a dataset: write dataset.x."),
        (
            "CREATE TABLE ds.x OPTIONS (expiration_timestamp = NULL) AS SELECT 1 AS d",
            "CREATE TABLE with expiration_timestamp",
        ),
        ("CREATE TABLE ds.x (a ARRAY<INT64>)", "The column a ARRAY<INT64> of CREATE TABLE is not supported"),
        ("CREATE VIEW ds.v AS SELECT 1 AS x", "The statement CREATE VIEW is not supported on this machine."),
        ("UPDATE ds.t SET a = 1 WHERE TRUE", "The statement UPDATE is not supported on this machine."),
        ("DECLARE x INT64", "The statement DECLARE is not supported on this machine."),
        ("SELECT id, id FROM ds.t", "Duplicate column names in the result are not supported. Found duplicate(s): id"),
        ("SELECT ds.f(id) AS id, * FROM ds.t", "Duplicate column names in the result"),
        ("SELECT @p", "Query parameter 'p' not found"),
        ("SELECT ?", "Query parameter number is larger than number of parameters provided"),
        ("DELETE FROM ds.t WHERE TRUE", "The statement DELETE is not supported on this machine."),
        ("DROP TABLE ds.nowhere", "Not found: Table local.ds.nowhere; loaded are: local.ds.t."),
        ("INSERT INTO ds.t (id) SELECT 'x'", "Query column 1 has type STRING which cannot be inserted into column id"),
        ("INSERT INTO ds.t (id) SELECT 1, 2", "Inserted row has wrong column count; Has 2, expected 1"),
        ("INSERT INTO ds.t (no) SELECT 1", "Column no is not present in table local.ds.t"),
        (
            "SELECT x FROM UNNEST([1]) AS x WHERE x IN (SELECT id FROM nope.t)",
            "Not found: Table local.nope.t",
        ),
    ],
)
def test_a_wrong_statement_is_one_sentence(statement: str, said: str, rows: BigQuery, create: Create) -> None:
    create("ds.f(id INT64)")
    with pytest.raises(QueryError) as failure:
        rows.sql(statement)
    assert said in failure.value.message
    assert "\n" not in failure.value.message


def test_a_call_that_duckdb_would_make_twice_is_refused(rows: BigQuery, create: Create) -> None:
    create("ds.f(id INT64)")
    with pytest.raises(NotSupportedError, match="compute it in a subquery"):
        rows.sql("SELECT ds.f(id) IN UNNEST([1, 2]) FROM ds.t")


def test_parameters_are_values_and_never_text(bigquery: BigQuery) -> None:
    bigquery.load("ds.t", pd.DataFrame({"a": [1, 2, 3], "s": ["x", "y'", "z"]}))
    query = "SELECT a FROM ds.t WHERE s = @s AND a IN UNNEST(@list) AND @day > DATE '2020-01-01' LIMIT @n"
    values = {"s": "y'", "list": [2, 3], "day": dt.date(2020, 1, 2), "n": 5}
    assert bigquery.sql(query, values).table["a"].to_pylist() == [2]
    row = bigquery.sql(
        "SELECT ? AS a, ? AS b, ? AS c, ? AS d", [None, b"\x00", Decimal("1.5"), -1.5]
    ).table.to_pylist()[0]
    assert row == {"a": None, "b": b"\x00", "c": Decimal("1.500000000"), "d": -1.5}


def test_an_empty_text_of_a_csv_is_no_null(tmp_path: Path, bigquery: BigQuery) -> None:
    (tmp_path / "t.csv").write_text('a,b\n1,""\n2,\n3,x\n')
    bigquery.load("ds.t", tmp_path / "t.csv")
    assert bigquery.sql("SELECT b FROM ds.t ORDER BY a").table["b"].to_pylist() == ["", None, "x"]


def test_csv_and_parquet_are_tables(tmp_path: Path, bigquery: BigQuery) -> None:
    ROWS.to_csv(tmp_path / "rows.csv", index=False)
    ROWS.to_parquet(tmp_path / "rows.parquet")
    bigquery.load("ds.csv", tmp_path / "rows.csv")
    bigquery.load("other-project.ds.parquet", str(tmp_path / "rows.parquet"))
    query = "SELECT * FROM {} ORDER BY id"
    csv = bigquery.sql(query.format("ds.csv")).frame
    parquet = bigquery.sql(query.format("`other-project.ds.parquet`")).frame
    pd.testing.assert_frame_equal(csv, parquet, check_dtype=False)
    assert csv["a"].isna().sum() == 14


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        ("t", "x.csv", "'t' is no table name; write dataset.table or project.dataset.table."),
        ("ds.t", "x.xlsx", "'x.xlsx' is no table; known are files that end in .csv, .parquet, .json, .jsonl, .ndjson."),
        ("ds.t", "nowhere.csv", "There is no file 'nowhere.csv'; check the path."),
        ("ds.t", pd.DataFrame({"a": [1, "x"]}), "The DataFrame mixes types in a column: "),
    ],
)
def test_a_wrong_source_is_one_sentence(name: str, source: Any, said: str, bigquery: BigQuery) -> None:
    with pytest.raises(SourceError) as failure:
        bigquery.load(name, source)
    assert failure.value.message.startswith(said)


def test_a_file_that_is_no_parquet_is_one_sentence(tmp_path: Path, bigquery: BigQuery) -> None:
    (tmp_path / "x.parquet").write_text("no parquet")
    with pytest.raises(SourceError, match=r"x\.parquet' cannot be loaded: .*$"):
        bigquery.load("ds.t", tmp_path / "x.parquet")


def test_the_fixture_in_the_readme_works_as_it_stands(tmp_path: Path, endpoint: Any) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = next(text for text in readme.split("```") if "import pytest" in text).removeprefix("python\n")
    assert "http://127.0.0.1:8080" in example
    (tmp_path / "test_example.py").write_text(example.replace("http://127.0.0.1:8080", endpoint.url))
    (tmp_path / "houses.csv").write_text("rooms,age\n3,20.5\n4,7\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "test_example.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    assert [3, 20.5] in endpoint.calls
