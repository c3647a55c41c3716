"""Encoding whatever a model returns as one reply per row; what a single value becomes is in test_types.py."""

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from serving.contract import write
from serving.encoding import encode
from serving.errors import ModelUnusable
from serving.signature import Output

NAN = math.nan


def declared(sql_type: str) -> tuple[Output, ...]:
    return (Output(None, sql_type),)


@pytest.mark.parametrize(
    ("sql_type", "result", "replies"),
    [
        ("FLOAT64", np.array([[1.5], [2.5]]), [1.5, 2.5]),
        ("FLOAT64", pd.Series([1.5, 2.5], index=[7, 3]), [1.5, 2.5]),
        ("FLOAT64", pd.Series([1.5, None], dtype="Float64"), [1.5, None]),
        ("FLOAT64", pd.DataFrame({"y": [1.5]}), [1.5]),
        ("FLOAT64", scipy.sparse.csr_matrix([[1.5], [0.0]]), [1.5, 0.0]),
        ("FLOAT64", (1.5, NAN), [1.5, "NaN"]),
        ("INT64", pd.Series([1, None], dtype="Int64"), [1, None]),
        ("BOOL", pd.Series([True, None], dtype="boolean"), [True, None]),
        ("STRING", pd.Series(["a", None]), ["a", None]),
        ("STRING", pd.Series(["a"], dtype="category"), ["a"]),
        ("JSON", np.array([[1.5, 2.0]]), [{"0": 1.5, "1": 2.0}]),
        ("JSON", pd.DataFrame({"low": [1], "high": ["x"]}), [{"low": 1, "high": "x"}]),
        ("JSON", {"low": np.array([1.5]), "high": [2]}, [{"low": 1.5, "high": 2}]),
        ("JSON", np.zeros((1, 2, 2)), [[[0.0, 0.0], [0.0, 0.0]]]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_container(sql_type: str, result: Any, replies: list[Any]) -> None:
    """A result in any container becomes one strict JSON value per row, or one object per row for several columns."""
    body = write(encode(result, declared(sql_type), len(replies)))
    assert json.loads(body, parse_constant=pytest.fail)["replies"] == replies


@pytest.mark.parametrize(
    "result",
    [None, 1.5, "texts", np.float64(1), np.array(1.5), [], [1.5], [1, 2, 3], np.zeros((3, 1)), pd.DataFrame(), {}],
    ids=str,
)
def test_wrong_number_of_values(result: Any) -> None:
    """Any other number of values than rows is an error."""
    with pytest.raises(ModelUnusable, match="expected one value per row"):
        encode(result, declared("FLOAT64"), 2)


def test_several_outputs() -> None:
    """Several outputs become one object per row, with the names and types of the signature."""
    outputs = (Output("low", "FLOAT64"), Output("high", "INT64"))
    assert encode(np.array([[1.5, 2.0], [NAN, 4.0]]), outputs, 2) == [
        {"low": 1.5, "high": 2},
        {"low": "NaN", "high": 4},
    ]


def test_wrong_number_of_columns() -> None:
    """Any other number of columns than declared outputs is an error."""
    with pytest.raises(ModelUnusable, match="returned 2 columns; its signature declares one output"):
        encode(np.zeros((1, 2)), declared("FLOAT64"), 1)


def test_invalid_unicode() -> None:
    """A string that UTF-8 can't hold is an error naming its row."""
    with pytest.raises(ModelUnusable, match="row 1 cannot be written"):
        write(encode(["fine", "\ud800"], declared("STRING"), 2))


def test_json_nested_too_deep() -> None:
    """JSON nested deeper than orjson writes it is an error naming its row."""
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(ModelUnusable, match="row 0 cannot be written"):
        write(encode([deep], declared("JSON"), 1))
