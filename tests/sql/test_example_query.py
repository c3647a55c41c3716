"""The query that carries the input example as literals; tests/deploy/test_model.py runs it."""

import json
import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from model_loader import load
from serving.signature import Column, Signature
from sql.example_query import example_query
from tests import googlesql


def literal(column: Column, value: Any) -> str:
    """Return the expression that the query has for a value."""
    query = example_query(Signature((column,), None), [[value]], "my-project.ds")
    return re.search(r"STRUCT\(0 AS example, (.*) AS x0\)\n", query, re.DOTALL)[1]  # type: ignore[index]


@pytest.mark.parametrize(
    ("mlflow_type", "sql_type", "value", "json_value"),
    [
        ("double", "FLOAT64", 0.1, 0.1),
        ("double", "FLOAT64", math.inf, "Infinity"),
        ("long", "INT64", 2**60, str(2**60)),
        ("boolean", "BOOL", True, True),
        ("string", "STRING", 'it\'s "é"\n\\ `', 'it\'s "é"\n\\ `'),
        ("string", "STRING", "", ""),
        ("binary", "BYTES", "AAE=", "AAE="),
        ("datetime", "TIMESTAMP", "2024-02-29T12:30:00", "2024-02-29T12:30:00Z"),
        ("object", "JSON", {"a": [1.5, None, "'\\"]}, {"a": [1.5, None, "'\\"]}),
        ("double", "FLOAT64", None, None),
        ("double", "FLOAT64", math.nan, None),
    ],
    ids=str,
)
def test_literal_keeps_value_and_type(mlflow_type: str, sql_type: str, value: Any, json_value: Any) -> None:
    """GoogleSQL evaluates the literal to the example's value; a missing one is NULL of the column's type."""
    expression = literal(Column("a", mlflow_type, sql_type, required=False), value)
    assert json.loads(googlesql.to_json_string(expression)) == json_value


@pytest.mark.parametrize("name", ["categories", "times", "classifier", "two_outputs", "wide", "tensor", "odd_names"])
def test_query_is_googlesql(name: str, saved: Callable[[str], str]) -> None:
    """The query parses, calls the function that BigQuery can declare, and asks for the digest."""
    model = load(saved(name))
    query = example_query(model.signature, model.example, "my-project.ds")
    assert googlesql.statements(query) == 1
    assert f"`my-project`.ds.predict{'_row' if name == 'wide' else ''}(" in query
    assert query.count("AS example") == len(model.example)
    assert "`my-project`.ds.model_info()" in query
