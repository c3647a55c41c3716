"""TO_JSON and TO_JSON_STRING of whole columns, structs and arrays included, as GoogleSQL writes them.

The two differ. A JSON value keeps numbers as numbers (`1.0`, wide integers, NUMERIC as the nearest FLOAT64) and sorts
the members of an object by name. TO_JSON_STRING writes `1`, quotes the numbers that JSON readers would round, and keeps
members in their order.
"""

import math
from collections.abc import Callable
from decimal import Decimal
from typing import TypeAlias

import pyarrow as pa

from bqlocal import encoding
from bqlocal.errors import NotSupportedError
from bqlocal.types import TYPES
from bqlocal.values import with_sql_type

# Encodes a column whose values are neither structs nor arrays.
ScalarEncoder: TypeAlias = Callable[[str, pa.Array], list[str]]


def to_json(array: pa.Array) -> list[str]:
    """Encode a column as JSON values; NULL becomes the JSON null."""
    return _encode(array, _json_scalar, sort=True)


def to_json_string(array: pa.Array) -> list[str]:
    """Encode a column as TO_JSON_STRING does; NULL becomes `null`."""
    return _encode(array, encoding.encode, sort=False)


def _encode(array: pa.Array, scalar: ScalarEncoder, *, sort: bool) -> list[str]:
    sql_type, values = with_sql_type(array)
    if sql_type == "NULL":
        return ["null"] * len(values)
    if sql_type == "STRUCT":
        return _struct(values, scalar, sort=sort)
    if sql_type == "ARRAY":
        return _list(values, scalar, sort=sort)
    if sql_type not in TYPES:
        raise NotSupportedError(f"A {sql_type} value as JSON")
    return scalar(sql_type, values)


def _struct(array: pa.StructArray, scalar: ScalarEncoder, *, sort: bool) -> list[str]:
    fields = [(array.type.field(i).name, array.field(i)) for i in range(array.type.num_fields)]
    if sort:
        fields.sort(key=lambda field: field[0])
    members = [
        [f"{encoding.string(name)}:{value}" for value in _encode(child, scalar, sort=sort)] for name, child in fields
    ]
    rows = [f"{{{','.join(row)}}}" for row in zip(*members, strict=True)] if members else ["{}"] * len(array)
    return [row if valid else "null" for row, valid in zip(rows, array.is_valid().to_pylist(), strict=True)]


def _list(array: pa.ListArray, scalar: ScalarEncoder, *, sort: bool) -> list[str]:
    elements = iter(_encode(array.flatten(), scalar, sort=sort))
    lengths = array.value_lengths().to_pylist()
    return ["null" if length is None else f"[{','.join(next(elements) for _ in range(length))}]" for length in lengths]


def _json_scalar(sql_type: str, array: pa.Array) -> list[str]:
    encoder = _JSON_NUMBERS.get(sql_type)
    if encoder is None:
        return encoding.encode(sql_type, array)
    return ["null" if value is None else encoder(value) for value in array.to_pylist()]


def _float64(value: float) -> str:
    # Adding zero turns minus zero into zero.
    return repr(value + 0.0) if math.isfinite(value) else encoding.float64(value)


def _numeric(value: Decimal) -> str:
    integer = value == value.to_integral_value() and -(2**63) <= value < 2**64
    return str(int(value)) if integer else _float64(float(value))


_JSON_NUMBERS: dict[str, Callable[..., str]] = {
    "INT64": str,
    "FLOAT64": _float64,
    "NUMERIC": _numeric,
    "BIGNUMERIC": _numeric,
}
