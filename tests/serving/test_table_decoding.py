"""Columns decoded together, from a table or from parsed values, are those that each column decoded alone gives."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import table_decoding
from serving.contract import read
from serving.decoding import decode_column, from_arguments, from_objects, from_request
from serving.rows import Rows
from serving.signature import Column, Signature
from serving.types import TYPES

MLFLOW_TYPES = ["double", "float", "long", "integer", "boolean", "string", "datetime", "binary", "any"]
FITTING: dict[str, st.SearchStrategy[Any]] = {
    "double": st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(["NaN", "Infinity", "1.5"]) | st.integers(-9, 9),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from(["NaN", "-Infinity"]),
    "long": st.integers(-(2**53) - 2, 2**53 + 2) | st.integers(-(2**63), 2**63 - 1).map(str) | st.just(2.0),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "boolean": st.booleans(),
    "string": st.text(max_size=4) | st.sampled_from(["null", '"', "\\", "[[1]]", "7e9"]),
    "datetime": st.datetimes().map(lambda time: time.isoformat() + "Z"),
    "binary": st.sampled_from(["", "YQ==", "AAEC"]),
    "any": st.none() | st.integers(-5, 5) | st.text(max_size=2),
}  # fmt: skip
ODD = st.sampled_from([True, "x", 1e39, 7e9, -8e9, 2**53 + 1, -0.0, "2020-02-30T00:00:00Z", 2.5, "", [1], {"a": 1}])


pytestmark = pytest.mark.usefixtures("small_tables")


@st.composite
def requests(draw: Any) -> tuple[Signature, list[list[Any]]]:
    """Draw columns of any types and rows for them, with NULLs, and sometimes with values that don't fit."""
    types = draw(st.lists(st.sampled_from(MLFLOW_TYPES), min_size=1, max_size=5))
    columns = [
        Column(f"column {at}", each, TYPES[each].sql_type, required=at % 2 == 0, detail={"type": each})
        for at, each in enumerate(types)
    ]
    nulls, odd = draw(st.sampled_from([(False, False), (True, False), (False, True), (True, True)]))
    values = [FITTING[each] | (st.none() if nulls else st.nothing()) | (ODD if odd else st.nothing()) for each in types]
    return Signature(tuple(columns), None), [list(row) for row in draw(st.lists(st.tuples(*values), max_size=6))]


def assert_alone(rows: Rows, signature: Signature, calls: list[list[Any]]) -> None:
    """Check that each column is what it is when it is decoded alone."""
    errors: dict[int, str] = {}
    required = np.zeros(len(calls), np.bool_)
    for at, column in enumerate(signature.columns):
        alone = decode_column(column, [call[at] for call in calls])
        good = [row for row in range(len(calls)) if row not in alone.errors]
        assert rows[column.name].dtype == alone.array.dtype
        np.testing.assert_array_equal(rows[column.name][good], alone.array[good])
        if alone.array.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(rows[column.name][good]), np.signbit(alone.array[good]))
        assert rows.nulls(column.name).tolist() == alone.nulls.tolist()
        errors = {**alone.errors, **errors}
        required |= alone.nulls & column.required
    assert rows.errors() == errors
    assert rows.null_rows().tolist() == np.flatnonzero(required).tolist()


@given(requests())
def test_same_as_each_column_alone(drawn: tuple[Signature, list[list[Any]]]) -> None:
    """A table, parsed values and objects give the arrays, NULLs and errors of each column alone."""
    signature, calls = drawn
    calls = orjson.loads(orjson.dumps(calls))
    assert_alone(from_arguments(signature, calls), signature, calls)
    assert_alone(from_request(signature, read(orjson.dumps({"calls": calls}))), signature, calls)
    names = [column.name for column in signature.columns]
    objects = [[dict(zip(names, call, strict=True))] for call in calls]
    assert_alone(from_objects(signature, read(orjson.dumps({"calls": objects}))), signature, calls)


def test_a_table_of_every_type() -> None:
    """Values that fit are decoded from the table, without a Python object for each."""
    types = {"double": [1, "NaN", None], "float": [0.5, 1, None], "long": [1, 2, None], "boolean": [True, False, None],
             "string": ["", "é", None], "datetime": ["2020-01-01T00:00:00Z", "2020-02-29T23:59:59.123456Z", None]}  # fmt: skip
    signature = Signature(tuple(Column(each, each, TYPES[each].sql_type) for each in types), None)
    calls = [list(row) for row in zip(*types.values(), strict=True)]
    request = read(orjson.dumps({"calls": calls}))
    assert request.table is not None
    rows = table_decoding.decode(signature, request.table, range(len(types)))
    assert rows is not None
    assert_alone(rows, signature, calls)
