"""The MLflow types, one row each: what serving/types.py must read, reject, write, infer and hand to a model.

A new type needs a row in EXPECTED. The JSON of a value comes from GoogleSQL itself, and GoogleSQL reads the replies
back.
"""

import datetime
import decimal
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest

from serving.contract import write
from serving.decoding import decode_column
from serving.encoding import as_list, encode, settle_outputs
from serving.errors import BadRequest, ModelUnusable
from serving.model_input import InputForm
from serving.options import read_params
from serving.rows import Block, Rows
from serving.signature import Column, Output, Parameter, Signature
from serving.types import TYPES
from tests.googlesql import to_json_string

NAN, INF, NAT = math.nan, math.inf, np.datetime64("NaT")
BIG = 2**53 + 1  # the smallest positive integer that FLOAT64 doesn't hold
MOMENT = datetime.datetime(2017, 3, 6, 12, 34, 56, 789012)
ZONED = datetime.datetime(2017, 3, 6, 14, 34, 56, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))


def ns(text: str) -> np.datetime64:
    return np.datetime64(text, "ns")


@dataclass(frozen=True)
class Expected:
    """What must hold for one MLflow type.

    `reads` maps GoogleSQL expressions to the values that the model gets, and `rejects` lists JSON values of other
    types. `writes` pairs results of a model with its replies, and `unwritable` lists single results that the SQL type
    can't hold. `literals` pairs single results with GoogleSQL expressions that equal what `cast` makes of the reply.
    `pandas` are the dtypes of a required column without NULLs and of any other; `infers` are results for which a model
    without declared outputs gets this SQL type; `params` and `bad_params` are values of an inference parameter.
    """

    sql_type: str
    dtype: str
    filler: Any
    reads: Mapping[str, Any]
    rejects: Sequence[Any]
    writes: Sequence[tuple[Any, list[Any]]]
    unwritable: Sequence[Any]
    pandas: tuple[str, str]
    infers: Sequence[Any] = ()
    params: Sequence[Any] = ()
    bad_params: Sequence[Any] = ()
    cast: str = ""
    literals: Sequence[tuple[Any, str]] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)  # MLflow's JSON of the type


