"""GoogleSQL functions that DuckDB has under other rules, written here over whole columns.

Division by zero is an error and `1 / 2` is `0.5`; a FLOAT64 becomes an INT64 by rounding halves away from
zero; `CAST(1.0 AS STRING)` is `1`. `FUNCTIONS` names what `translate.py` may call: name -> (function, DuckDB
return type). Every function takes columns of any type, since DuckDB knows the types only when it has bound
the query.
"""

import math
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bqlocal import encoding, json_values
from bqlocal.errors import NotSupportedError, QueryError
from bqlocal.values import plain


def divide(left: pa.Array, right: pa.Array) -> pa.Array:
    """`/`: FLOAT64, and an error where BigQuery has one."""
    kinds, columns = zip(plain(left), plain(right), strict=True)
    if {"NUMERIC", "BIGNUMERIC"} & set(kinds) and "FLOAT64" not in kinds:
        raise NotSupportedError("Division of NUMERIC values", "CAST one side to FLOAT64")
    dividend, divisor = (column.cast(pa.float64()) for column in columns)
    zeros = pc.and_(pc.equal(divisor, 0.0), dividend.is_valid())
    if pc.any(zeros).as_py():
        row = pc.index(zeros, pa.scalar(True)).as_py()
        raise QueryError(f"division by zero: {_shown(columns[0][row])} / {_shown(columns[1][row])}")
    quotient = pc.divide(dividend, divisor)
    finite = pc.and_(pc.is_finite(dividend), pc.is_finite(divisor))
    if pc.any(pc.and_(finite, pc.invert(pc.is_finite(quotient)))).as_py():
        raise QueryError("double overflow in a division")
    return quotient


def safe_divide(left: pa.Array, right: pa.Array) -> pa.Array:
    """`SAFE_DIVIDE`: NULL where `/` is an error."""
    _, divisor = plain(right)
    if pa.types.is_null(divisor.type):
        return divide(left, right)
    return divide(left, pc.if_else(pc.equal(divisor.cast(pa.float64()), 0.0), None, divisor))


def round_float64(array: pa.Array, digits: pa.Array | None = None) -> pa.Array:
    """`ROUND`: halves away from zero."""
    kind, values = plain(array)
    if kind in ("NUMERIC", "BIGNUMERIC"):
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
    """Pass on what a function computed; where DuckDB has NaN or infinity, BigQuery has an error."""
    _, values = plain(array)
    values = values.cast(pa.float64())
    if pc.any(pc.invert(pc.is_finite(values))).as_py():
        raise QueryError("Floating point error: a function such as LN, SQRT, EXP or POW has no finite value")
    return values


def cast_int64(array: pa.Array) -> pa.Array:
    """`CAST(... AS INT64)`."""
    return pa.array([_int64(kind, value) for kind, value in _typed(array)], pa.int64())


def cast_bool(array: pa.Array) -> pa.Array:
    """`CAST(... AS BOOL)`."""
    return pa.array([_bool(kind, value) for kind, value in _typed(array)], pa.bool_())


def safe_cast_int64(array: pa.Array) -> pa.Array:
    """`SAFE_CAST(... AS INT64)`."""
    return pa.array([_or_null(_int64, kind, value) for kind, value in _typed(array)], pa.int64())


def safe_cast_bool(array: pa.Array) -> pa.Array:
    """`SAFE_CAST(... AS BOOL)`."""
    return pa.array([_or_null(_bool, kind, value) for kind, value in _typed(array)], pa.bool_())


def cast_string(array: pa.Array) -> pa.Array:
    """`CAST(... AS STRING)`."""
    return pa.array([_string(kind, value) for kind, value in _typed(array)], pa.string())


