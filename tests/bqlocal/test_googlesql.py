"""Expressions evaluated here and by GoogleSQL's own implementation: the evidence for the list in `supported.py`."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bqlocal import BigQuery, NotSupportedError, QueryError

FOLDER = Path(__file__).parent
EXPRESSIONS = (FOLDER / "expressions.txt").read_text(encoding="utf-8").splitlines()
UNSUPPORTED = (FOLDER / "unsupported.txt").read_text(encoding="utf-8").splitlines()


def outcome(evaluate: Callable[[str], str], expression: str) -> Any:
    """Return the value of an expression, or that it failed."""
    try:
        return json.loads(evaluate(expression))
    except Exception:  # the oracle raises errors of many classes
        return "failed"


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression(expression: str, calculator: BigQuery, googlesql: Callable[[str], str]) -> None:
    """An expression has GoogleSQL's value, or fails where GoogleSQL's fails."""

    def here(expression: str) -> str:
        return str(calculator.sql(f"SELECT TO_JSON_STRING({expression})").table["f0_"][0].as_py())

    expected = outcome(googlesql, expression)
    if expression.startswith("(SELECT") and isinstance(expected, int | float):
        expected = pytest.approx(expected, rel=1e-14)  # sums of squares may differ in the last digit
    assert outcome(here, expression) == expected


@pytest.mark.parametrize("expression", UNSUPPORTED)
def test_unsupported_expression(expression: str, calculator: BigQuery) -> None:
    """GoogleSQL that DuckDB would answer differently is an error."""
    with pytest.raises(NotSupportedError, match=r"is not supported by bqlocal"):
        calculator.sql(f"SELECT {expression}")


def test_random_round(bigquery: BigQuery, googlesql: Callable[[str], str]) -> None:
    """ROUND agrees with GoogleSQL on random numbers, halves included."""
    generator = random.Random(1)
    calls = [f"ROUND({generator.randint(-99999, 99999) / 1000!r}, {generator.randint(0, 3)})" for _ in range(200)]
    array = f"[{', '.join(calls)}]"
    here = bigquery.sql(f"SELECT TO_JSON_STRING({array})").table["f0_"][0].as_py()
    assert here == googlesql(array)


def test_function_errors(bigquery: BigQuery) -> None:
    """Errors of functions have BigQuery's wording and the value."""
    with pytest.raises(QueryError, match=r"^division by zero: 7 / 0$"):
        bigquery.sql("SELECT 7/0")
    with pytest.raises(QueryError, match=r"^Bad int64 value: 2\.5$"):
        bigquery.sql("SELECT CAST('2.5' AS INT64)")
    assert math.isnan(bigquery.sql("SELECT CAST('nan' AS FLOAT64) AS x").table["x"][0].as_py())
