"""Every encoding that GoogleSQL has for a value is understood, in every row, mixed within a column."""

import base64
import datetime
import math
from typing import Any

import numpy as np
import orjson
import pytest

from serving.contract import read
from serving.decoding import decode_column, from_request
from serving.signature import Column, Signature
from serving.types import TYPES
from tests.googlesql import to_json_string

TWO_NUMBERS = Signature((Column("a", "double", "FLOAT64"), Column("b", "double", "FLOAT64")), None)


def column(kind: str, **detail: Any) -> Column:
    return Column("c", kind, TYPES[kind].sql_type, detail={"type": kind, **detail})


def micros(text: str) -> np.datetime64:
    return np.datetime64(text, "ns")


# kind, GoogleSQL expression, what the model should see
MEANT: list[tuple[str, str, Any]] = [
    ("double", "1.0", 1.0),
    ("double", "-0.0", 0.0),
    ("double", "0.1", 0.1),
    ("double", "1e300", 1e300),
    ("double", "5e-324", 5e-324),
    ("double", "1.7976931348623157e308", 1.7976931348623157e308),
    ("double", "123456789.123456789", 123456789.123456789),
    ("double", "CAST(9007199254740993 AS FLOAT64)", 9007199254740992.0),
    ("double", "CAST('NaN' AS FLOAT64)", math.nan),
    ("double", "CAST('inf' AS FLOAT64)", math.inf),
    ("double", "CAST('-inf' AS FLOAT64)", -math.inf),
    ("double", "NUMERIC '123.56'", 123.56),
    ("double", "NUMERIC '-0.000000001'", -1e-9),
    ("double", "NUMERIC '42'", 42.0),
    ("double", "NUMERIC '9007199254740993'", 9007199254740992.0),
    ("double", "BIGNUMERIC '1234567890123456789012345678901234567.5'", 1234567890123456789012345678901234567.5),
    ("double", "9007199254740992", 9007199254740992.0),
    ("double", "9223372036854775807", 9223372036854775807.0),
    ("float", "0.1", np.float32(0.1)),
    ("float", "NUMERIC '2.5'", np.float32(2.5)),
    ("float", "CAST('-inf' AS FLOAT64)", np.float32(-math.inf)),
    ("long", "0", 0),
    ("long", "-1", -1),
    ("long", "9007199254740992", 2**53),
    ("long", "9007199254740993", 2**53 + 1),
    ("long", "-9007199254740993", -(2**53) - 1),
    ("long", "9223372036854775807", 2**63 - 1),
    ("long", "-9223372036854775808", -(2**63)),
    ("long", "7.0", 7),
    ("long", "NUMERIC '12'", 12),
    ("integer", "2147483647", 2**31 - 1),
    ("integer", "-2147483648", -(2**31)),
    ("boolean", "TRUE", True),
    ("boolean", "FALSE", False),
    ("string", "''", ""),
    ("string", "'NaN'", "NaN"),
    ("string", "'null'", "null"),
    ("string", "'Zürich \"quoted\" \\\\ \\n \\t'", 'Zürich "quoted" \\ \n \t'),
    ("string", "'日本 🦆'", "日本 🦆"),
    ("string", "'\\x01\\u2028'", "\x01\u2028"),
    ("binary", "b''", b""),
    ("binary", "b'\\x00\\xff\\xfe'", b"\x00\xff\xfe"),
    ("binary", "b'ab'", b"ab"),
    ("datetime", "TIMESTAMP '2017-03-06 12:34:56+00'", micros("2017-03-06T12:34:56")),
    ("datetime", "TIMESTAMP '2017-03-06 12:34:56.5+00'", micros("2017-03-06T12:34:56.5")),
    ("datetime", "TIMESTAMP '2017-03-06 12:34:56.789012+00'", micros("2017-03-06T12:34:56.789012")),
    ("datetime", "TIMESTAMP '2017-03-06 12:34:56+02'", micros("2017-03-06T10:34:56")),
    ("datetime", "TIMESTAMP '1969-12-31 23:59:59.999999+00'", micros("1969-12-31T23:59:59.999999")),
    ("datetime", "TIMESTAMP '1678-01-01 00:00:00+00'", micros("1678-01-01")),
    ("datetime", "DATETIME '2017-03-06 12:34:56.5'", micros("2017-03-06T12:34:56.5")),
    ("datetime", "DATE '2024-02-29'", micros("2024-02-29")),
    ("any", 'JSON \'{"a": [1, 2.5, null, "x"], "b": {"c": true}}\'', {"a": [1, 2.5, None, "x"], "b": {"c": True}}),
    ("any", "JSON '17'", 17),
]


