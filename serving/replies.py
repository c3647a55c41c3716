"""From what a model returns to JSON values of the declared GoogleSQL type, a whole column at a time.

The counterpart of columns.py, with the same encodings. A model may return arrays, Series, DataFrames, lists or
dictionaries of columns; whatever it is, there comes out one strict JSON value per row. NaN and infinities are texts,
as BigQuery writes them itself; what is missing (None, NaT, pandas.NA) is null. The rule: a value that the declared
type cannot hold is an error, never something near it.
"""

import base64
import datetime
import decimal
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from serving.columns import EXACT_INT
from serving.errors import ModelUnusable, short_repr
from serving.signature import Output, sql_type_of_dtype

# Values that orjson writes as they are. An array holds finite FLOAT64 values, and NaN for NULL, which orjson writes so.
Replies = list[Any] | np.ndarray[Any, Any]


def encode(result: Any, outputs: Sequence[Output] | None, rows: int) -> Replies:
    """Return one JSON-ready value per row of a model's result; finite FLOAT64 stay an array.

    `outputs` are the declared ones; without them each column is encoded by what it holds. Several outputs become one
    object per row. Raise ModelUnusable for another number of rows or a value that the declared type cannot hold.
    """
    names, columns = _columns(result, rows)
    if outputs and len(outputs) == len(columns):
        types = [output.sql_type for output in outputs]
        names = [output.name or name for output, name in zip(outputs, names, strict=True)]
    elif outputs and len(outputs) == 1 and outputs[0].sql_type == "JSON":
        types = ["JSON"] * len(columns)
    elif outputs:
        raise ModelUnusable(
            f"The model returned {len(columns)} columns, its signature declares {len(outputs)} outputs: "
            "save it again with the signature of what it returns."
        )
    else:
        types = [_type_of(column) for column in columns]
    encoded = [_encode_column(column, sql_type) for column, sql_type in zip(columns, types, strict=True)]
    if len(encoded) == 1:
        return encoded[0]
    lists = [as_list(values) for values in encoded]
    return [dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True)]


def as_list(values: Replies) -> list[Any]:
    """Return the values as a list."""
    return values if isinstance(values, list) else [None if math.isnan(value) else value for value in values.tolist()]


def outputs_of(result: Any, rows: int) -> tuple[Output, ...]:
    """Return the outputs that a prediction shows, for a model whose signature is silent about them."""
    names, columns = _columns(result, rows)
    return tuple(Output(name, _type_of(column)) for name, column in zip(names, columns, strict=True))


def _columns(result: Any, rows: int) -> tuple[list[str], list[Any]]:
    """Return names and columns of whatever a model returned, each column an array or a list of `rows` values."""
    if isinstance(result, pd.DataFrame):
        names, columns = (
            [str(name) for name in result.columns],
            [result.iloc[:, at] for at in range(result.shape[1])],
        )
    elif isinstance(result, Mapping):
        names, columns = [str(name) for name in result], list(result.values())
    else:
        array = result.toarray() if hasattr(result, "toarray") else result
        if isinstance(array, np.ndarray) and array.ndim == 2:
            names, columns = [str(at) for at in range(array.shape[1])], list(array.T)
        else:
            names, columns = ["0"], [array]
    columns = [_values(column) for column in columns]
    for column in columns:
        if not isinstance(column, (np.ndarray, list, tuple)) or (isinstance(column, np.ndarray) and not column.ndim):
            raise ModelUnusable(f"The model returned {short_repr(column)} for {rows} rows; expected one value per row.")
        if len(column) != rows:
            raise ModelUnusable(f"The model returned {len(column)} values for {rows} rows; expected one value per row.")
    if not columns:
        raise ModelUnusable("The model returned no column; expected one value per row.")
    return names, columns


def _values(column: Any) -> Any:
    """Return a column without its index, its nullable dtype or a second dimension of one."""
    if isinstance(column, (pd.Series, pd.Index)):
        return column.to_numpy() if isinstance(column.dtype, np.dtype) else column.astype(object).to_numpy()
    if isinstance(column, np.ndarray) and column.ndim == 2 and column.shape[1] == 1:
        return column.ravel()
    return column


