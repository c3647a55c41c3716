"""CREATE FUNCTION and DROP FUNCTION, and the declarations that BigQuery rejects."""

import pytest

from bqlocal import BigQuery, QueryError
from tests.endpoint import Endpoint


def test_create_replace_drop(bigquery: BigQuery, endpoint: Endpoint) -> None:
    """A function is created, kept, replaced and dropped as the statement says."""

    def create(statement: str, returns: str) -> None:
        bigquery.sql(
            f"{statement} ds.f() RETURNS {returns} "
            f"REMOTE WITH CONNECTION local.us.c OPTIONS (endpoint = '{endpoint.url}')"
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
    ("ddl", "message"),
    [
        ("ds.f(a ARRAY<INT64>) RETURNS INT64 {r} OPTIONS (endpoint = 'http://x')", "uses the type ARRAY<INT64>"),
        ("ds.f() RETURNS STRUCT<a INT64> {r} OPTIONS (endpoint = 'http://x')", "uses the type STRUCT<a INT64>"),
        ("ds.f() {r} OPTIONS (endpoint = 'http://x')", "needs RETURNS and a type"),
        ("ds.f() RETURNS INT64 {r} OPTIONS ()", "needs the option endpoint"),
        ("ds.f() RETURNS INT64 {r} OPTIONS (endpoint = 'ftp://x')", "must be an http(s) URL, not 'ftp://x'"),
        ("ds.f() RETURNS INT64 {r} OPTIONS (endpoint = 'http://x', max_batching_rows = 'a')", "max_batching_rows"),
        ("ds.f() RETURNS INT64 {r} OPTIONS (endpoint = 'http://x', user_defined_context = 'a')", "array of pairs"),
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
        ("ds.f(Age INT64, age INT64) RETURNS INT64 {r} OPTIONS (endpoint = 'http://x')", "Duplicate argument name age"),
        ("ds.f(a INT64, b INT64, `A` INT64) RETURNS INT64 {r} OPTIONS (endpoint = 'http://x')", "argument name A "),
        (
            "ds.f() RETURNS INT64 {r} OPTIONS (endpoint = 'http://x', Endpoint = 'http://y')",
            "the option Endpoint twice",
        ),
        (
            "ds.f() RETURNS INT64 {r} OPTIONS (endpoint = 'http://x', user_defined_context = [('k', 'a'), ('k', 'b')])",
            "has 'k' twice",
        ),
        ("f() RETURNS INT64 {r} OPTIONS (endpoint = 'http://x')", "needs a dataset"),
        ("ds.f(a INT64) RETURNS INT64 LANGUAGE js AS 'return a'", "neither REMOTE WITH CONNECTION nor AS (expression)"),
    ],
)
def test_invalid_declaration(ddl: str, message: str, bigquery: BigQuery) -> None:
    """A declaration that BigQuery would reject is an error that names the reason."""
    with pytest.raises(QueryError) as failure:
        bigquery.sql(f"CREATE FUNCTION {ddl.format(r='REMOTE WITH CONNECTION local.us.c')}")
    assert message in failure.value.message


def test_arguments_of_other_alphabets(bigquery: BigQuery) -> None:
    """GoogleSQL ignores the case of A to Z alone, so these two arguments are distinct."""
    bigquery.sql(
        "CREATE FUNCTION ds.f(`Ä` INT64, `ä` INT64) RETURNS INT64 "
        "REMOTE WITH CONNECTION local.us.c OPTIONS (endpoint = 'http://x')"
    )
