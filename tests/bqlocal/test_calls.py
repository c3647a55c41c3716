"""Remote calls wherever SQL allows an expression, and the columns that a query returns."""

from typing import Any

import pandas as pd
import pytest

from bqlocal import BigQuery, NotSupportedError, QueryError
from tests.bqlocal.conftest import Create
from tests.endpoint import Endpoint


def test_rows_with_nulls(rows: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """NULL arguments reach the function, and NULL replies reach the result."""
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
def test_function_names(name: str, endpoint: Endpoint) -> None:
    """A function can be called by any spelling of its name that BigQuery accepts."""
    with BigQuery(project="my-project") as bigquery:
        bigquery.sql(
            "CREATE FUNCTION `my-project`.ds.f(a INT64) RETURNS INT64 "
            f"REMOTE WITH CONNECTION `my-project.us.c` OPTIONS (endpoint = '{endpoint.url}')"
        )
        bigquery.load("my-project.ds.t", pd.DataFrame({"a": [7]}))
        result = bigquery.sql(f"SELECT 1 + {name}(a) AS x FROM `my-project.ds.t` AS t")
    assert result.table["x"].to_pylist() == [2]


def test_names_of_other_projects(bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """A table or function without a project is the only other project's, unless the session's project has one."""
    endpoint.answer = endpoint.echoing
    create("`my-project`.ds.f(a INT64)")
    bigquery.load("my-project.ds.t", pd.DataFrame({"a": [7]}))
    assert bigquery.sql("SELECT ds.f(a) AS x FROM ds.t").table["x"].to_pylist() == [7]
    bigquery.sql("INSERT INTO ds.t (a) VALUES (8)")
    bigquery.load("other.ds.t", pd.DataFrame({"a": [9]}))
    with pytest.raises(QueryError, match=r"^ds\.t may be my-project\.ds\.t or other\.ds\.t; write the project too\.$"):
        bigquery.sql("SELECT a FROM ds.t")
    bigquery.load("ds.t", pd.DataFrame({"a": [1]}))
    assert bigquery.sql("SELECT a FROM ds.t").table["a"].to_pylist() == [1]
    assert bigquery.sql("SELECT a FROM `my-project.ds.t` ORDER BY a").table["a"].to_pylist() == [7, 8]
    with pytest.raises(QueryError, match=r"^Function not found: local\.ds\.g; known functions: my-project\.ds\.f\.$"):
        bigquery.sql("SELECT ds.g(1)")


@pytest.mark.parametrize("project", ["example.com:my-project", "eng.my-corp.co.uk:my-project"])
@pytest.mark.parametrize("name", ["ds.f", "`{}`.ds.f", "`{}.ds.f`", "`{}.ds`.f"])
@pytest.mark.parametrize("session", ["local", "example.com:my-project"])
def test_project_of_an_old_organization(session: str, name: str, project: str, endpoint: Endpoint) -> None:
    """The project of a name may have a domain, whose dots separate nothing."""
    with BigQuery(project=session) as bigquery:
        bigquery.sql(
            f"CREATE FUNCTION `{project}`.ds.f(a INT64) RETURNS INT64 "
            f"REMOTE WITH CONNECTION `{project}`.us.c OPTIONS (endpoint = '{endpoint.url}')"
        )
        bigquery.sql(f"CREATE FUNCTION `{project}`.ds.g(a INT64) AS (10 * `{project}`.ds.f(a))")
        bigquery.load(f"{project}.ds.t", pd.DataFrame({"a": [7]}))
        result = bigquery.sql(
            f"SELECT {name.format(project)}(a) + ds.g(a) AS x FROM ds.t AS t JOIN `{project}`.ds.t AS u USING (a)"
        )
    assert result.table["x"].to_pylist() == [11]
    assert f"/projects/{session}/jobs/{session}:US." in endpoint.requests[-1]["caller"]


@pytest.mark.parametrize(
    ("query", "expected", "sent"),
    [
        ("SELECT id FROM ds.t WHERE ds.f(id) > 37 ORDER BY id", [38, 39], 40),
        ("SELECT CASE WHEN id > 37 THEN ds.f(id) END AS x FROM ds.t ORDER BY x DESC LIMIT 3", [39, 38, None], 2),
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
def test_call_anywhere(
    query: str, expected: list[Any], sent: int | None, rows: BigQuery, endpoint: Endpoint, create: Create
) -> None:
    """A call works in every clause, and is made for exactly the rows that need it."""
    create("ds.f(id INT64)", "INT64")
    assert rows.sql(query).table.column(0).to_pylist() == expected
    assert sent in (None, len(endpoint.calls))


def test_call_written_twice_by_duckdb(rows: BigQuery, create: Create) -> None:
    """A call that DuckDB's SQL would contain twice is rejected, since it could have two values."""
    create("ds.f(id INT64)")
    with pytest.raises(NotSupportedError, match="compute it in a subquery"):
        rows.sql("SELECT ds.f(id) IN UNNEST([1, 2]) FROM ds.t")


def test_rows_as_json(rows: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """TO_JSON of a row sends an object with the columns by name."""
    create("ds.f(row JSON)", "JSON")
    rows.sql("SELECT ds.f(TO_JSON(t)) FROM ds.t AS t WHERE id IN (1, 3)")
    rows.sql("SELECT ds.f(TO_JSON(STRUCT(a, id AS `the id`))) FROM ds.t WHERE id = 2")
    assert endpoint.calls == [
        [{"id": 1, "a": 0.5, "s": "name 1"}],
        [{"id": 3, "a": None, "s": "name 3"}],
        [{"a": 1.0, "the id": 2}],
    ]


def test_no_arguments(rows: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """A function without arguments is called once per row."""
    endpoint.answer = endpoint.counting
    create("ds.f()")
    assert rows.sql("SELECT ds.f() AS x FROM ds.t WHERE id < 3").table["x"].to_pylist() == [0, 0, 0]
    assert endpoint.calls == [[], [], []]


def test_unnamed_columns(bigquery: BigQuery) -> None:
    """Columns without a name are called f0_, f1_, ... as in BigQuery."""
    bigquery.load("ds.t", pd.DataFrame({"a": [1]}))
    assert bigquery.sql("SELECT 1, t.a, a + 1, 2 AS b FROM ds.t AS t").table.column_names == [*("f0_", "a", "f1_", "b")]


def test_result_types(bigquery: BigQuery) -> None:
    """Every column of a result has the Arrow type of its BigQuery type."""
    frame = bigquery.sql(
        "SELECT 1 AS i, SUM(2) AS s, 1.5 AS f, TRUE AS b, CURRENT_TIMESTAMP() AS t, NUMERIC '1.5' AS n"
    ).table
    assert [str(arrow_type) for arrow_type in frame.schema.types] == [
        *("int64", "int64", "double", "bool", "timestamp[us, tz=UTC]", "decimal128(38, 9)")
    ]
