"""The replies of a remote function, from JSON to a column of the type that RETURNS declared.

The rule: a reply is either exactly a value of that type in the encoding of TO_JSON_STRING, or an error that
names it. Nothing is guessed: `1.5` is no INT64 and `"1"` is no FLOAT64.
"""

import base64
import binascii
import datetime as dt
import json
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from typing import Any

import pyarrow as pa

ARROW = {
    "BOOL": pa.bool_(),
    "INT64": pa.int64(),
    "FLOAT64": pa.float64(),
    "NUMERIC": pa.decimal128(38, 9),
    "BIGNUMERIC": pa.decimal128(38, 18),  # as many digits as DuckDB has
    "STRING": pa.string(),
    "BYTES": pa.binary(),
    "DATE": pa.date32(),
    "DATETIME": pa.timestamp("us"),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    "TIME": pa.time64("us"),
    "JSON": pa.string(),
}
_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_DAY = r"\d{4}-\d\d-\d\d"
_CLOCK = r"\d\d:\d\d:\d\d(\.\d{1,6})?"
_PATTERNS = {
    "DATE": re.compile(_DAY),
    "DATETIME": re.compile(f"{_DAY}[T ]{_CLOCK}"),
    "TIMESTAMP": re.compile(rf"{_DAY}[T ]{_CLOCK}(Z|[+-]\d\d:\d\d)"),
    "TIME": re.compile(_CLOCK),
}
_SHOWN = 60  # characters of a wrong reply in an error


class ReplyError(ValueError):
    """A reply that is no value of the declared type."""


def parse(body: bytes, sql_type: str) -> Any:
    """Parse a reply's body as strict JSON; decimals keep their digits where the type needs them."""
    decimals = sql_type in ("NUMERIC", "BIGNUMERIC")
    return json.loads(body, parse_float=Decimal if decimals else float, parse_constant=_refuse)


def decode(sql_type: str, replies: list[Any]) -> pa.Array:
    """Turn replies into a column, or say which one is wrong."""
    decoder = _DECODERS[sql_type]
    column = []
    for index, reply in enumerate(replies):
        try:
            column.append(None if reply is None else decoder(reply))
        except (ValueError, TypeError, ArithmeticError) as error:
            shown = json.dumps(reply, ensure_ascii=False, default=str)
            shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."
            raise ReplyError(f"reply {index} is {shown}, which is no {sql_type}") from error
    return pa.array(column, ARROW[sql_type])


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _only(kind: type) -> Callable[[Any], Any]:
    def decoder(reply: Any) -> Any:
        if not isinstance(reply, kind):
            raise TypeError
        return reply

    return decoder


def _int64(reply: Any) -> int:
    if isinstance(reply, str) and re.fullmatch(r"-?\d+", reply):
        reply = int(reply)
    if type(reply) is not int or not -(2**63) <= reply < 2**63:
        raise ValueError
    return reply


def _float64(reply: Any) -> float:
    if isinstance(reply, str):
        if reply not in _NOT_FINITE:
            raise ValueError
        return _NOT_FINITE[reply]
    if isinstance(reply, bool) or not isinstance(reply, int | float):
        raise TypeError
    return float(reply)


def _decimal(digits: int, whole: int) -> Callable[[Any], Decimal]:
    def decoder(reply: Any) -> Decimal:
        if isinstance(reply, bool) or not isinstance(reply, int | str | Decimal):
            raise TypeError
        with localcontext(prec=100):
            try:
                value = Decimal(reply).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
            except InvalidOperation as error:
                raise ValueError from error
        if not value.is_finite() or value.adjusted() >= whole:
            raise ValueError
        return value

    return decoder


def _bytes(reply: Any) -> bytes:
    try:
        return base64.b64decode(_only(str)(reply), validate=True)
    except binascii.Error as error:
        raise ValueError from error


def _moment(sql_type: str, read: Callable[[str], Any]) -> Callable[[Any], Any]:
    def decoder(reply: Any) -> Any:
        if not _PATTERNS[sql_type].fullmatch(_only(str)(reply)):
            raise ValueError
        return read(reply)

    return decoder


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "BOOL": _only(bool),
    "INT64": _int64,
    "FLOAT64": _float64,
    "NUMERIC": _decimal(digits=9, whole=29),
    "BIGNUMERIC": _decimal(digits=18, whole=20),
    "STRING": _only(str),
    "BYTES": _bytes,
    "DATE": _moment("DATE", dt.date.fromisoformat),
    "DATETIME": _moment("DATETIME", dt.datetime.fromisoformat),
    "TIMESTAMP": _moment("TIMESTAMP", dt.datetime.fromisoformat),
    "TIME": _moment("TIME", dt.time.fromisoformat),
    "JSON": lambda reply: json.dumps(reply, ensure_ascii=False, sort_keys=True, separators=(",", ":")),
}
