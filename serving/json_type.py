"""JSON values: MLflow's array, object, map and any, decoded by their declared shape and encoded whatever they hold."""

import base64
import datetime
import decimal
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from serving.errors import short_repr

EXACT_INT = 2**53  # the largest integer up to which FLOAT64 and JSON numbers hold every integer


class BadValue(ValueError):
    """A value that its column can't hold; the message says what was expected."""


def decode(detail: Mapping[str, Any], value: Any, path: str, decode_scalar: Callable[[str, Any], Any]) -> Any:
    """Return a JSON value in the shape that MLflow's JSON of its type declares.

    `decode_scalar` takes the name of an MLflow type and a value. Raise BadValue naming the path to the value.
    """
    mlflow_type = detail["type"]
    if mlflow_type == "any":
        return value
    if mlflow_type == "array" and type(value) is list:
        items = detail["items"]
        return [decode(items, item, f"{path}[{index}]", decode_scalar) for index, item in enumerate(value)]
    if mlflow_type == "map" and type(value) is dict:
        values = detail["values"]
        return {key: decode(values, item, f"{path}.{key}", decode_scalar) for key, item in value.items()}
    if mlflow_type == "object" and type(value) is dict:
        properties = detail["properties"]
        missing = [name for name, inner in properties.items() if inner.get("required", True) and name not in value]
        if missing:
            raise BadValue(f"{path or 'the object'} lacks {missing[0]!r}")
        return {
            name: None
            if value[name] is None and not inner.get("required", True)
            else decode(inner, value[name], f"{path}.{name}", decode_scalar)
            for name, inner in properties.items()
            if name in value
        }
    if mlflow_type in ("array", "map", "object"):
        raise BadValue(f"{path or 'the value'} should be of type {mlflow_type}")
    try:
        return decode_scalar(mlflow_type, value)
    except BadValue as error:
        raise BadValue(f"{path or 'the value'} is {short_repr(value)}, {error}") from None


def copied(value: Any) -> Any:
    """Return a decoded value that shares no list and no dictionary with the original."""
    if type(value) is list:
        return [copied(item) for item in value]
    if type(value) is dict:
        return {key: copied(item) for key, item in value.items()}
    return value


def is_missing(value: Any) -> bool:
    """Return whether a value that a model returned means NULL; NaN doesn't."""
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, np.datetime64) and np.isnat(value))


def encode(value: Any) -> Any:
    """Return a value of any shape as JSON: numbers exact, NaN and infinities as strings, keys as strings."""
    if is_missing(value):
        return None
    if isinstance(value, (str, bool)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [encode(item) for item in value]
    if isinstance(value, (np.ndarray, pd.Series, pd.Index)):
        return [encode(item) for item in value]
    for types, encode_scalar in _SCALARS:
        if isinstance(value, types):
            return encode_scalar(value)
    raise TypeError


def encode_float64(value: Any) -> Any:
    """Return a number as BigQuery writes FLOAT64: a number, or "NaN", "Infinity" or "-Infinity"."""
    if isinstance(value, (bool, np.bool_, str, bytes, complex, np.complexfloating)):
        raise TypeError
    number = float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def encode_bytes(value: Any) -> str:
    """Return bytes as base64."""
    return base64.b64encode(value).decode()


def encode_timestamp(value: Any) -> str:
    """Return a time as BigQuery writes TIMESTAMP, in UTC with microseconds; one without a zone is in UTC already."""
    moment = value.astype("datetime64[us]").item() if isinstance(value, np.datetime64) else value
    if type(moment) is datetime.datetime:  # before pandas 2, a Timestamp holds only the years 1678 to 2261
        utc = datetime.timezone.utc
        moment = moment.replace(tzinfo=utc) if moment.tzinfo is None else moment.astimezone(utc)
    else:
        moment = pd.Timestamp(value)
        moment = moment.tz_localize("UTC") if moment.tz is None else moment.tz_convert("UTC")
    return str(moment.isoformat(timespec="microseconds")).replace("+00:00", "Z")


def _encode_integer(value: Any) -> Any:
    return int(value) if -(2**63) <= value < 2**64 else str(int(value))


def _encode_decimal(value: decimal.Decimal) -> Any:
    if not value.is_finite():
        return encode_float64(value)
    whole = value == value.to_integral_value() and abs(value) <= EXACT_INT
    return int(value) if whole else format(value, "f")


_SCALARS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (np.bool_, bool),
    ((int, np.integer), _encode_integer),
    ((float, np.floating), encode_float64),
    (decimal.Decimal, _encode_decimal),
    ((bytes, bytearray), encode_bytes),
    ((datetime.datetime, np.datetime64), encode_timestamp),
    ((datetime.date, datetime.time), lambda value: value.isoformat()),
)