# fmt: off
EXPECTED = {
    "boolean": Expected(
        sql_type="BOOL", dtype="bool", filler=False, pandas=("bool", "boolean"),
        reads={"TRUE": True, "FALSE": False},
        rejects=[1, "true", 0.0, []],
        writes=[
            (np.array([True, False]), [True, False]),
            ([np.bool_(True), None, NAN], [True, None, None]),
            (np.array([0, 1]), [False, True]),
            (np.array([0.0, 1.0, NAN]), [False, True, None]),
        ],
        unwritable=[2, "true", "1", 0.5, np.int64(-1)],
        infers=[np.array([True]), [True, None], [np.bool_(True)]],
        params=[True], bad_params=[1, "true", None],
        cast="CAST({} AS BOOL)", literals=[(False, "FALSE")],
    ),
    "integer": Expected(
        sql_type="INT64", dtype="int32", filler=0, pandas=("int32", "Int32"),
        reads={"2147483647": 2**31 - 1, "-2147483648": -(2**31), "NUMERIC '-5'": -5},
        rejects=[2**31, -(2**31) - 1, 1.5, "x", True],
        writes=[(np.array([1, -1], np.int32), [1, -1]), ([np.int32(5), None], [5, None])],
        unwritable=[1.5, "1", True],
        infers=[np.array([1], np.int32), [np.int32(1)]],
        params=[1, -1], bad_params=[1.5, "1", True, None],
    ),
    "long": Expected(
        sql_type="INT64", dtype="int64", filler=0, pandas=("int64", "Int64"),
        reads={
            "0": 0, "-1": -1, "9007199254740992": 2**53, "9007199254740993": BIG, "-9007199254740993": -BIG,
            "9223372036854775807": 2**63 - 1, "-9223372036854775808": -(2**63), "7.0": 7, "NUMERIC '12'": 12,
        },
        rejects=[
            2**63, -(2**63) - 1, "9223372036854775808", 1.5, 1e19, 2.0**60, "1.0", "", "٣", True, "9" * 10_000, {},
        ],
        writes=[
            (np.array([1, -1]), [1, -1]),
            (np.array([2**53, BIG, -BIG, -(2**63)]), [2**53, str(BIG), str(-BIG), str(-(2**63))]),
            (np.array([255], np.uint8), [255]),
            (np.array([1.0, 2.0]), [1, 2]),
            (np.array([1.0, NAN]), [1, None]),  # how NumPy marks a missing integer
            ([np.int32(5), 2**63 - 1], [5, str(2**63 - 1)]),
        ],
        unwritable=[1.5, np.float64(1.5), INF, 2**63, "1", True],
        infers=[np.array([1]), np.array([1], np.uint8), [1, None], pd.Series([1, None], dtype="Int64")],
        params=[1, -1], bad_params=[1.5, "1", True, None],
        cast="CAST({} AS INT64)", literals=[(BIG, str(BIG)), (-(2**63), "-9223372036854775808"), (0, "0")],
    ),
    "float": Expected(
        sql_type="FLOAT64", dtype="float32", filler=NAN, pandas=("float32", "float32"),
        reads={"0.1": np.float32(0.1), "NUMERIC '2.5'": np.float32(2.5), "CAST('-inf' AS FLOAT64)": np.float32(-INF)},
        rejects=[1e39, "x", True],
        writes=[(np.array([0.1], np.float32), [float(np.float32(0.1))])],
        unwritable=["1.5", True],
        infers=[np.array([1.5], np.float32)],
        params=[1, 1.5], bad_params=["1", True, None],
    ),
    "double": Expected(
        sql_type="FLOAT64", dtype="float64", filler=NAN, pandas=("float64", "float64"),
        reads={
            "1.0": 1.0, "-0.0": 0.0, "0.1": 0.1, "1e300": 1e300, "5e-324": 5e-324,
            "1.7976931348623157e308": 1.7976931348623157e308, "123456789.123456789": 123456789.123456789,
            "CAST(9007199254740993 AS FLOAT64)": 9007199254740992.0,
            "CAST('NaN' AS FLOAT64)": NAN, "CAST('inf' AS FLOAT64)": INF, "CAST('-inf' AS FLOAT64)": -INF,
            "NUMERIC '123.56'": 123.56, "NUMERIC '-0.000000001'": -1e-9, "NUMERIC '42'": 42.0,
            "NUMERIC '9007199254740993'": 9007199254740992.0,
            "BIGNUMERIC '1234567890123456789012345678901234567.5'": 1234567890123456789012345678901234567.5,
            "9007199254740992": 9007199254740992.0, "9223372036854775807": 9223372036854775807.0,
        },
        rejects=["1e5", "nan", "inf", "+1", "0x1", True, [1.0]],
        writes=[
            (np.array([1.5, NAN, INF, -INF]), [1.5, "NaN", "Infinity", "-Infinity"]),
            (np.array([1, 2]), [1.0, 2.0]),
            (np.array([1.5, None], object), [1.5, None]),
            ([1.5, 2, np.float32(0.5), decimal.Decimal("2.5"), None], [1.5, 2.0, 0.5, 2.5, None]),
        ],
        unwritable=["1.5", True, b"1", [1.5, 2.5], {}],
        infers=[np.array([1.5]), [1, 2.5], [np.float32(1), None]],
        params=[1, 1.5], bad_params=["1", True, None],
        cast="CAST({} AS FLOAT64)",
        literals=[
            (0.1, "0.1"), (5e-324, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e308"),
            (NAN, "CAST('NaN' AS FLOAT64)"), (-INF, "CAST('-inf' AS FLOAT64)"),
        ],
    ),
    "string": Expected(
        sql_type="STRING", dtype="object", filler=None, pandas=("str", "object"),
        reads={
            "''": "", "'NaN'": "NaN", "'null'": "null", "'Zürich \"quoted\" \\\\ \\n \\t'": 'Zürich "quoted" \\ \n \t',
            "'日本 🦆'": "日本 🦆", "'\\x01\\u2028'": "\x01\u2028",
        },
        rejects=[1, True, ["x"], {"a": 1}],
        writes=[
            (np.array(["a", "ü"]), ["a", "ü"]),
            (np.array(["a", None], object), ["a", None]),
            (["a", NAN], ["a", None]),  # pandas marks a missing string with NaN
        ],
        unwritable=[1, b"a", np.float64(1.5)],
        infers=[np.array(["a"]), np.array(["a", None], object), pd.Series(["a"]), ["a"]],
        params=["a"], bad_params=[1, True, None],
        cast="{}", literals=[('Zürich "q" \\ \n 🦆', "'Zürich \"q\" \\\\ \\n 🦆'")],
    ),
    "binary": Expected(
        sql_type="BYTES", dtype="object", filler=None, pandas=("object", "object"),
        reads={"b''": b"", "b'\\x00\\xff\\xfe'": b"\x00\xff\xfe", "b'ab'": b"ab"},
        rejects=["x", "YQ", "YQ==\n", "ü", 5, []],
        writes=[([b"\x00\xff", None], ["AP8=", None])],
        unwritable=["text"],
        infers=[[b"a"], np.array([b"a"])],
        params=["YQ=="], bad_params=[1, None],
        cast="FROM_BASE64({})", literals=[(b"\x00\xfe", "b'\\x00\\xfe'")],
    ),
    "datetime": Expected(
        sql_type="TIMESTAMP", dtype="datetime64[ns]", filler=NAT, pandas=("datetime64[ns]", "datetime64[ns]"),
        reads={
            "TIMESTAMP '2017-03-06 12:34:56+00'": ns("2017-03-06T12:34:56"),
            "TIMESTAMP '2017-03-06 12:34:56.5+00'": ns("2017-03-06T12:34:56.5"),
            "TIMESTAMP '2017-03-06 12:34:56.789012+00'": ns("2017-03-06T12:34:56.789012"),
            "TIMESTAMP '2017-03-06 12:34:56+02'": ns("2017-03-06T10:34:56"),
            "TIMESTAMP '1969-12-31 23:59:59.999999+00'": ns("1969-12-31T23:59:59.999999"),
            "TIMESTAMP '1678-01-01 00:00:00+00'": ns("1678-01-01"),
            "DATETIME '2017-03-06 12:34:56.5'": ns("2017-03-06T12:34:56.5"),
            "DATE '2024-02-29'": ns("2024-02-29"),
        },
        rejects=[
            "2017-02-30", "2017-13-01", "2017", "today", "NaT", "2017-03-06T25:00:00Z", "2017-03-06T12:34:56.1234567Z",
            "9999-12-31", "0001-01-01T00:00:00Z", 1489000000, "2017-03-06T12:34:56+02:00",
        ],
        writes=[
            (np.array(["2017-03-06T12:34:56.5", "NaT"], "datetime64[ns]"), ["2017-03-06T12:34:56.500000Z", None]),
            ([MOMENT, ZONED], ["2017-03-06T12:34:56.789012Z", "2017-03-06T12:34:56.000000Z"]),
        ],
        unwritable=["yesterday"],
        infers=[np.array(["2020-01-01"], "datetime64[ns]"), [MOMENT], [pd.Timestamp(MOMENT), pd.NaT]],
        params=["2020-01-01T00:00:00"], bad_params=[1, None],
        cast="CAST({} AS TIMESTAMP)",
        literals=[
            (MOMENT, "TIMESTAMP '2017-03-06 12:34:56.789012+00'"),
            (datetime.datetime(1, 1, 1), "TIMESTAMP '0001-01-01 00:00:00+00'"),
            (np.datetime64("0001-01-01"), "TIMESTAMP '0001-01-01 00:00:00+00'"),
        ],
    ),
    "array": Expected(
        sql_type="JSON", dtype="object", filler=None, pandas=("object", "object"),
        detail={"items": {"type": "double"}},
        reads={"JSON '[1, 2.5, \"NaN\"]'": [1.0, 2.5, NAN], "JSON '[]'": []},
        rejects=[{"a": 1}, [1, "x"], "[1]"],
        writes=[([np.array([1.5, INF])], [[1.5, "Infinity"]])],
        unwritable=[[1j]],
    ),
    "object": Expected(
        sql_type="JSON", dtype="object", filler=None, pandas=("object", "object"),
        detail={"properties": {"x": {"type": "double"}, "tag": {"type": "string", "required": False}}},
        reads={
            'JSON \'{"x": 1, "tag": null, "more": 5}\'': {"x": 1.0, "tag": None}, 'JSON \'{"x": 1}\'': {"x": 1.0},
        },
        rejects=[{"tag": "t"}, {"x": "one"}, {"x": 1, "tag": 5}, [1]],
        writes=[(
            [{"at": MOMENT, "day": MOMENT.date(), "b": b"a"}, None],
            [{"at": "2017-03-06T12:34:56.789012Z", "day": "2017-03-06", "b": "YQ=="}, None],
        )],
        unwritable=[{"a": [1j]}],
    ),
    "map": Expected(
        sql_type="JSON", dtype="object", filler=None, pandas=("object", "object"),
        detail={"values": {"type": "double"}},
        reads={'JSON \'{"a": 1, "b": "123.5"}\'': {"a": 1.0, "b": 123.5}, "JSON '{}'": {}},
        rejects=[{"a": True}, [1]],
        writes=[([{"a": NAN, 1: [np.int64(2), None, pd.NA]}], [{"a": "NaN", "1": [2, None, None]}])],
        unwritable=[{"a": 1j}],
    ),
    "any": Expected(
        sql_type="JSON", dtype="object", filler=None, pandas=("object", "object"),
        reads={
            'JSON \'{"a": [1, 2.5, null, "x"], "b": {"c": true}}\'': {"a": [1, 2.5, None, "x"], "b": {"c": True}},
            "JSON '17'": 17,
        },
        rejects=[],
        writes=[
            ([decimal.Decimal("123.56"), decimal.Decimal("7")], ["123.56", 7]),
            ([True, "a", 2**64, (1, 2)], [True, "a", str(2**64), [1, 2]]),
        ],
        unwritable=[1j],
        infers=[[{"a": 1}], [None], [1, "a"], [[1.5]]],
        params=["a"], bad_params=[1, None],
    ),
}
# fmt: on


def cases(name: str) -> list[Any]:
    """Return every case of a field of EXPECTED with its type, as pytest's parameters."""
    found = []
    for mlflow_type, expected in EXPECTED.items():
        values = getattr(expected, name)
        for case in values.items() if isinstance(values, dict) else values:
            text = str(case[0] if isinstance(case, tuple) else case)[:40]
            found.append(pytest.param(mlflow_type, case, id=f"{mlflow_type}-{text}"))
    return found


def column(mlflow_type: str, *, required: bool = True) -> Column:
    detail = {"type": mlflow_type, **EXPECTED[mlflow_type].detail}
    return Column("c", mlflow_type, TYPES[mlflow_type].sql_type, required, detail)


def declared(mlflow_type: str) -> tuple[Output, ...]:
    return (Output(None, EXPECTED[mlflow_type].sql_type),)


def sent(expression: str) -> Any:
    """Return the JSON value that BigQuery sends for a GoogleSQL expression."""
    return orjson.loads(to_json_string(expression))


def assert_same(value: Any, expected: Any) -> None:
    if isinstance(expected, list | dict):
        np.testing.assert_equal(value, expected)
    else:
        assert value == expected or (value != value and expected != expected)  # NaN and NaT


def test_every_type_listed() -> None:
    """This table has the same types as TYPES."""
    assert EXPECTED.keys() == TYPES.keys()


@pytest.mark.parametrize("mlflow_type", EXPECTED)
def test_sql_type_and_dtype(mlflow_type: str) -> None:
    """A type has its SQL type, its NumPy dtype, and a filler that an array of the dtype can hold."""
    row, expected = TYPES[mlflow_type], EXPECTED[mlflow_type]
    assert (row.sql_type, row.dtype) == (expected.sql_type, np.dtype(expected.dtype))
    assert_same(np.full(1, row.filler, row.dtype)[0], expected.filler)


@pytest.mark.parametrize(("mlflow_type", "case"), cases("reads"))
def test_decode(mlflow_type: str, case: tuple[str, Any]) -> None:
    """The model gets the value that a GoogleSQL expression has."""
    expression, value = case
    decoded = decode_column(column(mlflow_type), [sent(expression)])
    assert not decoded.errors
    assert_same(decoded.array[0], value)


@pytest.mark.parametrize("mlflow_type", EXPECTED)
@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["forward", "backward"])
def test_decode_with_nulls(mlflow_type: str, order: slice) -> None:
    """A value is the same alone and in a column of all others and NULLs, where a NULL becomes the filler."""
    expected = EXPECTED[mlflow_type]
    pairs = [(None, expected.filler)]
    for expression, value in expected.reads.items():
        pairs += [(sent(expression), value), (None, expected.filler)]
    values = [value for value, _ in pairs[order]]
    decoded = decode_column(column(mlflow_type), values)
    assert not decoded.errors
    assert decoded.array.dtype == np.dtype(expected.dtype)
    assert decoded.nulls.tolist() == [value is None for value in values]
    for value, (_, meant) in zip(decoded.array, pairs[order], strict=True):
        assert_same(value, meant)


