"""Whatever a model returns becomes strict JSON of the declared type, and GoogleSQL reads back what was meant."""

import datetime
import decimal
import json
import math
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
import scipy.sparse

from serving.contract import write as reply
from serving.encoding import encode, infer_outputs
from serving.errors import ModelUnusable
from serving.signature import Output
from tests.googlesql import to_json_string

NAN, INF = math.nan, math.inf
BIG = 2**53 + 1
MOMENT = datetime.datetime(2017, 3, 6, 12, 34, 56, 789012)
ZONED = datetime.datetime(2017, 3, 6, 14, 34, 56, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))


def declared(sql_type: str) -> tuple[Output, ...]:
    return (Output(None, sql_type),)


def strictly(values: list[Any]) -> list[Any]:
    """Return replies as a strict reader of JSON gets them."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    replies: list[Any] = json.loads(reply(values), parse_constant=refuse)["replies"]
    return replies


RETURNED: list[tuple[str, Any, list[Any]]] = [
    ("FLOAT64", np.array([1.5, NAN, INF, -INF]), [1.5, "NaN", "Infinity", "-Infinity"]),
    ("FLOAT64", np.array([0.1], np.float32), [float(np.float32(0.1))]),
    ("FLOAT64", np.array([1, 2]), [1.0, 2.0]),
    ("FLOAT64", np.array([[1.5], [2.5]]), [1.5, 2.5]),
    ("FLOAT64", np.array([1.5, None], object), [1.5, None]),
    ("FLOAT64", pd.Series([1.5, 2.5], index=[7, 3]), [1.5, 2.5]),
    ("FLOAT64", pd.Series([1.5, None], dtype="Float64"), [1.5, None]),
    ("FLOAT64", pd.DataFrame({"y": [1.5]}), [1.5]),
    ("FLOAT64", scipy.sparse.csr_matrix([[1.5], [0.0]]), [1.5, 0.0]),
    ("FLOAT64", [1.5, 2, np.float32(0.5), decimal.Decimal("2.5"), None], [1.5, 2.0, 0.5, 2.5, None]),
    ("FLOAT64", (1.5, NAN), [1.5, "NaN"]),
    ("INT64", np.array([1, -1]), [1, -1]),
    ("INT64", np.array([2**53, BIG, -BIG, -(2**63)]), [2**53, str(BIG), str(-BIG), str(-(2**63))]),
    ("INT64", np.array([255], np.uint8), [255]),
    ("INT64", np.array([1.0, 2.0]), [1, 2]),
    ("INT64", pd.Series([1, None], dtype="Int64"), [1, None]),
    ("INT64", [np.int32(5), 2**63 - 1], [5, str(2**63 - 1)]),
    ("BOOL", np.array([True, False]), [True, False]),
    ("BOOL", pd.Series([True, None], dtype="boolean"), [True, None]),
    ("BOOL", [np.bool_(True), None], [True, None]),
    ("STRING", np.array(["a", "ü"]), ["a", "ü"]),
    ("STRING", np.array(["a", None], object), ["a", None]),
    ("STRING", pd.Series(["a", None]), ["a", None]),
    ("STRING", pd.Series(["a"], dtype="category"), ["a"]),
    ("BYTES", [b"\x00\xff", None], ["AP8=", None]),
    ("TIMESTAMP", np.array(["2017-03-06T12:34:56.5", "NaT"], "datetime64[ns]"), ["2017-03-06T12:34:56.500000Z", None]),
    ("TIMESTAMP", [MOMENT, ZONED], ["2017-03-06T12:34:56.789012Z", "2017-03-06T12:34:56.000000Z"]),
    ("JSON", [{"a": NAN, 1: [np.int64(2), None, pd.NA]}], [{"a": "NaN", "1": [2, None, None]}]),
    (
        "JSON",
        [{"at": MOMENT, "day": MOMENT.date(), "b": b"a"}],
        [{"at": "2017-03-06T12:34:56.789012Z", "day": "2017-03-06", "b": "YQ=="}],
    ),
    ("JSON", [decimal.Decimal("123.56"), decimal.Decimal("7")], ["123.56", 7]),
    ("JSON", [np.array([1.5, INF])], [[1.5, "Infinity"]]),
    ("JSON", np.array([[1.5, 2.0]]), [{"0": 1.5, "1": 2.0}]),
    ("JSON", pd.DataFrame({"low": [1], "high": ["x"]}), [{"low": 1, "high": "x"}]),
    ("JSON", {"low": np.array([1.5]), "high": [2]}, [{"low": 1.5, "high": 2}]),
    ("JSON", np.zeros((1, 2, 2)), [[[0.0, 0.0], [0.0, 0.0]]]),
]


@pytest.mark.parametrize(("sql_type", "result", "expected"), RETURNED, ids=lambda value: str(value)[:40])
def test_a_result_becomes_one_strict_value_a_row(sql_type: str, result: Any, expected: list[Any]) -> None:
    assert strictly(encode(result, declared(sql_type), len(expected))) == expected


READ_BACK = {
    "FLOAT64": "CAST({} AS FLOAT64)",
    "INT64": "CAST({} AS INT64)",
    "BOOL": "CAST({} AS BOOL)",
    "STRING": "{}",
    "BYTES": "FROM_BASE64({})",
    "TIMESTAMP": "CAST({} AS TIMESTAMP)",
}
MEANT: list[tuple[str, Any, str]] = [
    ("FLOAT64", 0.1, "0.1"),
    ("FLOAT64", 5e-324, "5e-324"),
    ("FLOAT64", 1.7976931348623157e308, "1.7976931348623157e308"),
    ("FLOAT64", NAN, "CAST('NaN' AS FLOAT64)"),
    ("FLOAT64", -INF, "CAST('-inf' AS FLOAT64)"),
    ("INT64", BIG, str(BIG)),
    ("INT64", -(2**63), "-9223372036854775808"),
    ("INT64", 0, "0"),
    ("BOOL", False, "FALSE"),
    ("STRING", 'Zürich "q" \\ \n 🦆', "'Zürich \"q\" \\\\ \\n 🦆'"),
    ("BYTES", b"\x00\xfe", "b'\\x00\\xfe'"),
    ("TIMESTAMP", MOMENT, "TIMESTAMP '2017-03-06 12:34:56.789012+00'"),
    ("TIMESTAMP", datetime.datetime(1, 1, 1), "TIMESTAMP '0001-01-01 00:00:00+00'"),
]


@pytest.mark.parametrize(("sql_type", "value", "expression"), MEANT, ids=lambda value: str(value)[:40])
def test_googlesql_reads_back_what_the_model_returned(sql_type: str, value: Any, expression: str) -> None:
    written = orjson.dumps(encode([value], declared(sql_type), 1)[0]).decode()
    literal = "JSON " + json.dumps(written, ensure_ascii=False)
    read = READ_BACK[sql_type].format(f"JSON_VALUE({literal})")
    assert to_json_string(read) == to_json_string(expression)


@pytest.mark.parametrize(
    ("sql_type", "result"),
    [
        ("FLOAT64", ["1.5"]), ("FLOAT64", [True]), ("FLOAT64", [b"1"]), ("FLOAT64", [[1.5]]), ("FLOAT64", [{}]),
        ("INT64", [1.5]), ("INT64", np.array([1.5])), ("INT64", [NAN]), ("INT64", [INF]), ("INT64", [2**63]), ("INT64", ["1"]), ("INT64", [True]),
        ("BOOL", [1]), ("BOOL", ["true"]), ("BOOL", np.array([0])),
        ("STRING", [1]), ("STRING", [b"a"]), ("STRING", np.array([1.5])),
        ("BYTES", ["text"]), ("TIMESTAMP", ["yesterday"]), ("JSON", [1j]), ("JSON", [{"a": [1j]}]),
    ],
    ids=str,
)  # fmt: skip
def test_a_value_that_the_declared_type_cannot_hold_is_an_error(sql_type: str, result: Any) -> None:
    with pytest.raises(ModelUnusable, match=f"for row 0, where {sql_type} is declared"):
        encode(result, declared(sql_type), 1)


@pytest.mark.parametrize(
    "result",
    [None, 1.5, "texts", np.float64(1), np.array(1.5), [], [1.5], [1, 2, 3], np.zeros((3, 1)), pd.DataFrame(), {}],
    ids=str,
)
def test_another_number_of_values_than_rows_is_an_error(result: Any) -> None:
    with pytest.raises(ModelUnusable, match="expected one value per row"):
        encode(result, declared("FLOAT64"), 2)


def test_several_outputs_are_one_object_a_row_under_the_names_of_the_signature() -> None:
    outputs = (Output("low", "FLOAT64"), Output("high", "INT64"))
    assert encode(np.array([[1.5, 2.0], [NAN, 4.0]]), outputs, 2) == [
        {"low": 1.5, "high": 2},
        {"low": "NaN", "high": 4},
    ]


def test_another_number_of_columns_than_declared_outputs_is_an_error() -> None:
    with pytest.raises(ModelUnusable, match="returned 2 columns, its signature declares 1 outputs"):
        encode(np.zeros((1, 2)), declared("FLOAT64"), 1)


@pytest.mark.parametrize(
    ("result", "sql_type"),
    [
        (np.array([1.5]), "FLOAT64"),
        (np.array([1]), "INT64"),
        (np.array([True]), "BOOL"),
        (np.array(["a"]), "STRING"),
        (np.array(["a", None], object), "STRING"),
        (pd.Series(["a"]), "STRING"),
        (pd.Series([1, None], dtype="Int64"), "INT64"),
        ([1, 2.5], "FLOAT64"),
        (["a"], "STRING"),
        ([b"a"], "BYTES"),
        (np.array(["2020-01-01"], "datetime64[ns]"), "TIMESTAMP"),
        ([{"a": 1}], "JSON"),
        ([None], "JSON"),
        ([1, "a"], "JSON"),
    ],
    ids=str,
)
def test_without_declared_outputs_the_type_is_what_a_prediction_shows(result: Any, sql_type: str) -> None:
    assert infer_outputs(result, len(result)) == (Output("0", sql_type),)


def test_a_text_that_is_no_unicode_is_an_error_naming_its_row() -> None:
    with pytest.raises(ModelUnusable, match="row 1 cannot be written"):
        reply(encode(["fine", "\ud800"], declared("STRING"), 2))


def test_json_nested_deeper_than_json_writers_go_is_an_error() -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(ModelUnusable, match="row 0 cannot be written"):
        reply(encode([deep], declared("JSON"), 1))
