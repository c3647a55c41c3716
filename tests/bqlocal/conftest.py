"""Fixtures for the tests of bqlocal: emulators, remote functions, and GoogleSQL as the oracle."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pandas as pd
import pytest

from bqlocal import BigQuery
from tests.endpoint import Endpoint
from tests.googlesql import to_json_string

# Creates a remote function at the test's endpoint: create("ds.f(a INT64)", "INT64", "max_batching_rows = 2").
Create: TypeAlias = Callable[..., None]

# Forty rows: `a` is NULL in every third, `s` in every fifth.
ROWS = pd.DataFrame(
    {
        "id": range(40),
        "a": [None if i % 3 == 0 else i / 2 for i in range(40)],
        "s": [None if i % 5 == 0 else f"name {i}" for i in range(40)],
    }
)


@pytest.fixture
def bigquery() -> Iterator[BigQuery]:
    """Return an empty BigQuery that does not wait before retries."""
    with BigQuery(retry_delay=0.0) as bigquery:
        yield bigquery


@pytest.fixture(scope="module")
def calculator() -> Iterator[BigQuery]:
    """Return a BigQuery for expressions only, which leave nothing behind for other tests."""
    with BigQuery() as bigquery:
        yield bigquery


@pytest.fixture
def create(bigquery: BigQuery, endpoint: Endpoint) -> Create:
    """Return a function that creates a remote function at the endpoint."""

    def create(signature: str, returns: str = "INT64", options: str = "") -> None:
        bigquery.sql(
            f"CREATE OR REPLACE FUNCTION {signature} RETURNS {returns} "
            f"REMOTE WITH CONNECTION `local.us.c` "
            f"OPTIONS (endpoint = '{endpoint.url}'{', ' * bool(options)}{options})"
        )

    return create


@pytest.fixture
def rows(bigquery: BigQuery, endpoint: Endpoint) -> BigQuery:
    """Return a BigQuery with ROWS as ds.t, and have the endpoint reply with the first argument."""
    endpoint.answer = endpoint.echoing
    bigquery.load("ds.t", ROWS)
    return bigquery


@pytest.fixture(scope="session")
def googlesql() -> Callable[[str], str]:
    """Return GoogleSQL's own implementation: an expression to its TO_JSON_STRING, or an exception."""
    return to_json_string