@pytest.mark.parametrize("mlflow_type", EXPECTED)
@pytest.mark.parametrize("values", [[], [None], [None, None]], ids=str)
def test_decode_no_values(mlflow_type: str, values: list[None]) -> None:
    """A column without any value has the dtype of its type."""
    decoded = decode_column(column(mlflow_type), values)
    assert decoded.array.dtype == np.dtype(EXPECTED[mlflow_type].dtype)
    assert decoded.nulls.tolist() == [True] * len(values)
    assert not decoded.errors


@pytest.mark.parametrize(("mlflow_type", "value"), cases("rejects"))
def test_decode_bad_value(mlflow_type: str, value: Any) -> None:
    """A value of another type is an error of its row alone."""
    expression, meant = next(iter(EXPECTED[mlflow_type].reads.items()))
    good = sent(expression)
    decoded = decode_column(column(mlflow_type), [good, None, value, good])
    assert list(decoded.errors) == [2]
    assert decoded.errors[2].startswith("Row 2, column c: ")
    for row in (0, 3):
        assert_same(decoded.array[row], meant)


@pytest.mark.parametrize(("mlflow_type", "case"), cases("writes"))
def test_encode(mlflow_type: str, case: tuple[Any, list[Any]]) -> None:
    """A result becomes strict JSON, and an array of values gives what a list of them gives."""
    result, replies = case
    for values in (result, list(result)):
        encoded = encode(values, declared(mlflow_type), len(replies))
        assert json.loads(write(encoded), parse_constant=pytest.fail)["replies"] == replies


