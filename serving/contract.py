"""BigQuery's request and reply, and nothing about models: bytes -> Request, values -> bytes.

Source of the rules: https://docs.cloud.google.com/bigquery/docs/remote-functions and the limits at
https://docs.cloud.google.com/bigquery/quotas#remote_function_limits
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import orjson
import simdjson

from serving.errors import BadRequest, ModelUnusable, shown

REPLY_LIMIT = 15_000_000  # bytes that BigQuery takes as one reply


# BigQuery writes `calls` last. Its text can then be kept apart and parsed once it is known what it should hold.
_CALLS_LAST = re.compile(rb'"calls"\s*:\s*(\[.*\])\s*\}\s*', re.DOTALL)

# What FLOAT64 is in JSON where it is no number: the word, a number to stand in for it while parsing, what it means.
# Each is counted before and after, so that data that holds a stand-in itself is noticed.
_WORDS = (
    (b"null", -2.25e-301, np.nan),
    (b'"NaN"', -3.1e-302, np.nan),
    (b'"Infinity"', -3.2e-302, np.inf),
    (b'"-Infinity"', -3.3e-302, -np.inf),
)

Matrix = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Request:
    """One HTTP request of BigQuery: the arguments of some rows of one call in a query."""

    context: Mapping[str, str]
    request_id: str
    caller: str
    session_user: str
    arguments: "_Apart | list[Any]"

    @cached_property
    def calls(self) -> Sequence[Sequence[Any]]:
        """The arguments of each row; BadRequest when they are no list of lists."""
        calls = orjson.loads(self.arguments.text) if isinstance(self.arguments, _Apart) else self.arguments
        for row, call in enumerate(calls):
            if type(call) is not list:
                raise BadRequest(f"Row {row} of `calls` is {shown(call)}; expected the list of its arguments.")
        return calls

    def numbers(self, width: int) -> tuple[Matrix, Matrix] | None:
        """Return the arguments as a float64 matrix of shape (rows, width), NaN where NULL is, and where that is.

        They go from text to matrix without a Python object per value. None where they are anything else than numbers,
        NaN, infinities and NULL in rows of this width; `calls` has them then.
        """
        return self.arguments.numbers(width) if isinstance(self.arguments, _Apart) else None


class _Apart:
    """The `calls` of a request as one JSON array, parsed but not yet made into Python objects.

    ValueError and RuntimeError when the text is no JSON array, or holds a number of more than 64 bits.
    """

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._words = [(*word, count) for word in _WORDS if (count := text.count(word[0]))]
        for word, number, _, _ in self._words:
            text = text.replace(word, repr(number).encode())
        self._brackets = text.count(b"[")
        rows = simdjson.Parser().parse(text)
        if not isinstance(rows, simdjson.Array):
            raise ValueError("no array")
        self._rows = rows

    def numbers(self, width: int) -> tuple[Matrix, Matrix] | None:
        try:
            flat = np.frombuffer(self._rows.as_buffer(of_type="d"), np.float64)
            widths = {len(row) for row in self._rows}  # type: ignore[arg-type]
        except TypeError:
            return None
        count = len(self._rows)
        # As many brackets as rows, or one of them holds an array, which as_buffer would flatten.
        if widths != {width} or flat.size != count * width or self._brackets != count + 1:
            return None
        matrix = flat.reshape(count, width).copy()
        nulls = np.zeros(matrix.shape, np.bool_)
        for word, number, meaning, times in self._words:
            places = matrix == number
            if np.count_nonzero(places) != times:  # the data holds the number itself
                return None
            matrix[places] = meaning
            if word == b"null":
                nulls = places
        return matrix, nulls


def decode(body: bytes) -> Request:
    """Return the request in an HTTP body; raise BadRequest for anything that BigQuery would not send."""
    at = body.find(b'"calls"')
    first_row = body[at + 7 : body.find(b"]", at)]
    only_numbers = at >= 0 and b'"' not in first_row and b"{" not in first_row  # most likely; others go the other way
    if only_numbers and body.find(b'"calls"', at + 7) < 0 and (match := _CALLS_LAST.fullmatch(body, at)):
        try:
            return _request(orjson.loads(body[:at] + b'"calls":[]}'), _Apart(match[1]))
        except (ValueError, RuntimeError):
            pass  # something that BigQuery would write otherwise, or no JSON at all
    try:
        return _request(orjson.loads(body), None)
    except orjson.JSONDecodeError as cause:
        raise BadRequest(
            f"The request body ({len(body)} bytes) is not JSON: {cause}. Expected BigQuery's request, "
            'such as {"calls": [[1, 2], [3, 4]]}.'
        ) from None


def _request(message: Any, apart: _Apart | None) -> Request:
    if type(message) is not dict:
        raise BadRequest(f"The request body is {shown(message)}; expected a JSON object with a list `calls`.")
    if "calls" not in message:
        raise BadRequest(
            f"The request has no `calls`, only {shown(sorted(message))}; expected a list of argument lists."
        )
    if type(message["calls"]) is not list:
        raise BadRequest(f"`calls` is {shown(message['calls'])}; expected a list with one argument list per row.")
    return Request(
        context=_context(message.get("userDefinedContext")),
        request_id=_text(message, "requestId"),
        caller=_text(message, "caller"),
        session_user=_text(message, "sessionUser"),
        arguments=apart or message["calls"],
    )


def encode(replies: Sequence[Any]) -> bytes:
    """Return the body of a reply with one JSON-ready value per row.

    Raise BadRequest when it would be larger than BigQuery takes, naming the number of rows that would fit, and
    ModelUnusable when a value cannot be JSON.
    """
    try:
        body = orjson.dumps({"replies": replies})
    except orjson.JSONEncodeError:
        raise ModelUnusable(_unwritable(replies)) from None
    if len(body) > REPLY_LIMIT:
        fitting = len(replies) * REPLY_LIMIT // len(body)
        if fitting == 0:
            raise BadRequest(f"The reply to this one row has {len(body)} bytes; BigQuery takes {REPLY_LIMIT}.")
        raise BadRequest(
            f"The reply to these {len(replies)} rows has {len(body)} bytes, BigQuery takes {REPLY_LIMIT}: "
            f"create the SQL function with max_batching_rows = {max(1, fitting * 9 // 10)}."
        )
    return body


def _context(context: Any) -> Mapping[str, str]:
    if context is None:
        return {}
    if type(context) is not dict or not all(type(value) is str for value in context.values()):
        raise BadRequest(f"`userDefinedContext` is {shown(context)}; expected an object of texts.")
    return context


def _text(message: Mapping[str, Any], key: str) -> str:
    value = message.get(key, "")
    if type(value) is not str:
        raise BadRequest(f"`{key}` is {shown(value)}; expected a text.")
    return value


def _unwritable(replies: Sequence[Any]) -> str:
    for row, reply in enumerate(replies):
        try:
            orjson.dumps(reply)
        except orjson.JSONEncodeError as cause:
            return f"The model's answer to row {row} cannot be written as JSON: {cause}."
    return "The model's answers cannot be written as JSON."
