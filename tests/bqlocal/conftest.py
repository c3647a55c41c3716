"""Fixtures for the tests of bqlocal: the emulator, and GoogleSQL as the oracle."""

from collections.abc import Callable, Iterator

import pytest
from bqlocal.bigquery import BigQuery

from tests.endpoint import Endpoint
from tests.googlesql import to_json_string


@pytest.fixture
def bigquery() -> Iterator[BigQuery]:
    """An empty BigQuery that does not wait between retries."""
    with BigQuery(retry_delay=0.0) as bigquery:
        yield bigquery


@pytest.fixture(scope="module")
def calculator() -> Iterator[BigQuery]:
    """A BigQuery for expressions alone: it holds nothing that tests could share."""
    with BigQuery() as bigquery:
        yield bigquery


@pytest.fixture
def create(bigquery: BigQuery, endpoint: Endpoint) -> Callable[..., None]:
    """Create a remote function: `create("ds.f(a INT64)", "INT64", "max_batching_rows = 2")`."""

    def create(signature: str, returns: str = "INT64", options: str = "") -> None:
        bigquery.sql(
            f"CREATE OR REPLACE FUNCTION {signature} RETURNS {returns} "
            f"REMOTE WITH CONNECTION `local.us.c` "
            f"OPTIONS (endpoint = '{endpoint.url}'{', ' * bool(options)}{options})"
        )

    return create


@pytest.fixture(scope="session")
def googlesql() -> Callable[[str], str]:
    """GoogleSQL's own implementation: an expression to its TO_JSON_STRING, or an exception."""
    return to_json_string
