"""GoogleSQL functions that DuckDB has with other semantics, implemented here over whole Arrow columns.

For example, division by zero is an error, `1 / 2` is `0.5`, and ROUND rounds halves away from zero. `FUNCTIONS` lists
what `rewrites.py` may call: name -> (function, DuckDB return type). The casts are in `casts.py`. Every function takes
columns of any type, since DuckDB knows the types only once it has bound the query.
"""

import datetime as dt
import math
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bqlocal import casts, encoding, json_values
from bqlocal.errors import NotSupportedError, QueryError
from bqlocal.values import with_sql_type

_MICROSECONDS = {
    "MICROSECOND": 1,
    "MILLISECOND": 1000,
    "SECOND": 10**6,
    "MINUTE": 60 * 10**6,
    "HOUR": 3600 * 10**6,
    "DAY": 86400 * 10**6,
}
_DATETIME = pa.timestamp("us")
_WITHOUT_ZONE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[Tt ](\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,6}))?)?")
_DIRECTIVE = re.compile(r"%(%|[-+ 0]*\d*(?:\.\d+)?[a-zA-Z])")
_DIRECTIVE_TYPES = {"d": ("INT64",), "f": ("FLOAT64", "INT64"), "s": ("STRING",)}


def divide(left: pa.Array, right: pa.Array) -> pa.Array:
    """`/` of numbers as FLOAT64; division by zero and overflow are errors."""
    sql_types, columns = zip(with_sql_type(left), with_sql_type(right), strict=True)
    if {"NUMERIC", "BIGNUMERIC"} & set(sql_types) and "FLOAT64" not in sql_types:
        raise NotSupportedError("Division of NUMERIC values", "CAST one side to FLOAT64")
    dividend, divisor = (column.cast(pa.float64()) for column in columns)
    zeros = pc.and_(pc.equal(divisor, 0.0), dividend.is_valid())
    if pc.any(zeros).as_py():
        row = pc.index(zeros, pa.scalar(True)).as_py()
        raise QueryError(f"division by zero: {_number_text(columns[0][row])} / {_number_text(columns[1][row])}")
    quotient = pc.divide(dividend, divisor)
    finite = pc.and_(pc.is_finite(dividend), pc.is_finite(divisor))
    if pc.any(pc.and_(finite, pc.invert(pc.is_finite(quotient)))).as_py():
        raise QueryError("double overflow in a division")
    return quotient


def safe_divide(left: pa.Array, right: pa.Array) -> pa.Array:
    """`SAFE_DIVIDE`: NULL for a division by zero."""
    _, divisor = with_sql_type(right)
    if pa.types.is_null(divisor.type):
        return divide(left, right)
    return divide(left, pc.if_else(pc.equal(divisor.cast(pa.float64()), 0.0), None, divisor))


def round_float64(array: pa.Array, digits: pa.Array | None = None) -> pa.Array:
    """`ROUND` of numbers, halves away from zero."""
    sql_type, values = with_sql_type(array)
    if sql_type in ("NUMERIC", "BIGNUMERIC"):
        raise NotSupportedError("ROUND of NUMERIC values", "CAST them to FLOAT64")
    places = digits.to_pylist() if digits is not None else [0] * len(values)
    return pa.array(
        [
            None if value is None or place is None else _round(float(value), place)
            for value, place in zip(values.to_pylist(), places, strict=True)
        ],
        pa.float64(),
    )


def finite(array: pa.Array) -> pa.Array:
    """Return DuckDB's result of LN, SQRT and the like; NaN and infinity are errors in BigQuery."""
    _, values = with_sql_type(array)
    values = values.cast(pa.float64())
    if pc.any(pc.invert(pc.is_finite(values))).as_py():
        raise QueryError("Floating point error: a function such as LN, SQRT, EXP or POW has no finite value")
    return values


