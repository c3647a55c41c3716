"""SQL values as JSON text, encoded for a request as TO_JSON_STRING encodes them.

The text matches GoogleSQL's character by character, as far as BigQuery's documentation or GoogleSQL's own
implementation defines it: a FLOAT64 has 15 digits, or 17 where 15 would not read back as the same number. Encoding
whole columns lets `remote.py` build a request by joining strings.
"""

import base64
import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa

# The largest integer up to which every JSON reader keeps all of them exact.
MAX_EXACT = 2**53

_escape = json.encoder.encode_basestring


def string(value: str) -> str:
    """Encode a STRING; like GoogleSQL, escape the two line separators that are not allowed in JavaScript."""
    return _escape(value).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def int64(value: int) -> str:
    """Encode an INT64, quoted where a JSON reader might round it."""
    return str(value) if -MAX_EXACT <= value <= MAX_EXACT else f'"{value}"'


def float64(value: float) -> str:
    """Encode a FLOAT64; NaN and infinities are strings."""
    if math.isnan(value):
        return '"NaN"'
    if math.isinf(value):
        return '"Infinity"' if value > 0 else '"-Infinity"'
    if value == 0:  # minus zero as well
        return "0"
    short = f"{value:.15g}"
    return short if float(short) == value else f"{value:.17g}"


def numeric(value: Decimal) -> str:
    """Encode a NUMERIC or BIGNUMERIC: integers up to `MAX_EXACT` as numbers, all else as strings."""
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if "." not in text and -MAX_EXACT <= value <= MAX_EXACT else f'"{text}"'


def iso_format(value: Any) -> str:
    """Format a datetime or time with 0, 3 or 6 fractional digits, the fewest that lose nothing."""
    if value.microsecond % 1000 == 0 and value.microsecond:
        return str(value.isoformat(timespec="milliseconds"))
    return str(value.isoformat())


def canonical_json(document: Any) -> str:
    """Encode a JSON document as GoogleSQL stores it: members sorted by name, no spaces."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


_ENCODERS: dict[str, Callable[[Any], str]] = {
    "BOOL": lambda value: "true" if value else "false",
    "INT64": int64,
    "FLOAT64": float64,
    "NUMERIC": numeric,
    "BIGNUMERIC": numeric,
    "STRING": string,
    "BYTES": lambda value: f'"{base64.b64encode(value).decode()}"',
    "DATE": lambda value: f'"{value.isoformat()}"',
    "DATETIME": lambda value: f'"{iso_format(value)}"',
    "TIMESTAMP": lambda value: f'"{iso_format(value)}Z"',
    "TIME": lambda value: f'"{iso_format(value)}"',
    "JSON": lambda value: canonical_json(json.loads(value)),
}


def encode(sql_type: str, array: pa.Array) -> list[str]:
    """Encode a column of one of `types.TYPES`; NULL becomes `null`."""
    encoder = _ENCODERS[sql_type]
    return ["null" if value is None else encoder(value) for value in array.to_pylist()]
