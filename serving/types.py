"""The MLflow types: one row per type says what it is in SQL, in NumPy, in pandas and in JSON, in both directions.

To add a type, add a row to TYPES. signature.py, decoding.py, encoding.py, rows.py and options.py take everything they
need to know about a type from there.

BigQuery sends no types: a FLOAT64 column holds `1`, `2.5`, `"NaN"` and `null` from row to row, INT64 turns from number
to string beyond 2^53, NUMERIC whenever it has a fraction. The encodings, in both directions, are those of
TO_JSON_STRING:
https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#json_encodings
"""

import base64
import binascii
import datetime
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from serving import json_type, timestamps
from serving.json_type import EXACT_INT, BadValue

Array = np.ndarray[Any, Any]
Replies = list[Any] | Array  # JSON-ready values; an array holds FLOAT64, with NaN for NULL, as orjson writes it

# Decodes the values of a column (none of them None), given the set of their Python types and MLflow's JSON of the type.
Decoder = Callable[[Sequence[Any], set[type], Mapping[str, Any] | None], Array]

_DECIMAL = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_INTEGER = re.compile(r"-?\d+", re.ASCII)
_TIMESTAMPS = re.compile(r"(?:\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?Z?)?\n)*", re.ASCII)  # one per line
_MANY = 500  # timestamps that take less time together than one by one
_SPECIAL = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}
_TIME_MIN, _TIME_MAX = (
    np.datetime64(bound, "us") for bound in ("1677-09-21T00:12:43.145225", "2262-04-11T23:47:16.854775")
)
_TEXT_DTYPE = "str" if int(pd.__version__.split(".")[0]) >= 3 else object  # what pandas itself infers for text


@dataclass(frozen=True)
class MlflowType:
    """One MLflow type.

    `decode` turns JSON values into an array of `dtype` and raises BadValue or OverflowError for a value that the type
    can't hold. `encode` turns one value that a model returned into JSON and raises TypeError, ValueError, OverflowError
    or AttributeError; `encode_array` does so for a whole array, or returns None when it has to go value by value.
    `to_pandas` builds the DataFrame column from an array, its NULL mask, whether the column is required, and the value
    that stands for a missing text.
    `value_types` are the Python types of a model's results from which this type is inferred; `param_types` those of a
    JSON value that may be an inference parameter of this type.
    """

    sql_type: str
    dtype: np.dtype[Any]
    decode: Decoder
    encode: Callable[[Any], Any]
    encode_array: Callable[[Array], Replies | None] = lambda _: None
    to_pandas: Callable[[Array, Array, bool, Any], Any] = lambda array, *_: array
    value_types: frozenset[type] = frozenset()
    param_types: tuple[type, ...] = (str,)

    @property
    def filler(self) -> Any:
        """The value that stands for NULL in an array: NaN, NaT, None, or 0 where the dtype has no missing value."""
        return {"f": np.nan, "M": np.datetime64("NaT"), "O": None}.get(self.dtype.kind, 0)