def same(value: Any, meant: Any) -> bool:
    if isinstance(meant, float | np.floating) and np.isnan(meant):
        return bool(np.isnan(value))
    return bool(value == meant)


@pytest.mark.parametrize(("kind", "expression", "meant"), MEANT, ids=lambda value: str(value)[:50])
def test_what_googlesql_writes_is_read_as_what_was_meant(kind: str, expression: str, meant: Any) -> None:
    decoded = decode_column(column(kind), [orjson.loads(to_json_string(expression))])
    assert not decoded.errors
    assert same(decoded.array[0], meant)


@pytest.mark.parametrize("kind", sorted({kind for kind, _, _ in MEANT}))
def test_a_value_means_the_same_alone_and_mixed_with_all_others_and_nulls(kind: str) -> None:
    sent: list[Any] = [None]
    meant: list[Any] = [None]
    for of, expression, value in MEANT:
        if of == kind:
            sent += [orjson.loads(to_json_string(expression)), None]
            meant += [value, None]
    for order in (slice(None), slice(None, None, -1)):
        decoded = decode_column(column(kind), sent[order])
        assert not decoded.errors
        assert decoded.nulls.tolist() == [value is None for value in meant[order]]
        for value, expected in zip(decoded.array, meant[order], strict=True):
            assert expected is None or same(value, expected)


DTYPES = {"boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64"}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("values", [[], [None], [None, None]], ids=str)
def test_a_column_without_values_has_its_dtype_all_the_same(kind: str, values: list[None]) -> None:
    decoded = decode_column(column(kind, items={"type": "double"}, values={"type": "double"}, properties={}), values)
    expected = DTYPES.get(kind, "datetime64[ns]" if kind == "datetime" else "object")
    assert decoded.array.dtype == np.dtype(expected)
    assert decoded.nulls.tolist() == [True] * len(values)
    assert not decoded.errors


BAD: list[tuple[str, Any]] = [
    ("boolean", 1), ("boolean", "true"), ("boolean", 0.0), ("boolean", []),
    ("integer", 2**31), ("integer", -(2**31) - 1), ("integer", 1.5), ("integer", "x"), ("integer", True),
    ("long", 2**63), ("long", -(2**63) - 1), ("long", "9223372036854775808"), ("long", 1.5), ("long", 1e19), ("long", 2.0**60),
    ("long", "1.0"), ("long", ""), ("long", "٣"), ("long", True), ("long", "9" * 10_000), ("long", {}),
    ("float", 1e39), ("float", "x"), ("float", True),
    ("double", "1e5"), ("double", "nan"), ("double", "inf"), ("double", "+1"), ("double", "0x1"), ("double", True), ("double", [1.0]),
    ("string", 1), ("string", True), ("string", ["x"]), ("string", {"a": 1}),
    ("binary", "x"), ("binary", "YQ"), ("binary", "YQ==\n"), ("binary", "ü"), ("binary", 5), ("binary", []),
    ("datetime", "2017-02-30"), ("datetime", "2017-13-01"), ("datetime", "2017"), ("datetime", "today"), ("datetime", "NaT"),
    ("datetime", "2017-03-06T25:00:00Z"), ("datetime", "2017-03-06T12:34:56.1234567Z"), ("datetime", "9999-12-31"),
    ("datetime", "0001-01-01T00:00:00Z"), ("datetime", 1489000000), ("datetime", "2017-03-06T12:34:56+02:00"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), BAD, ids=lambda value: str(value)[:30])