def substr(array: pa.Array, position: pa.Array, length: pa.Array | None = None) -> pa.Array:
    """`SUBSTR` of STRING: positions count from 1, from the end when negative, and stop at the ends."""
    kind, values = plain(array)
    if kind not in ("STRING", "NULL"):
        raise NotSupportedError(f"SUBSTR of {kind} values")
    lengths = length.to_pylist() if length is not None else [2**63] * len(values)
    rows = zip(values.to_pylist(), position.to_pylist(), lengths, strict=True)
    return pa.array([None if None in row else _substr(*row) for row in rows], pa.string())


def to_json(array: pa.Array) -> pa.Array:
    """`TO_JSON(...)`, of a row, a struct, an array or a single value."""
    return pa.ExtensionArray.from_storage(pa.json_(), pa.array(json_values.to_json(array), pa.string()))


def to_json_string(array: pa.Array) -> pa.Array:
    """`TO_JSON_STRING(...)`."""
    return pa.array(json_values.to_json_string(array), pa.string())


def date(array: pa.Array) -> pa.Array:
    """Pass on dates, and refuse what DuckDB would cut down to one."""
    kind, values = plain(array)
    if kind not in ("DATE", "NULL"):
        raise NotSupportedError(f"DATE_ADD, DATE_SUB or DATE_TRUNC of a {kind}", "CAST it to DATE")
    return values.cast(pa.date32())


def timestamp_diff(left: pa.Array, right: pa.Array, unit: pa.Array) -> pa.Array:
    """`TIMESTAMP_DIFF`: whole units."""
    columns = [plain(left), plain(right)]
    if unit[0].as_py() not in _MICROSECONDS or any(kind not in ("TIMESTAMP", "NULL") for kind, _ in columns):
        raise NotSupportedError(f"TIMESTAMP_DIFF by {unit[0]} of {' and '.join(kind for kind, _ in columns)}")
    later, earlier = (values.cast(pa.timestamp("us")).cast(pa.int64()) for _, values in columns)
    # Arrow's division of integers drops the fraction, as BigQuery's does.
    return pc.divide(pc.subtract(later, earlier), _MICROSECONDS[unit[0].as_py()])


def format_text(template: pa.Array, *arguments: pa.Array) -> pa.Array:
    """`FORMAT`, with the directives %d, %s, %f and %%; NULL where an argument is NULL."""
    typed = [plain(argument) for argument in arguments]
    kinds = [kind for kind, _ in typed]
    columns = [values.to_pylist() for _, values in typed]
    rows = zip(template.to_pylist(), *columns, strict=True)
    return pa.array([_format(row[0], kinds, row[1:]) for row in rows], pa.string())


def out_of_bounds(index: pa.Array) -> pa.Array:
    """Fail as `[OFFSET(...)]` does where the array ends before."""
    if len(index):
        raise QueryError(f"Array index {index[0]} is out of bounds")
    return pa.nulls(0, pa.int32())


FUNCTIONS: dict[str, tuple[Callable[..., pa.Array], str]] = {
    "googlesql_divide": (divide, "DOUBLE"),
    "googlesql_safe_divide": (safe_divide, "DOUBLE"),
    "googlesql_finite": (finite, "DOUBLE"),
    "googlesql_round": (round_float64, "DOUBLE"),
    "googlesql_cast_int64": (cast_int64, "BIGINT"),
    "googlesql_safe_cast_int64": (safe_cast_int64, "BIGINT"),
    "googlesql_cast_bool": (cast_bool, "BOOLEAN"),
    "googlesql_safe_cast_bool": (safe_cast_bool, "BOOLEAN"),
    "googlesql_substr": (substr, "VARCHAR"),
    "googlesql_date": (date, "DATE"),
    "googlesql_timestamp_diff": (timestamp_diff, "BIGINT"),
    "googlesql_format": (format_text, "VARCHAR"),
    "googlesql_out_of_bounds": (out_of_bounds, "INTEGER"),
    "googlesql_cast_string": (cast_string, "VARCHAR"),
    "googlesql_to_json": (to_json, "JSON"),
    "googlesql_to_json_string": (to_json_string, "VARCHAR"),
}