def substr(array: pa.Array, position: pa.Array, length: pa.Array | None = None) -> pa.Array:
    """`SUBSTR` of a STRING: positions count from 1, negative ones from the end, and stop at both ends."""
    sql_type, values = with_sql_type(array)
    if sql_type not in ("STRING", "NULL"):
        raise NotSupportedError(f"SUBSTR of {sql_type} values")
    lengths = length.to_pylist() if length is not None else [2**63] * len(values)
    rows = zip(values.to_pylist(), position.to_pylist(), lengths, strict=True)
    return pa.array([None if None in row else _substr(*row) for row in rows], pa.string())


def to_json(array: pa.Array) -> pa.Array:
    """`TO_JSON` of a row, struct, array or single value."""
    return pa.ExtensionArray.from_storage(pa.json_(), pa.array(json_values.to_json(array), pa.string()))


def to_json_string(array: pa.Array) -> pa.Array:
    """`TO_JSON_STRING` of a row, struct, array or single value."""
    return pa.array(json_values.to_json_string(array), pa.string())


def json_type(array: pa.Array) -> pa.Array:
    """`JSON_TYPE` of JSON values."""
    values = _json_values(array, "JSON_TYPE").to_pylist()
    types = [None if value is None else _JSON_TYPES.get(value.lstrip()[0], "number") for value in values]
    return pa.array(types, pa.string())


def json_only(array: pa.Array) -> pa.Array:
    """Return JSON values as they are and reject texts, of which JSON_QUERY makes texts."""
    return pa.ExtensionArray.from_storage(pa.json_(), _json_values(array, "JSON_QUERY"))


def _json_values(array: pa.Array, function: str) -> pa.Array:
    sql_type, values = with_sql_type(array)
    if sql_type not in ("JSON", "NULL"):
        raise NotSupportedError(f"{function} of a {sql_type}", "PARSE_JSON it first")
    return values.cast(pa.string())


def date(array: pa.Array) -> pa.Array:
    """Return dates as they are and reject other types, which DuckDB would truncate to dates."""
    sql_type, values = with_sql_type(array)
    if sql_type not in ("DATE", "NULL"):
        raise NotSupportedError(f"DATE_ADD, DATE_SUB or DATE_TRUNC of a {sql_type}", "CAST it to DATE")
    return values.cast(pa.date32())


def without_zone(array: pa.Array) -> pa.Array:
    """Return DATETIMEs, dates and texts without a time zone as DATETIMEs, for TIMESTAMP(x, zone)."""
    sql_type, values = with_sql_type(array)
    if sql_type not in ("DATE", "DATETIME", "STRING", "NULL"):
        raise QueryError(f"No matching signature for function TIMESTAMP with a time zone for argument type {sql_type}")
    if sql_type == "STRING":
        return pa.array([None if text is None else _datetime(text) for text in values.to_pylist()], _DATETIME)
    return values.cast(_DATETIME)


def timestamp_diff(left: pa.Array, right: pa.Array, unit: pa.Array) -> pa.Array:
    """`TIMESTAMP_DIFF` in whole units, the fraction dropped."""
    columns = [with_sql_type(left), with_sql_type(right)]
    if unit[0].as_py() not in _MICROSECONDS or any(sql_type not in ("TIMESTAMP", "NULL") for sql_type, _ in columns):
        raise NotSupportedError(f"TIMESTAMP_DIFF by {unit[0]} of {' and '.join(sql_type for sql_type, _ in columns)}")
    later, earlier = (values.cast(pa.timestamp("us")).cast(pa.int64()) for _, values in columns)
    # Like BigQuery's, Arrow's division of integers drops the fraction.
    return pc.divide(pc.subtract(later, earlier), _MICROSECONDS[unit[0].as_py()])


def format_text(template: pa.Array, *arguments: pa.Array) -> pa.Array:
    """`FORMAT` with the directives %d, %s, %f and %%; NULL where an argument is NULL."""
    columns = [with_sql_type(argument) for argument in arguments]
    sql_types = [sql_type for sql_type, _ in columns]
    rows = zip(template.to_pylist(), *(values.to_pylist() for _, values in columns), strict=True)
    return pa.array([_format(row[0], sql_types, row[1:]) for row in rows], pa.string())