def test_what_a_column_cannot_hold_is_a_fault_of_its_row_alone(kind: str, value: Any) -> None:
    good = next(orjson.loads(to_json_string(expression)) for of, expression, _ in MEANT if of == kind)
    decoded = decode_column(column(kind), [good, None, value, good])
    assert list(decoded.errors) == [2]
    assert decoded.errors[2].startswith("Row 2, column c: ")
    assert decoded.array[0] == decoded.array[3]


ITEMS = {"type": "double"}
POINT = {"type": "object", "properties": {"x": {"type": "double"}, "tag": {"type": "string", "required": False}}}
STRUCTURED: list[tuple[str, dict[str, Any], Any, Any]] = [
    ("array", {"items": ITEMS}, [1, 2.5, "NaN"], [1.0, 2.5, math.nan]),
    (
        "array",
        {"items": {"type": "array", "items": {"type": "long"}}},
        [[1], [], ["9007199254740993"]],
        [[1], [], [2**53 + 1]],
    ),
    ("array", {"items": {"type": "datetime"}}, ["2020-01-01T00:00:00Z"], [datetime.datetime(2020, 1, 1)]),
    ("map", {"values": ITEMS}, {"a": 1, "b": "123.5"}, {"a": 1.0, "b": 123.5}),
    ("object", {"properties": POINT["properties"]}, {"x": 1, "tag": None, "more": 5}, {"x": 1.0, "tag": None}),
    ("object", {"properties": POINT["properties"]}, {"x": 1}, {"x": 1.0}),
]


@pytest.mark.parametrize(("kind", "detail", "value", "meant"), STRUCTURED, ids=str)
def test_json_is_decoded_by_what_the_signature_says_it_holds(kind: str, detail: Any, value: Any, meant: Any) -> None:
    decoded = decode_column(column(kind, **detail), [value])
    assert not decoded.errors
    np.testing.assert_equal(decoded.array[0], meant)


@pytest.mark.parametrize(
    ("kind", "detail", "value", "words"),
    [
        ("array", {"items": ITEMS}, {"a": 1}, "should be of type array"),
        ("array", {"items": ITEMS}, [1, "x"], "[1]"),
        ("map", {"values": ITEMS}, {"a": True}, ".a"),
        ("object", {"properties": POINT["properties"]}, {"tag": "t"}, "lacks 'x'"),
        ("array", {"items": POINT}, [{"x": 1}, {"x": "one"}], "[1].x"),
    ],
    ids=str,
)
def test_a_fault_within_json_names_its_path(kind: str, detail: Any, value: Any, words: str) -> None:
    assert words in decode_column(column(kind, **detail), [value]).errors[0]


def test_bytes_survive_whatever_they_are() -> None:
    payload = bytes(range(256))
    decoded = decode_column(column("binary"), [base64.b64encode(payload).decode()])
    assert decoded.array[0] == payload


def test_each_day_of_four_years_is_read_as_that_day() -> None:
    days = [datetime.date(2023, 1, 1) + datetime.timedelta(days=at) for at in range(1461)]
    decoded = decode_column(column("datetime"), [day.isoformat() for day in days])
    assert decoded.array.astype("datetime64[D]").tolist() == days


@pytest.mark.parametrize(
    "body",
    [
        '{"userDefinedContext": {"on_null": "pass"}, "calls": [[1, 2]]}',
        '{"calls": [[1, 2]], "userDefinedContext": {"on_null": "pass"}}',
        '{"x": {"calls": [[9]]}, "userDefinedContext": {"on_null": "pass"}, "calls": [[1, 2]]}',
        '{"requestId": "calls", "userDefinedContext": {"on_null": "pass"}, "calls": [[1, 2]] }\n',
        '{"calls": [[9, 9]], "userDefinedContext": {"on_null": "pass"}, "calls" : [[1, 2]]}',
        '{"calls": [[1, 2]], "userDefinedContext": {"on_null": "pass"}, "z": []}',
    ],
)
def test_a_request_is_read_whole_in_any_order_of_its_fields(body: str) -> None:
    request = read(body.encode())
    assert request.context == {"on_null": "pass"}
    assert from_request(TWO_NUMBERS, request)["b"].tolist() == [2.0]