_MICROSECONDS = {
    "MICROSECOND": 1,
    "MILLISECOND": 1000,
    "SECOND": 10**6,
    "MINUTE": 60 * 10**6,
    "HOUR": 3600 * 10**6,
    "DAY": 86400 * 10**6,
}
_DIRECTIVE = re.compile(r"%(%|[-+ 0]*\d*(?:\.\d+)?[a-zA-Z])")
_FORMATS = {"d": ("INT64",), "f": ("FLOAT64", "INT64"), "s": ("STRING",)}


def _format(template: str | None, kinds: list[str], values: tuple[Any, ...]) -> str | None:
    if template is None or None in values:
        return None
    wanted = [found for found in _DIRECTIVE.findall(template) if found != "%"]
    for directive, kind in zip(wanted, kinds, strict=False):
        if kind not in _FORMATS.get(directive[-1], ()):
            raise NotSupportedError(f"FORMAT of a {kind} by %{directive}")
    if len(wanted) != len(values) or _DIRECTIVE.sub("", template).count("%"):
        raise QueryError(f"Invalid format string {template!r} for {len(values)} arguments")
    return template % values


def _typed(array: pa.Array) -> list[tuple[str, Any]]:
    kind, values = plain(array)
    return [(kind, value) for value in values.to_pylist()]


def _round(value: float, places: int) -> float:
    if not math.isfinite(value):
        return value
    with localcontext(prec=700):  # enough for every digit of every FLOAT64, so that halves are told exactly
        return float(Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))


def _shown(value: pa.Scalar) -> str:
    return encoding.float64(value.as_py()) if pa.types.is_floating(value.type) else str(value)


def _int64(kind: str, value: Any) -> int | None:
    if value is None:
        return None
    if kind == "STRING" and re.fullmatch(r"\s*[-+]?(\d+|0[xX][0-9a-fA-F]+)\s*", value):
        whole = int(value, 16 if "x" in value.lower() else 10)
    elif kind in ("INT64", "BOOL"):
        whole = int(value)
    elif kind in ("FLOAT64", "NUMERIC", "BIGNUMERIC") and math.isfinite(value):
        whole = int(Decimal(value).to_integral_value(ROUND_HALF_UP))
    elif kind in ("STRING", "FLOAT64"):
        raise QueryError(f"Bad int64 value: {value}")
    else:
        raise QueryError(f"Invalid cast from {kind} to INT64")
    if not -(2**63) <= whole < 2**63:
        raise QueryError(f"Bad int64 value: {value}")
    return whole


def _bool(kind: str, value: Any) -> bool | None:
    if value is None:
        return None
    if kind == "STRING" and value.lower() in ("true", "false"):
        return bool(value.lower() == "true")
    if kind in ("BOOL", "INT64"):
        return bool(value)
    raise QueryError(f"Bad bool value: {value}")


def _or_null(cast: Callable[[str, Any], Any], kind: str, value: Any) -> Any:
    try:
        return cast(kind, value)
    except QueryError:
        return None


def _substr(value: str, position: int, length: int) -> str:
    if length < 0:
        raise QueryError("Third argument in SUBSTR() cannot be negative")
    start = max(len(value) + position, 0) if position < 0 else max(position - 1, 0)
    return value[start : start + length]


def _string(kind: str, value: Any) -> str | None:
    if value is None or kind == "STRING":
        return value  # type: ignore[no-any-return]
    if kind == "FLOAT64":
        return encoding.float64(value) if math.isfinite(value) else str(value)
    if kind == "BYTES":
        return str(value, "utf-8")
    if kind in ("DATETIME", "TIMESTAMP"):
        return encoding.moment(value).replace("T", " ") + ("+00" if kind == "TIMESTAMP" else "")
    if kind in ("NUMERIC", "BIGNUMERIC", "BOOL", "INT64", "DATE", "TIME"):
        return encoding.encode(kind, pa.array([value]))[0].strip('"')
    raise QueryError(f"Invalid cast from {kind} to STRING")
