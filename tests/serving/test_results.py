"""Columns of a result: matched to the declared outputs by name, and to the rows by index."""

from collections import namedtuple
from typing import Any

import numpy as np
import pandas as pd
import pytest

from serving import results
from serving.encoding import encode
from serving.errors import ModelUnusable
from serving.signature import Output

PAIR = (Output("low", "FLOAT64", "double"), Output("high", "FLOAT64", "double"))
ONE = (Output("score", "FLOAT64", "double"),)
ROWS = [{"low": 1.0, "high": 2.0}, {"low": 3.0, "high": 4.0}]
LOW, HIGH = np.array([1.0, 3.0]), np.array([2.0, 4.0])

Pair = namedtuple("Pair", ["high", "low"])

BY_NAME = {
    "frame": pd.DataFrame({"high": HIGH, "low": LOW}),
    "dictionary": {"high": HIGH, "low": LOW},
    "dictionary of columns": {"high": HIGH.reshape(-1, 1), "low": LOW.reshape(-1, 1)},
    "list of dictionaries": [{"high": 2.0, "low": 1.0}, {"low": 3.0, "high": 4.0}],
    "series of dictionaries": pd.Series([{"low": 3.0, "high": 4.0}, {"high": 2.0, "low": 1.0}], index=[1, 0]),
    "array of dictionaries": np.array([{"high": 2.0, "low": 1.0}, {"low": 3.0, "high": 4.0}], dtype=object),
    "array": np.column_stack([LOW, HIGH]),
    "frame without names": pd.DataFrame(np.column_stack([LOW, HIGH])),
    "list of lists": [[1.0, 2.0], [3.0, 4.0]],
    "list of named tuples": [Pair(2.0, 1.0), Pair(4.0, 3.0)],
    "frame in another order of rows": pd.DataFrame({"high": HIGH[::-1], "low": LOW[::-1]}, index=[1, 0]),
    "dictionary of series": {"high": pd.Series(HIGH[::-1], index=[1, 0]), "low": LOW},
}


@pytest.mark.parametrize("result", BY_NAME.values(), ids=BY_NAME)
def test_outputs_by_name(result: Any) -> None:
    """Several outputs are found by their names, or by position where the model gives none."""
    replies = encode(result, PAIR, 2)
    assert replies == ROWS
    assert [list(reply) for reply in replies] == [["low", "high"]] * 2


def test_integer_names() -> None:
    """A column labeled by a number is the output named by its digits."""
    outputs = (Output("1", "FLOAT64"), Output("0", "FLOAT64"))
    assert encode(pd.DataFrame({0: LOW, 1: HIGH}), outputs, 2) == [{"1": 2.0, "0": 1.0}, {"1": 4.0, "0": 3.0}]


SINGLE = {
    "other name": pd.DataFrame({"prediction": LOW}),
    "dictionary": {"variable": LOW.reshape(-1, 1)},
    "column": LOW.reshape(-1, 1),
    "list of dictionaries": [{"variable": 1.0}, {"variable": 3.0}],
    "list of lists": [[1.0], [3.0]],
    "pandas array": pd.array([1.0, 3.0], dtype="Float64"),
    "arrow": pd.Series(LOW, dtype="float64[pyarrow]"),
    "sorted series": pd.Series(LOW[::-1], index=[1, 0]),
    "named index": pd.Series(LOW, index=pd.Index([1, 0], name="x")),
    "index of another thing": pd.Series(LOW, index=[3, 1]),
}


@pytest.mark.parametrize("result", SINGLE.values(), ids=SINGLE)
def test_single_output(result: Any) -> None:
    """A single output is taken whatever its name and shape; only the input's own index reorders its rows."""
    assert list(encode(result, ONE, 2)) == [1.0, 3.0]


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_matrix() -> None:
    """A matrix is read as an array: its own rows and columns are matrices."""
    assert list(encode(np.asmatrix(LOW).T, ONE, 2)) == [1.0, 3.0]


