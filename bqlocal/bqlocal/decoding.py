"""A remote function's replies, decoded from JSON into a column of the type that RETURNS declares.

A reply must be a value of exactly that type, encoded as TO_JSON_STRING encodes it; nothing is guessed. `1.5` is not an
INT64, `"1"` is not a FLOAT64. The first reply of another type raises a `ReplyError` that names it.
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

from bqlocal.encoding import canonical_json
from bqlocal.types import ARROW_TYPES

_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_DATE = r"\d{4}-\d\d-\d\d"
_TIME = r"\d\d:\d\d:\d\d(\.\d{1,6})?"
_PATTERNS = {
    "DATE": re.compile(_DATE),
    "DATETIME": re.compile(f"{_DATE}[T ]{_TIME}"),
    "TIMESTAMP": re.compile(rf"{_DATE}[T ]{_TIME}(Z|[+-]\d\d:\d\d)"),
    "TIME": re.compile(_TIME),
}
MAX_REPR = 60  # characters of a wrong reply in an error


class ReplyError(ValueError):
    """A reply is not a value of the declared type."""


def parse(body: bytes, sql_type: str) -> Any:
    """Parse a response's body as strict JSON; decimals keep all their digits where the type needs them.

    Raises ValueError.
    """
    decimals = sql_type in ("NUMERIC", "BIGNUMERIC")
    return json.loads(body, parse_float=Decimal if decimals else float, parse_constant=_reject_constant)


def decode(sql_type: str, replies: list[Any]) -> pa.Array:
    """Return the replies as a column of one of `types.TYPES`; raise ReplyError for the first that does not fit."""
    decoder = _DECODERS[sql_type]
    column = []
    for index, reply in enumerate(replies):
        try:
            column.append(None if reply is None else decoder(reply))
        except (ValueError, TypeError, ArithmeticError) as error:
            raise ReplyError(f"reply {index} is {_short_repr(reply)}, which is not a valid {sql_type}") from error
    return pa.array(column, ARROW_TYPES[sql_type])


def _short_repr(reply: Any) -> str:
    text = json.dumps(reply, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_REPR else text[:MAX_REPR] + "..."


def _reject_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _only(python_type: type) -> Callable[[Any], Any]:
    def decoder(reply: Any) -> Any:
        if not isinstance(reply, python_type):
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


def _decimal(scale: int, integer_digits: int) -> Callable[[Any], Decimal]:
    def decoder(reply: Any) -> Decimal:
        if isinstance(reply, bool) or not isinstance(reply, int | str | Decimal):
            raise TypeError
        with localcontext(prec=100):
            try:
                value = Decimal(reply).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
            except InvalidOperation as error:
                raise ValueError from error
        if not value.is_finite() or value.adjusted() >= integer_digits:
            raise ValueError
        return value

    return decoder


def _bytes(reply: Any) -> bytes:
    try:
        return base64.b64decode(_only(str)(reply), validate=True)
    except binascii.Error as error:
        raise ValueError from error


def _temporal(sql_type: str, parser: Callable[[str], Any]) -> Callable[[Any], Any]:
    def decoder(reply: Any) -> Any:
        if not _PATTERNS[sql_type].fullmatch(_only(str)(reply)):
            raise ValueError
        return parser(reply)

    return decoder


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "BOOL": _only(bool),
    "INT64": _int64,
    "FLOAT64": _float64,
    "NUMERIC": _decimal(scale=9, integer_digits=29),
    "BIGNUMERIC": _decimal(scale=18, integer_digits=20),
    "STRING": _only(str),
    "BYTES": _bytes,
    "DATE": _temporal("DATE", dt.date.fromisoformat),
    "DATETIME": _temporal("DATETIME", dt.datetime.fromisoformat),
    "TIMESTAMP": _temporal("TIMESTAMP", dt.datetime.fromisoformat),
    "TIME": _temporal("TIME", dt.time.fromisoformat),
    "JSON": canonical_json,
}