def _objects(values: Sequence[Any]) -> Array:
    """Return an object array of the values, even if they are lists that NumPy would make a matrix of."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _is_nan(value: Any) -> bool:
    return isinstance(value, (float, np.floating)) and math.isnan(value)


# FLOAT64


def _decode_double(values: Sequence[Any], value_types: set[type], _: Mapping[str, Any] | None) -> Array:
    if not value_types <= {int, float}:
        values = [_number(value) for value in values]
    return np.array(values, np.float64)


def _number(value: Any) -> float:
    if type(value) in (int, float):
        return float(value)
    if type(value) is str:
        if value in _SPECIAL:
            return _SPECIAL[value]
        if _DECIMAL.fullmatch(value) and np.isfinite(number := float(value)):
            return number
    raise BadValue('expected a number, a number as a string, "NaN", "Infinity" or "-Infinity"')


def _decode_float(values: Sequence[Any], value_types: set[type], detail: Mapping[str, Any] | None) -> Array:
    wide = _decode_double(values, value_types, detail)
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    if (np.isinf(narrow) & ~np.isinf(wide)).any():
        raise BadValue("the model's type float ends at 3.4e38")
    return narrow


def _encode_double_array(column: Array) -> Replies | None:
    if column.dtype.kind not in "fiu":
        return None
    values = np.ascontiguousarray(column, np.float64)
    finite = np.isfinite(values)
    if finite.all():
        return values
    encoded: list[Any] = values.tolist()
    for row in np.flatnonzero(~finite).tolist():
        encoded[row] = json_type.encode_float64(encoded[row])
    return encoded


# INT64


def _decode_long(values: Sequence[Any], value_types: set[type], _: Mapping[str, Any] | None) -> Array:
    if value_types != {int}:
        values = [_whole_number(value) for value in values]
    try:
        return np.array(values, np.int64)
    except OverflowError:
        raise BadValue("INT64 ends at 2^63") from None


def _whole_number(value: Any) -> int:
    if type(value) is int:
        return value
    if type(value) is str and _INTEGER.fullmatch(value) and len(value) <= 40:
        return int(value)
    if type(value) is float and value.is_integer() and abs(value) <= EXACT_INT:
        return int(value)
    raise BadValue("expected a whole number or one as a string")


def _decode_integer(values: Sequence[Any], value_types: set[type], detail: Mapping[str, Any] | None) -> Array:
    wide = _decode_long(values, value_types, detail)
    narrow = wide.astype(np.int32)
    if (narrow != wide).any():
        raise BadValue("the model's type integer holds -2147483648 to 2147483647")
    return narrow


def _encode_int64(value: Any) -> Any:
    if _is_nan(value):  # how NumPy and pandas write a missing integer
        return None
    if isinstance(value, (bool, np.bool_, str, bytes)) or value != int(value) or not -(2**63) <= value < 2**63:
        raise TypeError
    number = int(value)
    return number if -EXACT_INT <= number <= EXACT_INT else str(number)


def _encode_int64_array(column: Array) -> Replies | None:
    exact = column.dtype.kind == "i" and column.size and -EXACT_INT <= column.min() <= column.max() <= EXACT_INT
    return list(column.tolist()) if exact else None


def _integers_to_pandas(array: Array, nulls: Array, required: bool, _: Any) -> Any:
    return pd.arrays.IntegerArray(array, nulls) if nulls.any() or not required else array


# BOOL


def _decode_boolean(values: Sequence[Any], value_types: set[type], _: Mapping[str, Any] | None) -> Array:
    if not value_types <= {bool}:
        raise BadValue("expected true or false")
    return np.array(values, np.bool_)


def _encode_bool(value: Any) -> bool | None:
    if _is_nan(value):
        return None
    if not isinstance(value, (bool, np.bool_, int, float, np.integer, np.floating)) or value not in (0, 1):
        raise TypeError
    return bool(value)


def _encode_bool_array(column: Array) -> Replies | None:
    return list(column.tolist()) if column.dtype.kind == "b" else None


def _booleans_to_pandas(array: Array, nulls: Array, required: bool, _: Any) -> Any:
    return pd.arrays.BooleanArray(array, nulls) if nulls.any() or not required else array


# STRING and BYTES


def _decode_string(values: Sequence[Any], value_types: set[type], _: Mapping[str, Any] | None) -> Array:
    if not value_types <= {str}:
        raise BadValue("expected a string")
    return _objects(values)


def _encode_string(value: Any) -> str | None:
    if _is_nan(value):  # pandas' marker of a missing text
        return None
    if not isinstance(value, str):
        raise TypeError
    return str(value)


def _text_to_pandas(array: Array, nulls: Array, required: bool, missing: Any) -> Any:
    """Return texts in the dtype that pandas infers, unless that has no room for what stands for a missing one."""
    if _is_nan(missing) or (required and not nulls.any()):
        texts = array if _TEXT_DTYPE == "str" else np.where(nulls, np.nan, array)
        return pd.array(texts, dtype=_TEXT_DTYPE)
    texts = array.copy()
    texts[nulls] = missing
    return pd.Series(texts, dtype=object)  # of an array alone, pandas 3 would make `str`, in which None is NaN


def _decode_binary(values: Sequence[Any], _: set[type], __: Mapping[str, Any] | None) -> Array:
    try:
        return _objects([base64.b64decode(value, validate=True) for value in values])
    except (binascii.Error, ValueError, TypeError):
        raise BadValue("expected a base64 string") from None


# TIMESTAMP


def _decode_datetime(values: Sequence[Any], value_types: set[type], _: Mapping[str, Any] | None) -> Array:
    array = timestamps.parse(values) if len(values) >= _MANY and value_types == {str} else None
    if array is None:
        array = _decode_odd_datetimes(values, value_types)
    if ((array < _TIME_MIN) | (array > _TIME_MAX)).any():
        raise BadValue("the model's type datetime64[ns] holds the years 1678 to 2261")
    return array.astype("datetime64[ns]")


def _decode_odd_datetimes(values: Sequence[Any], value_types: set[type]) -> Array:
    """Return a few timestamps, or such as BigQuery doesn't write: without a time, with any number of digits."""
    lines = "".join([f"{value}\n" for value in values]) if value_types <= {str} else ""
    if lines.count("\n") != len(values) or not _TIMESTAMPS.fullmatch(lines):
        raise BadValue("expected a string like 2017-03-06T12:34:56.789012Z")
    try:
        return np.array(lines.replace("Z", "").splitlines(), "datetime64[us]")
    except ValueError:  # February 30
        raise BadValue("there is no such date or time") from None