@pytest.mark.parametrize("mlflow_type", EXPECTED)
def test_encode_null(mlflow_type: str) -> None:
    """A missing value of any kind becomes NULL."""
    missing = [None, pd.NA, pd.NaT, NAT]
    assert as_list(encode(missing, declared(mlflow_type), 4)) == [None] * 4


@pytest.mark.parametrize(("mlflow_type", "value"), cases("unwritable"))
def test_encode_bad_value(mlflow_type: str, value: Any) -> None:
    """A result that the SQL type can't hold is an error naming row and type, in a list and in a Series."""
    for result in ([value], pd.Series([value])):
        with pytest.raises(ModelUnusable, match=f"for row 0, where {EXPECTED[mlflow_type].sql_type} is declared"):
            encode(result, declared(mlflow_type), 1)


@pytest.mark.parametrize(("mlflow_type", "case"), cases("literals"))
def test_googlesql_reads_reply(mlflow_type: str, case: tuple[Any, str]) -> None:
    """GoogleSQL reads back what the model returned."""
    value, expression = case
    written = orjson.dumps(encode([value], declared(mlflow_type), 1)[0]).decode()
    reply = f"JSON_VALUE(JSON {json.dumps(written, ensure_ascii=False)})"
    assert to_json_string(EXPECTED[mlflow_type].cast.format(reply)) == to_json_string(expression)