def out_of_bounds(index: pa.Array) -> pa.Array:
    """Raise the error of `[OFFSET(...)]` beyond the end of an array; called only for such rows."""
    if len(index):
        raise QueryError(f"Array index {index[0]} is out of bounds")
    return pa.nulls(0, pa.int32())


_JSON_TYPES = {"{": "object", "[": "array", '"': "string", "t": "boolean", "f": "boolean", "n": "null"}

FUNCTIONS: dict[str, tuple[Callable[..., pa.Array], str]] = {
    "googlesql_divide": (divide, "DOUBLE"),
    "googlesql_safe_divide": (safe_divide, "DOUBLE"),
    "googlesql_finite": (finite, "DOUBLE"),
    "googlesql_round": (round_float64, "DOUBLE"),
    "googlesql_cast_int64": (casts.cast_int64, "BIGINT"),
    "googlesql_safe_cast_int64": (casts.safe_cast_int64, "BIGINT"),
    "googlesql_cast_bool": (casts.cast_bool, "BOOLEAN"),
    "googlesql_safe_cast_bool": (casts.safe_cast_bool, "BOOLEAN"),
    "googlesql_cast_string": (casts.cast_string, "VARCHAR"),
    "googlesql_string": (casts.string, "VARCHAR"),
    "googlesql_json_int64": (casts.json_int64, "BIGINT"),
    "googlesql_json_float64": (casts.json_float64, "DOUBLE"),
    "googlesql_json_bool": (casts.json_bool, "BOOLEAN"),
    "googlesql_without_zone": (without_zone, "TIMESTAMP"),
    "googlesql_substr": (substr, "VARCHAR"),
    "googlesql_date": (date, "DATE"),
    "googlesql_timestamp_diff": (timestamp_diff, "BIGINT"),
    "googlesql_format": (format_text, "VARCHAR"),
    "googlesql_out_of_bounds": (out_of_bounds, "INTEGER"),
    "googlesql_json_only": (json_only, "JSON"),
    "googlesql_json_type": (json_type, "VARCHAR"),
    "googlesql_to_json": (to_json, "JSON"),
    "googlesql_to_json_string": (to_json_string, "VARCHAR"),
}


def _datetime(text: str) -> dt.datetime:
    found = _WITHOUT_ZONE.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
        return dt.datetime(year, month, day, hour, minute, second, int(f"{found[7] or '':0<6}"))
    except ValueError:
        raise QueryError(f"Expected a date and time without a time zone, not {text!r}") from None


def _number_text(value: pa.Scalar) -> str:
    return encoding.float64(value.as_py()) if pa.types.is_floating(value.type) else str(value)


def _round(value: float, places: int) -> float:
    if not math.isfinite(value):
        return value
    with localcontext(prec=700):  # holds every digit of any FLOAT64, so halves are recognized exactly
        return float(Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))


def _substr(value: str, position: int, length: int) -> str:
    if length < 0:
        raise QueryError("Third argument in SUBSTR() cannot be negative")
    start = max(len(value) + position, 0) if position < 0 else max(position - 1, 0)
    return value[start : start + length]


def _format(template: str | None, sql_types: list[str], values: tuple[Any, ...]) -> str | None:
    if template is None or None in values:
        return None
    directives = [found for found in _DIRECTIVE.findall(template) if found != "%"]
    for directive, sql_type in zip(directives, sql_types, strict=False):
        if sql_type not in _DIRECTIVE_TYPES.get(directive[-1], ()):
            raise NotSupportedError(f"FORMAT of a {sql_type} by %{directive}")
    if len(directives) != len(values) or _DIRECTIVE.sub("", template).count("%"):
        raise QueryError(f"Invalid format string {template!r} for {len(values)} arguments")
    return template % values
