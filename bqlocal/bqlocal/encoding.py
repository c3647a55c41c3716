"""SQL values as JSON text, as BigQuery writes them into a request: the encoding of TO_JSON_STRING.

The rule: what GoogleSQL writes, character by character where BigQuery's documentation or GoogleSQL's own
implementation says so. A FLOAT64 takes 15 digits, or 17 where 15 would not come back as the same number.
Columns are encoded whole, so that a request is put together by joining strings.
"""

import base64
import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa

# The widest integers that every JSON reader keeps exact.
EXACT = 2**53

_escape = json.encoder.encode_basestring


def text(value: str) -> str:
    """Encode a STRING; the two line separators that JavaScript chokes on are escaped, as GoogleSQL does."""
    return _escape(value).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def int64(value: int) -> str:
    return str(value) if -EXACT <= value <= EXACT else f'"{value}"'


def float64(value: float) -> str:
    if not math.isfinite(value):
        return _not_finite(value)
    if value == 0:  # minus zero as well
        return "0"
    short = f"{value:.15g}"
    return short if float(short) == value else f"{value:.17g}"


def numeric(value: Decimal) -> str:
    written = plain_decimal(value)
    return written if "." not in written and -EXACT <= value <= EXACT else f'"{written}"'


def plain_decimal(value: Decimal) -> str:
    """Write a decimal without exponent and without trailing zeros."""
    written = format(value, "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


def moment(value: Any) -> str:
    """Write a datetime or time with 0, 3 or 6 digits of a second, whichever is the fewest without loss."""
    if value.microsecond % 1000 == 0 and value.microsecond:
        return str(value.isoformat(timespec="milliseconds"))
    return str(value.isoformat())


def canonical_json(value: str) -> str:
    """Write a JSON document as GoogleSQL keeps it: members sorted by name, no spaces."""
    return json.dumps(json.loads(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _not_finite(value: float) -> str:
    return '"NaN"' if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'


_ENCODERS: dict[str, Callable[[Any], str]] = {
    "BOOL": lambda value: "true" if value else "false",
    "INT64": int64,
    "FLOAT64": float64,
    "NUMERIC": numeric,
    "BIGNUMERIC": numeric,
    "STRING": text,
    "BYTES": lambda value: f'"{base64.b64encode(value).decode()}"',
    "DATE": lambda value: f'"{value.isoformat()}"',
    "DATETIME": lambda value: f'"{moment(value)}"',
    "TIMESTAMP": lambda value: f'"{moment(value)}Z"',
    "TIME": lambda value: f'"{moment(value)}"',
    "JSON": canonical_json,
}
TYPES = tuple(_ENCODERS)


def encode(sql_type: str, array: pa.Array) -> list[str]:
    """Encode a column of one of `TYPES`; NULL is `null`."""
    encoder = _ENCODERS[sql_type]
    return ["null" if value is None else encoder(value) for value in array.to_pylist()]
