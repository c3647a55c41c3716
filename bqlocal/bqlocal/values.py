"""Columns as DuckDB hands them over, as columns of a BigQuery type, and the coercions that BigQuery makes
by itself.

The rule: DuckDB's many types become BigQuery's few without losing a digit, or fail. DuckDB is asked for
lossless Arrow (`arrow_lossless_conversion`), where JSON, HUGEINT (its sum of integers) and BOOL come as
extension types.
"""

from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bqlocal.errors import QueryError

NUMERIC = pa.decimal128(38, 9)
BIGNUMERIC = pa.decimal128(38, 18)  # as many digits as DuckDB has; a value with more is refused

# Where BigQuery supplies a value of the first type to a parameter of one of the others without a CAST.
COERCIONS = {
    "INT64": ("NUMERIC", "BIGNUMERIC", "FLOAT64"),
    "NUMERIC": ("BIGNUMERIC", "FLOAT64"),
    "BIGNUMERIC": ("FLOAT64",),
    "DATE": ("DATETIME",),
}


def plain(array: pa.Array) -> tuple[str, pa.Array]:
    """Return the BigQuery type of a DuckDB column and the column as plain Arrow of that type.

    The type is one of `encoding.TYPES`, or NULL, ARRAY, STRUCT, or the name of what BigQuery does not know.
    """
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _plain_extension(array)
    if pa.types.is_null(kind):
        return "NULL", array
    if pa.types.is_boolean(kind):
        return "BOOL", array
    if pa.types.is_integer(kind):
        return "INT64", _int64(array)
    if pa.types.is_floating(kind):
        return "FLOAT64", array.cast(pa.float64())
    if pa.types.is_decimal(kind):
        return ("NUMERIC", array) if kind.scale <= NUMERIC.scale else ("BIGNUMERIC", array)
    if pa.types.is_dictionary(kind):
        return plain(array.dictionary_decode())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "STRING", array
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return "BYTES", array
    if pa.types.is_date(kind):
        return "DATE", array
    if pa.types.is_time(kind):
        return "TIME", array.cast(pa.time64("us"), safe=False)
    if pa.types.is_timestamp(kind):
        return ("TIMESTAMP" if kind.tz else "DATETIME"), array.cast(pa.timestamp("us"), safe=False)
    if pa.types.is_struct(kind):
        return "STRUCT", array
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return "ARRAY", array
    return str(kind), array


def coerce(array: pa.Array, have: str, want: str) -> pa.Array:
    """Give a column the declared type; `have` is `want` or one of its coercions, or NULL."""
    if have == "NULL":
        return pa.nulls(len(array))
    if want in ("NUMERIC", "BIGNUMERIC"):
        return _decimals(array, NUMERIC if want == "NUMERIC" else BIGNUMERIC)
    if have == want:
        return array
    if want == "FLOAT64":
        return pa.array([None if value is None else float(value) for value in array.to_pylist()], pa.float64())
    return array.cast(pa.timestamp("us"))


def _plain_extension(array: pa.ExtensionArray) -> tuple[str, pa.Array]:
    kind = array.type
    if kind.extension_name == "arrow.json":
        return "JSON", array.storage
    if kind.extension_name == "arrow.bool8":
        return "BOOL", pc.not_equal(array.storage, pa.scalar(0, pa.int8()))
    if kind.extension_name == "arrow.uuid":
        return "STRING", pa.array([value and str(value) for value in array.to_pylist()], pa.string())
    if getattr(kind, "type_name", "") == "hugeint":
        wide = [_from_bytes(value) for value in array.storage.to_pylist()]
        return "INT64", _int64(wide)
    return str(getattr(kind, "type_name", kind.extension_name)), array


def _from_bytes(value: bytes | None) -> int | None:
    return None if value is None else int.from_bytes(value, "little", signed=True)


def _int64(values: Any) -> pa.Array:
    try:
        return values.cast(pa.int64()) if isinstance(values, pa.Array) else pa.array(values, pa.int64())
    except (pa.ArrowInvalid, OverflowError) as error:
        raise QueryError("An integer does not fit INT64; CAST it to NUMERIC or FLOAT64 first.") from error


def _decimals(array: pa.Array, kind: pa.Decimal128Type) -> pa.Array:
    step = Decimal(1).scaleb(-kind.scale)
    with localcontext(prec=100):
        values = [
            None if value is None else Decimal(value).quantize(step, ROUND_HALF_UP) for value in array.to_pylist()
        ]
    try:
        return pa.array(values, kind)
    except pa.ArrowInvalid as error:
        raise QueryError(f"A value needs more digits than a decimal of DuckDB ({kind}) holds.") from error
