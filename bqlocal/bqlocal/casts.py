"""CAST and SAFE_CAST to INT64, BOOL and STRING over whole Arrow columns, where DuckDB's casts differ; values of JSON.

For example, a FLOAT64 becomes an INT64 by rounding halves away from zero, and `CAST(1.0 AS STRING)` is `1`.
"""

import json
import math
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pyarrow as pa

from bqlocal import encoding
from bqlocal.errors import QueryError
from bqlocal.values import with_sql_type


def cast_int64(array: pa.Array) -> pa.Array:
    """`CAST(... AS INT64)`."""
    return _cast(array, _int64, pa.int64())


def cast_bool(array: pa.Array) -> pa.Array:
    """`CAST(... AS BOOL)`."""
    return _cast(array, _bool, pa.bool_())


def cast_string(array: pa.Array) -> pa.Array:
    """`CAST(... AS STRING)`."""
    return _cast(array, _string, pa.string())


def safe_cast_int64(array: pa.Array) -> pa.Array:
    """`SAFE_CAST(... AS INT64)`."""
    return _cast(array, _null_on_error(_int64), pa.int64())


def safe_cast_bool(array: pa.Array) -> pa.Array:
    """`SAFE_CAST(... AS BOOL)`."""
    return _cast(array, _null_on_error(_bool), pa.bool_())


def string(array: pa.Array) -> pa.Array:
    """`STRING` of a date, a time or a JSON string."""
    sql_type, _ = with_sql_type(array)
    if sql_type == "JSON":
        return _cast(array, _json("a string", str), pa.string())
    if sql_type not in ("DATE", "DATETIME", "TIME", "TIMESTAMP", "NULL"):
        raise QueryError(f"No matching signature for function STRING for argument type {sql_type}; write CAST.")
    return cast_string(array)


def json_int64(array: pa.Array) -> pa.Array:
    """`INT64` of a JSON number."""
    return _cast(array, lambda sql_type, value: _int64("INT64", _whole(sql_type, value)), pa.int64())


def json_float64(array: pa.Array) -> pa.Array:
    """`FLOAT64` of a JSON number."""
    number = _json("a number", int, float)
    return _cast(array, lambda sql_type, value: float(number(sql_type, value)), pa.float64())


def json_bool(array: pa.Array) -> pa.Array:
    """`BOOL` of a JSON boolean."""
    return _cast(array, _json("a boolean", bool), pa.bool_())


def _cast(array: pa.Array, cast: Callable[[str, Any], Any], arrow_type: pa.DataType) -> pa.Array:
    sql_type, values = with_sql_type(array)
    return pa.array([None if value is None else cast(sql_type, value) for value in values.to_pylist()], arrow_type)


def _null_on_error(cast: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    def safe_cast(sql_type: str, value: Any) -> Any:
        try:
            return cast(sql_type, value)
        except QueryError:
            return None

    return safe_cast


def _json(expected: str, *types: type) -> Callable[[str, Any], Any]:
    """Return what reads a JSON value of one of these Python types, and rejects all others."""

    def read(sql_type: str, value: Any) -> Any:
        parsed = json.loads(value) if sql_type == "JSON" else None
        if type(parsed) not in types:
            raise QueryError(f"The provided {sql_type} input is not {expected}: {value}")
        return parsed

    return read


def _whole(sql_type: str, value: Any) -> int:
    number = _json("an integer", int, float)(sql_type, value)
    if not math.isfinite(number) or number != int(number):
        raise QueryError(f"The provided JSON number cannot be converted to an int64: {value}")
    return int(number)


def _int64(sql_type: str, value: Any) -> int:
    if sql_type == "STRING" and re.fullmatch(r"\s*[-+]?(\d+|0[xX][0-9a-fA-F]+)\s*", value):
        integer = int(value, 16 if "x" in value.lower() else 10)
    elif sql_type in ("INT64", "BOOL"):
        integer = int(value)
    elif sql_type in ("FLOAT64", "NUMERIC", "BIGNUMERIC") and math.isfinite(value):
        integer = int(Decimal(value).to_integral_value(ROUND_HALF_UP))
    elif sql_type in ("STRING", "FLOAT64"):
        raise QueryError(f"Bad int64 value: {value}")
    else:
        raise QueryError(f"Invalid cast from {sql_type} to INT64")
    if not -(2**63) <= integer < 2**63:
        raise QueryError(f"Bad int64 value: {value}")
    return integer


def _bool(sql_type: str, value: Any) -> bool:
    if sql_type == "STRING" and value.lower() in ("true", "false"):
        return bool(value.lower() == "true")
    if sql_type in ("BOOL", "INT64"):
        return bool(value)
    raise QueryError(f"Bad bool value: {value}")


def _string(sql_type: str, value: Any) -> str:
    if sql_type == "STRING":
        return str(value)
    if sql_type == "FLOAT64":
        return encoding.float64(value) if math.isfinite(value) else str(value)
    if sql_type == "BYTES":
        return str(value, "utf-8")
    if sql_type in ("DATETIME", "TIMESTAMP"):
        return encoding.iso_format(value).replace("T", " ") + ("+00" if sql_type == "TIMESTAMP" else "")
    if sql_type in ("NUMERIC", "BIGNUMERIC", "BOOL", "INT64", "DATE", "TIME"):
        return encoding.encode(sql_type, pa.array([value]))[0].strip('"')
    raise QueryError(f"Invalid cast from {sql_type} to STRING")