def test_masked_values_are_null() -> None:
    """What NumPy masks is missing."""
    assert encode(np.ma.masked_less(LOW, 2.0), ONE, 2) == [None, 3.0]


BAD = {
    "other names": (pd.DataFrame({"p10": LOW, "p90": HIGH}), PAIR, "p10.*p90.*low.*high"),
    "one more": ({"low": LOW, "high": HIGH, "mid": LOW}, PAIR, "low.*high.*mid"),
    "one less": ({"low": LOW}, PAIR, "low"),
    "the same name twice": (pd.DataFrame(np.stack([LOW, HIGH]), columns=["p", "p"]), ONE, "the same name"),
    "names that become the same": ({0: LOW, "0": HIGH}, None, "the same name"),
    "several for one": (np.column_stack([LOW, HIGH]), ONE, "returned 2 columns"),
    "other keys per row": ([{"low": 1.0, "high": 2.0}, {"low": 1.0}], PAIR, "for row 1.*for row 0"),
    "complex numbers": (np.array([1j, 2j]), ONE, "1j"),
    "too few": (pd.Series([1.0]), ONE, "returned 1 value for 2 rows"),
}


@pytest.mark.parametrize(("result", "outputs", "words"), BAD.values(), ids=BAD)
def test_unmatched_result(result: Any, outputs: Any, words: str) -> None:
    """A result that doesn't match the declared outputs is refused, naming both."""
    with pytest.raises(ModelUnusable, match=words):
        encode(result, outputs, 2)


JSON = {
    "object": ("object", [{"a": 1.0}, {"b": [2]}], [{"a": 1.0}, {"b": [2]}]),
    "map": ("map", [{"a": 1.0}, {}], [{"a": 1.0}, {}]),
    "anything": ("any", [{"a": None}, "x"], [{"a": None}, "x"]),
    "array": ("array", [[1.0], []], [[1.0], []]),
    "matrix for an array": ("array", np.array([[1.0, 2.0], [3.0, 4.0]]), [[1.0, 2.0], [3.0, 4.0]]),
    "array by name": ("array", [{"v": [1.0]}, {"v": []}], [[1.0], []]),
}


@pytest.mark.parametrize(("mlflow_type", "result", "replies"), JSON.values(), ids=JSON)
def test_json_output(mlflow_type: str, result: Any, replies: Any) -> None:
    """A single output of an object, map or any type holds each row's dictionary as it is."""
    assert encode(result, (Output("v", "JSON", mlflow_type),), 2) == replies


def test_nested_outputs() -> None:
    """An output may be a list beside scalar ones."""
    outputs = (Output("label", "STRING", "string"), Output("scores", "JSON", "array"))
    rows = [{"scores": [1.0, 0.5], "label": "hi"}, {"label": "lo", "scores": []}]
    assert encode(rows, outputs, 2) == rows


PROBABILITIES = {
    "array": np.array([[0.9, 0.1], [0.2, 0.8]]),
    "frame by name": pd.DataFrame({"y": [0.1, 0.8], "n": [0.9, 0.2]}),
    "frame without names": pd.DataFrame([[0.9, 0.1], [0.2, 0.8]]),
    "frame in another order of rows": pd.DataFrame({"n": [0.2, 0.9], "y": [0.8, 0.1]}, index=[1, 0]),
}


@pytest.mark.parametrize("result", PROBABILITIES.values(), ids=PROBABILITIES)
def test_probabilities(result: Any) -> None:
    """Probabilities are found by the names of the classes, in the order of the rows."""
    assert results.probabilities(result, ["n", "y"], 2).tolist() == [[0.9, 0.1], [0.2, 0.8]]


@pytest.mark.parametrize("result", [pd.DataFrame({"a": [0.1, 0.2], "b": [0.9, 0.8]}), np.zeros((2, 3)), np.zeros(2)])
def test_unfit_probabilities(result: Any) -> None:
    """Other names or another shape than one column per class are refused."""
    with pytest.raises(ModelUnusable, match="predict_proba"):
        results.probabilities(result, ["n", "y"], 2)
