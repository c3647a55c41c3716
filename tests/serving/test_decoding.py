"""Decoding whole columns; what a single value of each type becomes is in test_types.py."""

import base64
import datetime
from typing import Any

import numpy as np
import pytest

from serving.decoding import decode_column
from serving.rows import DecodedColumn
from serving.signature import Column
from serving.types import TYPES


def decode(mlflow_type: str, *values: Any, **detail: Any) -> DecodedColumn:
    """Return a decoded column; `detail` is MLflow's JSON of what an array, object or map holds."""
    column = Column("c", mlflow_type, TYPES[mlflow_type].sql_type, detail={"type": mlflow_type, **detail})
    return decode_column(column, values)


DOUBLE = {"type": "double"}
POINT = {"type": "object", "properties": {"x": DOUBLE, "tag": {"type": "string", "required": False}}}


@pytest.mark.parametrize(
    ("items", "value", "expected"),
    [
        ({"type": "array", "items": {"type": "long"}}, [[1], [], ["9007199254740993"]], [[1], [], [2**53 + 1]]),
        ({"type": "datetime"}, ["2020-01-01T00:00:00Z"], [datetime.datetime(2020, 1, 1)]),
        ({"type": "map", "values": {"type": "binary"}}, [{"a": "YQ=="}], [{"a": b"a"}]),
        (POINT, [{"x": 1, "tag": None}, {"x": "2.5"}], [{"x": 1.0, "tag": None}, {"x": 2.5}]),
    ],
    ids=str,
)
def test_nested_json(items: Any, value: Any, expected: Any) -> None:
    """A value within JSON has the type that the signature declares for it."""
    decoded = decode("array", value, items=items)
    assert not decoded.errors
    np.testing.assert_equal(decoded.array[0], expected)


@pytest.mark.parametrize(
    ("mlflow_type", "detail", "value", "words"),
    [
        ("array", {"items": DOUBLE}, {"a": 1}, "should be of type array"),
        ("array", {"items": DOUBLE}, [1, "x"], "[1]"),
        ("map", {"values": DOUBLE}, {"a": True}, ".a"),
        ("object", POINT, {"tag": "t"}, "lacks 'x'"),
        ("array", {"items": POINT}, [{"x": 1}, {"x": "one"}], "[1].x"),
    ],
    ids=str,
)
def test_bad_value_within_json(mlflow_type: str, detail: Any, value: Any, words: str) -> None:
    """An error within JSON names the path to the value."""
    assert words in decode(mlflow_type, value, **{**detail, "type": mlflow_type}).errors[0]


def test_every_byte() -> None:
    """BYTES may contain any byte."""
    payload = bytes(range(256))
    assert decode("binary", base64.b64encode(payload).decode()).array[0] == payload


def test_every_day_of_four_years() -> None:
    """Each date is decoded to that day, including February 29."""
    days = [datetime.date(2023, 1, 1) + datetime.timedelta(days=day) for day in range(1461)]
    assert decode("datetime", *(day.isoformat() for day in days)).array.astype("datetime64[D]").tolist() == days


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]], ids=str)
def test_errors_in_any_order(order: list[int]) -> None:
    """Which values of a column are errors does not depend on the order of its rows."""
    values = [1, "x", None, "2.5", True]
    errors = decode("double", *(values[row] for row in order)).errors
    assert {order[row] for row in errors} == {1, 4}
