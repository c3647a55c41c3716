"""From JSON values to typed arrays, a whole column at a time.

BigQuery sends no types: the same FLOAT64 column holds `1`, `2.5`, `"NaN"` and `null` from row to row, INT64 turns from
number to text beyond 2^53, NUMERIC whenever it has a fraction. So a column is decoded by the model's signature, never
by what a batch happens to hold, and a value gives the same result alone, in a batch and in any order of rows.

The rule for a new type: one entry in `signature.SQL_TYPES` and one in `_DECODERS`. A decoder gets the column's values
(no None among them), looks at the set of their Python types first, and decodes them in one NumPy call when that set
is the plain one. Anything else goes value by value, where a bad value becomes a fault of its row.

The encodings are those of TO_JSON_STRING:
https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#json_encodings
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serving.errors import short_repr
from serving.signature import Column

EXACT_INT = 2**53  # the largest integer up to which FLOAT64 and JSON numbers hold every integer

_DECIMAL = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_INTEGER = re.compile(r"-?\d+", re.ASCII)
_TIMESTAMPS = re.compile(r"(?:\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?Z?)?\n)*", re.ASCII)  # a line each
_SPECIAL = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}
_TIME_MIN, _TIME_MAX = (
    np.datetime64(bound, "us") for bound in ("1677-09-21T00:12:43.145225", "2262-04-11T23:47:16.854775")
)


class BadValue(ValueError):
    """One value that its column cannot hold; the message says what was expected."""


@dataclass
class Values:
    """One decoded column.

    `array` has one element a row, of the dtype that the signature names (float64, float32, int64, int32, bool,
    datetime64[ns] in UTC, or object for str, bytes and JSON); where `nulls` is True it holds a filler.
    """

    column: Column
    array: np.ndarray[Any, Any]
    nulls: np.ndarray[Any, np.dtype[np.bool_]]
    faults: dict[int, str] = field(default_factory=dict)

    def take(self, rows: np.ndarray[Any, Any]) -> "Values":
        """Return the rows at these positions."""
        return Values(self.column, self.array[rows], self.nulls[rows])


def decode_column(column: Column, values: Sequence[Any]) -> Values:
    """Return the column of a batch; a value that does not fit is a sentence in `faults` under its row."""
    decoder = _DECODERS[column.mlflow_type]
    kinds = set(map(type, values))
    has_nulls = type(None) in kinds
    nulls = np.array([value is None for value in values]) if has_nulls else np.zeros(len(values), bool)
    present = [value for value in values if value is not None] if has_nulls else values
    faults = {}
    try:
        filled = decoder.column(column, present, kinds - {type(None)})
    except (BadValue, OverflowError):
        rows = np.flatnonzero(~nulls)
        filled = np.zeros(len(present), decoder.dtype)
        for position, value in enumerate(present):
            try:
                filled[position] = decoder.column(column, [value], {type(value)})[0]
            except (BadValue, OverflowError) as cause:
                row = int(rows[position])
                faults[row] = (
                    f"Row {row}, column {column.name}: {short_repr(value)} is not {column.sql_type}"
                    f"{f' ({cause})' if str(cause) else ''}."
                )
    if not has_nulls:
        return Values(column, filled, nulls, faults)
    array = np.full(len(values), _filler(decoder.dtype), decoder.dtype)
    array[~nulls] = filled
    return Values(column, array, nulls, faults)


def _filler(dtype: np.dtype[Any]) -> Any:
    """Return what stands for a missing value: NaN, NaT, None, or 0 where the dtype has no such thing."""
    return {"f": np.nan, "M": np.datetime64("NaT"), "O": None}.get(dtype.kind, 0)


def _objects(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Return an object array of the values, whatever NumPy would like to make of nested lists."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _double(_: Column, values: Sequence[Any], kinds: set[type]) -> np.ndarray[Any, Any]:
    if not kinds <= {int, float}:
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
    raise BadValue('a number, its text, "NaN", "Infinity" or "-Infinity" was expected')


def _float(column: Column, values: Sequence[Any], kinds: set[type]) -> np.ndarray[Any, Any]:
    wide = _double(column, values, kinds)
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    if (np.isinf(narrow) & ~np.isinf(wide)).any():
        raise BadValue("the model's float holds at most 3.4e38")
    return narrow


def _long(_: Column, values: Sequence[Any], kinds: set[type]) -> np.ndarray[Any, Any]:
    if kinds != {int}:
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
    raise BadValue("a whole number or its text was expected")


def _integer(column: Column, values: Sequence[Any], kinds: set[type]) -> np.ndarray[Any, Any]:
    wide = _long(column, values, kinds)
    narrow = wide.astype(np.int32)
    if (narrow != wide).any():
        raise BadValue("the model's integer lies between -2147483648 and 2147483647")
    return narrow


def _boolean(_: Column, values: Sequence[Any], kinds: set[type]) -> np.ndarray[Any, Any]:
    if not kinds <= {bool}:
        raise BadValue("true or false was expected")
    return np.array(values, np.bool_)


def _string(_: Column, values: Sequence[Any], kinds: set[type]) -> np.ndarray[Any, Any]:
    if not kinds <= {str}:
        raise BadValue("a text was expected")
    return _objects(values)


def _binary(_: Column, values: Sequence[Any], __: set[type]) -> np.ndarray[Any, Any]:
    try:
        return _objects([base64.b64decode(value, validate=True) for value in values])
    except (binascii.Error, ValueError, TypeError):
        raise BadValue("base64 text was expected") from None


def _datetime(_: Column, values: Sequence[Any], kinds: set[type]) -> np.ndarray[Any, Any]:
    lines = "".join([f"{value}\n" for value in values]) if kinds <= {str} else ""
    if lines.count("\n") != len(values) or not _TIMESTAMPS.fullmatch(lines):
        raise BadValue("a text like 2017-03-06T12:34:56.789012Z was expected")
    try:
        array = np.array(lines.replace("Z", "").splitlines(), "datetime64[us]")
    except ValueError:  # the 30th of February
        raise BadValue("there is no such date or time") from None
    if ((array < _TIME_MIN) | (array > _TIME_MAX)).any():
        raise BadValue("the model's datetime64[ns] holds the years 1678 to 2261")
    return array.astype("datetime64[ns]")


def _json(column: Column, values: Sequence[Any], _: set[type]) -> np.ndarray[Any, Any]:
    return _objects([_structured(column.detail or {}, value, "") for value in values])


def _structured(expected: Mapping[str, Any], value: Any, path: str) -> Any:
    """Return a JSON value as MLflow's array, object or map type wants it; raise BadValue naming the path."""
    kind = expected["type"]
    if kind == "any":
        return value
    if kind == "array" and type(value) is list:
        return [_structured(expected["items"], item, f"{path}[{at}]") for at, item in enumerate(value)]
    if kind == "map" and type(value) is dict:
        return {key: _structured(expected["values"], item, f"{path}.{key}") for key, item in value.items()}
    if kind == "object" and type(value) is dict:
        properties = expected["properties"]
        missing = [name for name, inner in properties.items() if inner.get("required", True) and name not in value]
        if missing:
            raise BadValue(f"{path or 'the object'} lacks {missing[0]!r}")
        return {
            name: None
            if value[name] is None and not inner.get("required", True)
            else _structured(inner, value[name], f"{path}.{name}")
            for name, inner in properties.items()
            if name in value
        }
    if kind in ("array", "map", "object"):
        raise BadValue(f"{path or 'the value'} should be of type {kind}")
    try:
        scalar = _DECODERS[kind].column(Column(path, kind, ""), [value], {type(value)})
    except BadValue as cause:
        raise BadValue(f"at {path or 'the value'} {cause}, {short_repr(value)} came") from None
    # Plain Python values, as MLflow makes them of lists; of a time, a datetime.
    return (scalar.astype("datetime64[us]") if kind == "datetime" else scalar).tolist()[0]


@dataclass(frozen=True)
class _Decoder:
    dtype: np.dtype[Any]
    column: Callable[[Column, Sequence[Any], set[type]], np.ndarray[Any, Any]]


_DECODERS = {
    "boolean": _Decoder(np.dtype(np.bool_), _boolean),
    "integer": _Decoder(np.dtype(np.int32), _integer),
    "long": _Decoder(np.dtype(np.int64), _long),
    "float": _Decoder(np.dtype(np.float32), _float),
    "double": _Decoder(np.dtype(np.float64), _double),
    "string": _Decoder(np.dtype(object), _string),
    "binary": _Decoder(np.dtype(object), _binary),
    "datetime": _Decoder(np.dtype("datetime64[ns]"), _datetime),
    **dict.fromkeys(("array", "object", "map", "any"), _Decoder(np.dtype(object), _json)),
}
