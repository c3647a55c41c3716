"""Statements that fail, and query parameters."""

import datetime as dt
from decimal import Decimal

import pandas as pd
import pytest

from bqlocal import BigQuery, QueryError
from tests.bqlocal.conftest import Create


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SELECT * FROM ds.nowhere", "Not found: Table local.ds.nowhere; loaded tables: local.ds.t."),
        ("SELECT * FROM t", 'Table "t" must be qualified with a dataset (e.g. dataset.table).'),
        ("SELECT ds.g(1)", "Function not found: local.ds.g"),
        ("SELECT ds.f(1, 2)", "Number of arguments does not match for function local.ds.f: it takes 1, not 2."),
        ("SELECT nope FROM ds.t", "nope"),
        ("SELEC 1", "Syntax error: "),
        ("SELECT (1", "Syntax error: "),
        ("", "There is no statement"),
        ("CREATE TABLE ds.x AS SELECT 1", "CREATE TABLE columns must be named, but column 1 has no name"),
        ("CREATE TABLE ds.x AS SELECT 1 AS a, 2 AS A", "Duplicate column names in the result are not supported."),
        ("CREATE TABLE ds.t AS SELECT 1 AS x", "Already Exists: Table local.ds.t; write CREATE OR REPLACE TABLE."),
        ("CREATE TEMP TABLE x AS SELECT 1 AS d", "Table name 'x' needs a dataset: write dataset.x."),
        (
            "CREATE TABLE ds.x OPTIONS (expiration_timestamp = NULL) AS SELECT 1 AS d",
            "CREATE TABLE with expiration_timestamp",
        ),
        ("CREATE TABLE ds.x (a ARRAY<INT64>)", "The column a ARRAY<INT64> of CREATE TABLE is not supported"),
        ("CREATE VIEW ds.v AS SELECT 1 AS x", "The statement CREATE VIEW is not supported by bqlocal."),
        ("UPDATE ds.t SET a = 1 WHERE TRUE", "The statement UPDATE is not supported by bqlocal."),
        ("DECLARE x INT64", "The statement DECLARE is not supported by bqlocal."),
        ("SELECT id, id FROM ds.t", "Duplicate column names in the result are not supported. Found duplicate(s): id"),
        ("SELECT ds.f(id) AS id, * FROM ds.t", "Duplicate column names in the result"),
        ("SELECT a FROM (SELECT 1 AS a, 2 AS A)", "Column name a is ambiguous: give its columns different names."),
        ("SELECT x.A FROM (SELECT 1 AS a, 2 AS a) AS x", "Column name A is ambiguous in x: "),
        ("WITH x AS (SELECT 1 AS a, 2 AS A) SELECT * FROM x", "Duplicate column names in x are not supported with *."),
        ("CREATE TABLE ds.x AS SELECT a FROM (SELECT 1 AS a, 2 AS A)", "Column name a is ambiguous"),
        ("SELECT @p", "Query parameter 'p' not found"),
        ("SELECT ?", "Query parameter number is larger than number of parameters provided"),
        ("DELETE FROM ds.t WHERE TRUE", "The statement DELETE is not supported by bqlocal."),
        ("DROP TABLE ds.nowhere", "Not found: Table local.ds.nowhere; loaded tables: local.ds.t."),
        ("INSERT INTO ds.t (id) SELECT 'x'", "Query column 1 has type STRING which cannot be inserted into column id"),
        ("INSERT INTO ds.t (id) SELECT 1, 2", "Inserted row has wrong column count; Has 2, expected 1"),
        ("INSERT INTO ds.t (no) SELECT 1", "Column no is not present in table local.ds.t"),
        ("SELECT x FROM UNNEST([1]) AS x WHERE x IN (SELECT id FROM nope.t)", "Not found: Table local.nope.t"),
    ],
)
def test_invalid_statement(statement: str, message: str, rows: BigQuery, create: Create) -> None:
    """A statement that fails raises a one-line error that says why."""
    create("ds.f(id INT64)")
    with pytest.raises(QueryError) as failure:
        rows.sql(statement)
    assert message in failure.value.message
    assert "\n" not in failure.value.message


def test_parameters(bigquery: BigQuery) -> None:
    """Parameters are values, by name or by position; a quote in one cannot change the statement."""
    bigquery.load("ds.t", pd.DataFrame({"a": [1, 2, 3], "s": ["x", "y'", "z"]}))
    query = "SELECT a FROM ds.t WHERE s = @s AND a IN UNNEST(@list) AND @day > DATE '2020-01-01' LIMIT @n"
    values = {"s": "y'", "list": [2, 3], "day": dt.date(2020, 1, 2), "n": 5}
    assert bigquery.sql(query, values).table["a"].to_pylist() == [2]
    row = bigquery.sql(
        "SELECT ? AS a, ? AS b, ? AS c, ? AS d", [None, b"\x00", Decimal("1.5"), -1.5]
    ).table.to_pylist()[0]
    assert row == {"a": None, "b": b"\x00", "c": Decimal("1.500000000"), "d": -1.5}
