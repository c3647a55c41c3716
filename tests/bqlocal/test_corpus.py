"""SQL as analysts write it, with remote calls: its results must be right whatever the caller does to the requests.

`corpus.sql` contains the statements, each followed by its rows as JSON arrays. `shop.score(a, b)` is 10 * a + b, and
NULL for a NULL.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bqlocal import BigQuery
from bqlocal.json_values import to_json
from tests import googlesql
from tests.endpoint import Endpoint

TEXT = (Path(__file__).parent / "corpus.sql").read_text(encoding="utf-8")
CASES = [
    (
        "\n".join(line for line in block.splitlines() if not line.startswith("-- ")),
        [json.loads(line.removeprefix("-- ")) for line in block.splitlines() if line.startswith("-- ")],
    )
    for block in TEXT.strip().split("\n\n")
]
CUSTOMERS = pd.DataFrame({"id": [1, 2, 3], "name": ["Ann", "Bob", "Cé"], "city": ["Bern", "Genf", None]})
ORDERS = pd.DataFrame(
    {
        "id": [1, 2, 3, 4, 5],
        "customer": [1, 1, 2, 2, 3],
        "amount": [1.5, 2.0, None, 4.0, 5.5],
        "day": pd.to_datetime(["2020-01-31", "2020-02-01", "2020-02-15", "2020-03-01", "2020-03-02"]).date,
    }
)


def scoring(body: dict[str, Any]) -> tuple[int, str]:
    """Answer as shop.score."""
    return 200, json.dumps({"replies": [None if None in call else 10 * call[0] + call[1] for call in body["calls"]]})


@pytest.fixture(scope="module", params=[None, 5], ids=["normal", "chaos"])
def shop(request: pytest.FixtureRequest) -> Iterator[BigQuery]:
    """Return a BigQuery with the shop's tables and its function, without and with chaos."""
    endpoint = Endpoint()
    endpoint.answer = scoring
    with BigQuery(chaos=request.param) as bigquery:
        bigquery.load("shop.orders", ORDERS)
        bigquery.load("shop.customers", CUSTOMERS)
        bigquery.sql(
            "CREATE FUNCTION shop.score(a INT64, b FLOAT64) RETURNS FLOAT64 REMOTE WITH CONNECTION local.us.c "
            f"OPTIONS (endpoint = '{endpoint.url}', max_batching_rows = 2)"
        )
        yield bigquery
    endpoint.close()


def test_corpus_size() -> None:
    """The corpus has at least forty statements, each with a remote call."""
    assert len(CASES) >= 40
    assert all("score(" in statement for statement, _ in CASES)


@pytest.mark.parametrize(("statement", "expected"), CASES, ids=range(len(CASES)))
def test_statement(statement: str, expected: list[list[Any]], shop: BigQuery) -> None:
    """A statement is valid GoogleSQL and returns its rows."""
    assert googlesql.statements(statement) >= 1
    table = shop.sql(statement, {"least": 2.0, "name": "Ann"}).table
    columns = [to_json(column.combine_chunks()) for column in table.columns]
    assert [[json.loads(value) for value in row] for row in zip(*columns, strict=True)] == expected
