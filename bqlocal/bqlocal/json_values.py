"""TO_JSON and TO_JSON_STRING of whole columns, structs and arrays included, written as GoogleSQL writes
them.

The two differ: a JSON value keeps numbers as numbers (`1.0`, wide integers, NUMERIC as the nearest FLOAT64)
and sorts the members of an object by name; TO_JSON_STRING writes `1`, puts what JSON readers would round in
quotes, and keeps the members in order.
"""

import math
from collections.abc import Callable
from decimal import Decimal

import pyarrow as pa

from bqlocal import encoding
from bqlocal.errors import NotSupportedError
from bqlocal.values import plain


def to_json(array: pa.Array) -> list[str]:
    """Encode a column as JSON values; NULL is the JSON null."""
    return _write(array, _json_leaf, sort=True)


def to_json_string(array: pa.Array) -> list[str]:
    """Encode a column as TO_JSON_STRING does."""
    return _write(array, encoding.encode, sort=False)


Leaf = Callable[[str, pa.Array], list[str]]


def _write(array: pa.Array, leaf: Leaf, *, sort: bool) -> list[str]:
    sql_type, values = plain(array)
    if sql_type == "NULL":
        return ["null"] * len(values)
    if sql_type == "STRUCT":
        return _struct(values, leaf, sort=sort)
    if sql_type == "ARRAY":
        return _list(values, leaf, sort=sort)
    if sql_type not in encoding.TYPES:
        raise NotSupportedError(f"A {sql_type} value as JSON")
    return leaf(sql_type, values)


def _struct(array: pa.StructArray, leaf: Leaf, *, sort: bool) -> list[str]:
    fields = [(array.type.field(i).name, array.field(i)) for i in range(array.type.num_fields)]
    if sort:
        fields.sort(key=lambda field: field[0])
    members = [[f"{encoding.text(name)}:{value}" for value in _write(child, leaf, sort=sort)] for name, child in fields]
    rows = [f"{{{','.join(row)}}}" for row in zip(*members, strict=True)] if members else ["{}"] * len(array)
    return [row if valid else "null" for row, valid in zip(rows, array.is_valid().to_pylist(), strict=True)]


def _list(array: pa.ListArray, leaf: Leaf, *, sort: bool) -> list[str]:
    elements = iter(_write(array.flatten(), leaf, sort=sort))
    lengths = array.value_lengths().to_pylist()
    return ["null" if length is None else f"[{','.join(next(elements) for _ in range(length))}]" for length in lengths]


def _json_leaf(sql_type: str, array: pa.Array) -> list[str]:
    writer = _JSON_NUMBERS.get(sql_type)
    if writer is None:
        return encoding.encode(sql_type, array)
    return ["null" if value is None else writer(value) for value in array.to_pylist()]


def _float64(value: float) -> str:
    # Adding zero turns minus zero into zero.
    return repr(value + 0.0) if math.isfinite(value) else encoding.float64(value)


def _numeric(value: Decimal) -> str:
    whole = value == value.to_integral_value() and -(2**63) <= value < 2**64
    return str(int(value)) if whole else _float64(float(value))


_JSON_NUMBERS: dict[str, Callable[..., str]] = {
    "INT64": str,
    "FLOAT64": _float64,
    "NUMERIC": _numeric,
    "BIGNUMERIC": _numeric,
}