# JSON


def _decode_json(values: Sequence[Any], _: set[type], detail: Mapping[str, Any] | None) -> Array:
    return _objects([json_type.decode(detail or {}, value, "", _decode_json_scalar) for value in values])


def _decode_json_scalar(mlflow_type: str, value: Any) -> Any:
    """Return a scalar within JSON as MLflow's own conversion gives it: a plain Python value."""
    scalar = TYPES[mlflow_type].decode([value], {type(value)}, None)
    return (scalar.astype("datetime64[us]") if mlflow_type == "datetime" else scalar).tolist()[0]


def _json_to_pandas(array: Array, *_: Any) -> Any:
    return pd.Series(_objects([json_type.copied(value) for value in array]), dtype=object)


_JSON = MlflowType("JSON", np.dtype(object), _decode_json, json_type.encode, to_pandas=_json_to_pandas)
_INTEGERS = frozenset({int, np.int64, np.int32})

TYPES: dict[str, MlflowType] = {
    "boolean": MlflowType(
        "BOOL",
        np.dtype(np.bool_),
        _decode_boolean,
        _encode_bool,
        _encode_bool_array,
        _booleans_to_pandas,
        frozenset({bool, np.bool_}),
        (bool,),
    ),
    "integer": MlflowType(
        "INT64",
        np.dtype(np.int32),
        _decode_integer,
        _encode_int64,
        _encode_int64_array,
        _integers_to_pandas,
        _INTEGERS,
        (int,),
    ),
    "long": MlflowType(
        "INT64",
        np.dtype(np.int64),
        _decode_long,
        _encode_int64,
        _encode_int64_array,
        _integers_to_pandas,
        _INTEGERS,
        (int,),
    ),
    "float": MlflowType(
        "FLOAT64",
        np.dtype(np.float32),
        _decode_float,
        json_type.encode_float64,
        _encode_double_array,
        param_types=(int, float),
    ),
    "double": MlflowType(
        "FLOAT64",
        np.dtype(np.float64),
        _decode_double,
        json_type.encode_float64,
        _encode_double_array,
        value_types=_INTEGERS | {float, np.float64, np.float32},
        param_types=(int, float),
    ),
    "string": MlflowType(
        "STRING",
        np.dtype(object),
        _decode_string,
        _encode_string,
        to_pandas=_text_to_pandas,
        value_types=frozenset({str, np.str_}),
    ),
    "binary": MlflowType(
        "BYTES",
        np.dtype(object),
        _decode_binary,
        json_type.encode_bytes,
        value_types=frozenset({bytes}),
    ),
    "datetime": MlflowType(
        "TIMESTAMP",
        np.dtype("datetime64[ns]"),
        _decode_datetime,
        json_type.encode_timestamp,
        value_types=frozenset({datetime.datetime, pd.Timestamp, np.datetime64}),
    ),
    "array": _JSON,
    "object": _JSON,
    "map": _JSON,
    "any": _JSON,
}

BY_SQL_TYPE: dict[str, MlflowType] = {row.sql_type: row for row in TYPES.values()}


def sql_type_of_dtype(dtype: str) -> str:
    """Return the GoogleSQL type that holds every value of a NumPy dtype; JSON when no other type does."""
    if dtype.startswith("datetime64"):
        return "TIMESTAMP"
    if re.fullmatch(r"(str|<?U|bytes|<?S|\|S)\d*", dtype):
        return "BYTES" if "S" in dtype or dtype.startswith("bytes") else "STRING"
    family = dtype.rstrip("0123456789")
    return {"float": "FLOAT64", "int": "INT64", "uint": "INT64", "bool": "BOOL"}.get(family, "JSON")


def sql_type_of_values(value_types: set[type]) -> str:
    """Return the GoogleSQL type of results with these Python types; JSON for none or for a mixture."""
    fitting = (row.sql_type for row in TYPES.values() if value_types <= row.value_types)
    return next(fitting, "JSON") if value_types else "JSON"
