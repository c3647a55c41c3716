"""BigQuery's request and reply, independent of any model: bytes -> Request, replies -> bytes.

Source of the rules: https://docs.cloud.google.com/bigquery/docs/remote-functions and the limits at
https://docs.cloud.google.com/bigquery/quotas#remote_function_limits
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from serving import reasons
from serving.errors import BadRequest, ModelUnusable, short_repr
from serving.json_table import Table, parse_table
from serving.types import Replies

REPLY_LIMIT = 15_000_000  # bytes that BigQuery accepts as one reply
# The size in bytes of a request from which on a Table takes less time than parsed values, if it is all numbers or not.
MIN_NUMBERS, MIN_TABLE = 800, 30_000
ROWS_PER_PIECE = 10_000  # of a reply that is written; its size is checked after each piece
_START, _END = b'{"replies":[', b"]}"

# BigQuery writes `calls` last, so its text can be cut out. The greedy pattern may match more than the array; that is
# harmless only because the text is parsed right away and anything but one array sends the whole body to orjson.
_CALLS_LAST = re.compile(rb'"calls"\s*:\s*(\[.*\])\s*\}\s*', re.DOTALL)


@dataclass(frozen=True)
class Request:
    """One HTTP request of BigQuery: the arguments of some rows of one function call in a query.

    `table` holds the calls when they are tables of scalars worth it; `raw_calls` is then their JSON text, else the
    parsed list.
    """

    context: Mapping[str, str]
    request_id: str
    caller: str
    session_user: str
    raw_calls: bytes | list[Any]
    table: Table | None = None

    @cached_property
    def calls(self) -> Sequence[Sequence[Any]]:
        """The arguments of each row; raises BadRequest when they aren't a list of lists."""
        calls = _loads(self.raw_calls) if isinstance(self.raw_calls, bytes) else self.raw_calls
        for row, call in enumerate(calls):
            if type(call) is not list:
                raise BadRequest(f"Row {row} of `calls` is {short_repr(call)}; expected the list of its arguments.")
        return calls


def read(body: bytes) -> Request:
    """Return the request in an HTTP body; raise BadRequest for anything that BigQuery would not send."""
    start = body.find(b'"calls"')
    is_large = len(body) >= MIN_TABLE or (len(body) >= MIN_NUMBERS and body.find(b'"', start + len('"calls"')) < 0)
    if is_large and start >= 0 and (match := _CALLS_LAST.fullmatch(body, start)):
        text = match[1]
        table = parse_table(text)
        if table is not None:
            try:
                envelope = orjson.loads(body[:start] + b'"calls":[]}')
            except orjson.JSONDecodeError:
                pass  # the message about the whole body is clearer
            else:
                return request_of(envelope, text, table)
    return request_of(_loads(body))


def request_of(message: Any, text: bytes = b"", table: Table | None = None) -> Request:
    """Return the request in parsed JSON; with a table, its calls are given by it and by `text`, their JSON."""
    if type(message) is not dict:
        raise BadRequest(f"The request body is {short_repr(message)}; expected a JSON object with a list `calls`.")
    if "calls" not in message:
        raise BadRequest(
            f"The request has no `calls`, only {short_repr(sorted(message))}; expected a list of argument lists."
        )
    if type(message["calls"]) is not list:
        raise BadRequest(f"`calls` is {short_repr(message['calls'])}; expected a list with one argument list per row.")
    return Request(
        context=_context(message.get("userDefinedContext")),
        request_id=_string(message, "requestId"),
        caller=_string(message, "caller"),
        session_user=_string(message, "sessionUser"),
        raw_calls=message["calls"] if table is None else text,
        table=table,
    )


def write(replies: Replies, errors: Mapping[int, str] | None = None) -> bytes:
    """Return the body of a reply with one JSON-ready value per row.

    With `errors`, a sentence for each row without a value, every reply is an object of a value and an error. Raise
    BadRequest when the body would be larger than BigQuery accepts, naming the number of rows that would fit, and
    ModelUnusable when a value can't be written as JSON. Many rows are written piece by piece, so a body that is too
    large is never built.
    """
    rows = len(replies)
    if rows <= ROWS_PER_PIECE:
        body = b"".join([_START, _values(replies, 0, errors), _END])
        _check_size(rows, rows, len(body))
        return body
    pieces: list[bytes] = []
    size = len(_START) + len(_END)
    for start in range(0, rows, ROWS_PER_PIECE):
        pieces.append(_values(replies[start : start + ROWS_PER_PIECE], start, errors))
        size += len(pieces[-1]) + 1  # for the comma
        _check_size(rows, min(rows, start + ROWS_PER_PIECE), size - 1)
    return b"".join([_START, b",".join(pieces), _END])


def write_repeated(replies: Replies, rows: int, errors: Mapping[int, str] | None = None) -> bytes:
    """Return the body of a reply with the same value for all of so many rows; raise as `write` does."""
    value = _values(replies, 0, errors)
    _check_size(rows, rows, len(_START) + rows * (len(value) + 1) - 1 + len(_END))
    return b"".join([_START, b",".join([value] * rows), _END])


def _values(replies: Replies, first: int, errors: Mapping[int, str] | None) -> bytes:
    """Return the values of the rows from `first` on as JSON, without the brackets around them."""
    try:
        if errors is not None:
            return reasons.encode(replies, first, errors)
        return orjson.dumps(replies, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
    except orjson.JSONEncodeError:
        raise ModelUnusable(_why_unwritable(replies, first)) from None


def _check_size(rows: int, written: int, size: int) -> None:
    """Raise BadRequest when a reply is too large, given its rows and the size of the first `written` of them."""
    if size <= REPLY_LIMIT:
        return
    if rows == 1:
        raise BadRequest(f"The reply to this one row has {size} bytes; BigQuery accepts {REPLY_LIMIT}.")
    more = " or more" if written < rows else ""
    raise BadRequest(
        f"The reply to these {rows} rows has {size} bytes{more}; BigQuery accepts {REPLY_LIMIT}: "
        f"create the SQL function with max_batching_rows = {max(1, written * REPLY_LIMIT // size * 9 // 10)}."
    )


def _loads(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRequest(
            f"The request ({len(text)} bytes) is not JSON: {error}. Expected BigQuery's request, "
            'such as {"calls": [[1, 2], [3, 4]]}.'
        ) from None


def _context(context: Any) -> Mapping[str, str]:
    if context is None:
        return {}
    if type(context) is not dict or not all(type(value) is str for value in context.values()):
        raise BadRequest(f"`userDefinedContext` is {short_repr(context)}; expected an object of strings.")
    return context


def _string(message: Mapping[str, Any], key: str) -> str:
    value = message.get(key, "")
    if type(value) is not str:
        raise BadRequest(f"`{key}` is {short_repr(value)}; expected a string.")
    return value


def _why_unwritable(replies: Replies, first: int) -> str:
    for row, reply in enumerate(replies, first):
        try:
            orjson.dumps(reply)
        except orjson.JSONEncodeError as error:
            return f"The model's answer to row {row} cannot be written as JSON: {error}."
    return "The model's answers cannot be written as JSON."
