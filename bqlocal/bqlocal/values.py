"""DuckDB's columns as columns of BigQuery's types, and the coercions that BigQuery makes without a CAST.

DuckDB's many types become BigQuery's few without losing a digit, or fail. `arrow_lossless_conversion` must be on: JSON,
HUGEINT (the sum of integers) and BOOL then arrive as extension types.
"""

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bqlocal.errors import QueryError
from bqlocal.types import ARROW_TYPES

_FIRST, _LAST = dt.datetime.min, dt.datetime.max  # of BigQuery's dates and times


def with_sql_type(array: pa.Array) -> tuple[str, pa.Array]:
    """Return the BigQuery type of a DuckDB column, and the column as plain Arrow of that type.

    The type is one of `types.TYPES`, or NULL, ARRAY, STRUCT, or the name of a type that BigQuery does not have.
    """
    arrow_type = array.type
    if isinstance(arrow_type, pa.BaseExtensionType):
        return _extension(array)
    if pa.types.is_null(arrow_type):
        return "NULL", array
    if pa.types.is_boolean(arrow_type):
        return "BOOL", array
    if pa.types.is_integer(arrow_type):
        return "INT64", _int64(array)
    if pa.types.is_floating(arrow_type):
        return "FLOAT64", array.cast(pa.float64())
    if pa.types.is_decimal(arrow_type):
        return ("NUMERIC" if arrow_type.scale <= ARROW_TYPES["NUMERIC"].scale else "BIGNUMERIC"), array
    if pa.types.is_dictionary(arrow_type):
        return with_sql_type(array.dictionary_decode())
    if pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type):
        return "STRING", array
    if pa.types.is_binary(arrow_type) or pa.types.is_large_binary(arrow_type):
        return "BYTES", array
    if pa.types.is_date(arrow_type):
        return "DATE", _in_range(array, arrow_type)
    if pa.types.is_time(arrow_type):
        return "TIME", array.cast(pa.time64("us"), safe=False)
    if pa.types.is_timestamp(arrow_type):
        values = _in_range(array.cast(pa.timestamp("us"), safe=False), pa.timestamp("us"))
        return ("TIMESTAMP" if arrow_type.tz else "DATETIME"), values
    if pa.types.is_struct(arrow_type):
        return "STRUCT", array
    if pa.types.is_list(arrow_type) or pa.types.is_fixed_size_list(arrow_type):
        return "ARRAY", array
    return str(arrow_type), array


def coerce(array: pa.Array, have: str, want: str) -> pa.Array:
    """Return a column of type `have` as one of type `want`, which must accept it."""
    if have == "NULL":
        return pa.nulls(len(array))
    if want in ("NUMERIC", "BIGNUMERIC"):
        return _decimals(array, ARROW_TYPES[want])
    if have == want:
        return array
    if want == "FLOAT64":
        return pa.array([None if value is None else float(value) for value in array.to_pylist()], pa.float64())
    return array.cast(pa.timestamp("us"))


def _extension(array: pa.ExtensionArray) -> tuple[str, pa.Array]:
    arrow_type = array.type
    if arrow_type.extension_name == "arrow.json":
        return "JSON", array.storage
    if arrow_type.extension_name == "arrow.bool8":
        return "BOOL", pc.not_equal(array.storage, pa.scalar(0, pa.int8()))
    if arrow_type.extension_name == "arrow.uuid":
        return "STRING", pa.array([value and str(value) for value in array.to_pylist()], pa.string())
    if getattr(arrow_type, "type_name", "") == "hugeint":
        return "INT64", _int64([_hugeint(value) for value in array.storage.to_pylist()])
    return str(getattr(arrow_type, "type_name", arrow_type.extension_name)), array


def _in_range(array: pa.Array, arrow_type: pa.DataType) -> pa.Array:
    """Return dates or times; raise QueryError for one that BigQuery cannot hold and DuckDB can, such as infinity."""
    limits = pc.min_max(array)
    for limit, beyond in ((limits["min"], pc.less), (limits["max"], pc.greater)):
        bound = pa.scalar(_FIRST if beyond is pc.less else _LAST).cast(arrow_type)
        if beyond(limit, bound).as_py():
            raise QueryError("A date or time is outside of the years 1 to 9999, which BigQuery supports.")
    return array


def _hugeint(value: bytes | None) -> int | None:
    return None if value is None else int.from_bytes(value, "little", signed=True)


def _int64(values: Any) -> pa.Array:
    try:
        return values.cast(pa.int64()) if isinstance(values, pa.Array) else pa.array(values, pa.int64())
    except (pa.ArrowInvalid, OverflowError) as error:
        raise QueryError("An integer does not fit INT64; CAST it to NUMERIC or FLOAT64 first.") from error


def _decimals(array: pa.Array, decimal_type: pa.Decimal128Type) -> pa.Array:
    step = Decimal(1).scaleb(-decimal_type.scale)
    with localcontext(prec=100):
        values = [
            None if value is None else Decimal(value).quantize(step, ROUND_HALF_UP) for value in array.to_pylist()
        ]
    try:
        return pa.array(values, decimal_type)
    except pa.ArrowInvalid as error:
        raise QueryError(f"A value has more digits than bqlocal can hold; {decimal_type} is the limit.") from error
