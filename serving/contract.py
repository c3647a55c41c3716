"""BigQuery's request and reply, and nothing about models: bytes -> Request, values -> bytes.

Source of the rules: https://docs.cloud.google.com/bigquery/docs/remote-functions and the limits at
https://docs.cloud.google.com/bigquery/quotas#remote_function_limits
"""

import re
import threading
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
    (b'"Infinity"', -3.2125e-302, np.inf),
    (b'"-Infinity"', -3.312525e-302, -np.inf),
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
        calls = _loaded(self.arguments.text) if isinstance(self.arguments, _Apart) else self.arguments
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
    """The `calls` of a request as numbers, parsed without a Python object for each.

    ValueError, TypeError and RuntimeError when the text is no JSON array of numbers that fit 64 bits.
    """

    _parser = threading.local()  # a parser allocates much, so it is used again; one for each thread

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._words = []
        for word, number, meaning in _WORDS:
            if word[:1] in text:  # to look for one character takes next to no time
                length, text = len(text), text.replace(word, number_text := repr(number).encode())
                self._words.append((word, number, meaning, (len(text) - length) // (len(number_text) - len(word))))
        self._brackets = np.count_nonzero(np.frombuffer(text, np.uint8) == ord("["))
        if not hasattr(self._parser, "own"):
            self._parser.own = simdjson.Parser()
        rows = self._parser.own.parse(text)
        self._flat = np.frombuffer(rows.as_buffer(of_type="d"), np.float64)
        self._widths = [len(row) for row in rows]

    def numbers(self, width: int) -> tuple[Matrix, Matrix] | None:
        count = len(self._widths)
        # As many brackets as rows, or one of them holds an array, which as_buffer would flatten.
        if set(self._widths) != {width} or self._flat.size != count * width or self._brackets != count + 1:
            return None
        matrix = self._flat.reshape(count, width).copy()
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
    if only_numbers and (match := _CALLS_LAST.fullmatch(body, at)):
        try:
            return _request(orjson.loads(body[:at] + b'"calls":[]}'), _Apart(match[1]))
        except (ValueError, TypeError, RuntimeError):
            pass  # something that BigQuery would write otherwise, or no JSON at all
    return _request(_loaded(body), None)


def _loaded(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as cause:
        raise BadRequest(
            f"The request ({len(text)} bytes) is not JSON: {cause}. Expected BigQuery's request, "
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