@pytest.mark.parametrize("mlflow_type", EXPECTED)
@pytest.mark.parametrize(("required", "null"), [(True, False), (True, True), (False, False), (False, True)])
def test_pandas_dtype(mlflow_type: str, required: bool, null: bool) -> None:
    """A DataFrame column has the documented dtype, and NULL is a missing value in it."""
    values = [sent(next(iter(EXPECTED[mlflow_type].reads))), *([None] if null else [])]
    decoded = decode_column(column(mlflow_type, required=required), values)
    signature = Signature((decoded.column,), None)
    frame = InputForm().build(
        signature, Rows(signature, len(values), [Block(decoded.array[None], decoded.nulls[None])])
    )
    plain, nullable = EXPECTED[mlflow_type].pandas
    assert str(frame["c"].dtype) == (plain if required and not null else nullable)
    assert frame["c"].isna().tolist() == [value is None for value in values]


@pytest.mark.parametrize(("mlflow_type", "result"), cases("infers"))
def test_infer_sql_type(mlflow_type: str, result: Any) -> None:
    """Without declared outputs, the SQL type follows from the values of a prediction."""
    assert settle_outputs(result, None, len(result)) == (Output("0", EXPECTED[mlflow_type].sql_type),)


@pytest.mark.parametrize(("mlflow_type", "value"), cases("params"))
def test_param(mlflow_type: str, value: Any) -> None:
    """A value of its type is accepted for an inference parameter, and a list of them for a list."""
    for given, is_list in ((value, False), ([value, value], True)):
        parameters = (Parameter("p", mlflow_type, None, is_list),)
        assert read_params(orjson.dumps({"p": given}).decode(), parameters) == {"p": given}


@pytest.mark.parametrize(("mlflow_type", "value"), cases("bad_params"))
def test_bad_param(mlflow_type: str, value: Any) -> None:
    """A value of another type is rejected for an inference parameter, and so is a list that contains one."""
    for given, is_list in ((value, False), ([value], True), (value, True)):
        parameters = (Parameter("p", mlflow_type, None, is_list),)
        with pytest.raises(BadRequest, match=f"declares .*{mlflow_type}"):
            read_params(orjson.dumps({"p": given}).decode(), parameters)