def _type_of(column: Any) -> str:
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype != object:
        return sql_type_of_dtype(column.dtype.name)
    kinds = {type(value) for value in column if not _is_missing(value)}
    for types, sql_type in (
        ({str, np.str_}, "STRING"),
        ({bool, np.bool_}, "BOOL"),
        ({int, np.int64, np.int32}, "INT64"),
        ({int, float, np.float64, np.float32, np.int64, np.int32}, "FLOAT64"),
        ({bytes}, "BYTES"),
        ({datetime.datetime, pd.Timestamp, np.datetime64}, "TIMESTAMP"),
    ):
        if kinds and kinds <= types:
            return sql_type
    return "JSON"


def _encode_column(column: Any, sql_type: str) -> Replies:
    if isinstance(column, np.ndarray) and column.ndim == 1:
        kind = column.dtype.kind
        if sql_type == "FLOAT64" and kind in "fiu":
            values = np.ascontiguousarray(column, np.float64)
            finite = np.isfinite(values)
            if finite.all():
                return values
            encoded: list[Any] = values.tolist()
            for row in np.flatnonzero(~finite).tolist():
                encoded[row] = _float64(encoded[row])
            return encoded
        if sql_type == "BOOL" and kind == "b":
            return list(column.tolist())
        if (
            sql_type == "INT64"
            and kind == "i"
            and column.size
            and -EXACT_INT <= column.min() <= column.max() <= EXACT_INT
        ):
            return list(column.tolist())
    encoder = _ENCODERS[sql_type]
    encoded = []
    for row, value in enumerate(column):
        try:
            encoded.append(None if _is_missing(value) else encoder(value))
        except (TypeError, ValueError, OverflowError, AttributeError):
            raise ModelUnusable(
                f"The model returned {short_repr(value)} for row {row}, where {sql_type} is declared: "
                "save it again with the signature of what it returns."
            ) from None
    return encoded


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, np.datetime64) and np.isnat(value))


def _float64(value: Any) -> Any:
    if isinstance(value, (bool, np.bool_, str, bytes)):
        raise TypeError
    number = float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _int64(value: Any) -> Any:
    if isinstance(value, (bool, np.bool_, str, bytes)) or value != int(value) or not -(2**63) <= value < 2**63:
        raise TypeError
    number = int(value)
    return number if -EXACT_INT <= number <= EXACT_INT else str(number)


def _bool(value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError
    return bool(value)


def _string(value: Any) -> str | None:
    if isinstance(value, float) and math.isnan(value):  # how pandas marks a missing text
        return None
    if not isinstance(value, str):
        raise TypeError
    return str(value)


def _bytes(value: Any) -> str:
    return base64.b64encode(value).decode()


def _timestamp(value: Any) -> str:
    moment = pd.Timestamp(value)
    moment = moment.tz_localize("UTC") if moment.tz is None else moment.tz_convert("UTC")
    return str(moment.isoformat(timespec="microseconds")).replace("+00:00", "Z")


def _json(value: Any) -> Any:
    """Return a value of any shape as JSON: numbers exact, NaN and infinities as texts, keys as texts."""
    if _is_missing(value):
        return None
    if isinstance(value, (str, bool)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_json(item) for item in value]
    if isinstance(value, (np.ndarray, pd.Series, pd.Index)):
        return [_json(item) for item in value]
    for types, encoder in _JSON_SCALARS:
        if isinstance(value, types):
            return encoder(value)
    raise TypeError


def _json_integer(value: Any) -> Any:
    return int(value) if -(2**63) <= value < 2**64 else str(int(value))


def _numeric(value: decimal.Decimal) -> Any:
    if not value.is_finite():
        return _float64(value)
    whole = value == value.to_integral_value() and abs(value) <= EXACT_INT
    return int(value) if whole else format(value, "f")


_JSON_SCALARS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (np.bool_, bool),
    ((int, np.integer), _json_integer),
    ((float, np.floating), _float64),
    (decimal.Decimal, _numeric),
    ((bytes, bytearray), _bytes),
    ((datetime.datetime, np.datetime64), _timestamp),
    ((datetime.date, datetime.time), lambda value: value.isoformat()),
)

_ENCODERS: dict[str, Callable[[Any], Any]] = {
    "FLOAT64": _float64,
    "INT64": _int64,
    "BOOL": _bool,
    "STRING": _string,
    "BYTES": _bytes,
    "TIMESTAMP": _timestamp,
    "JSON": _json,
}
