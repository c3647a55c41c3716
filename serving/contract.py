"""BigQuery's request and reply, and nothing about models: bytes -> Request, values -> bytes.

Source of the rules: https://docs.cloud.google.com/bigquery/docs/remote-functions and the limits at
https://docs.cloud.google.com/bigquery/quotas#remote_function_limits
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from serving.errors import BadRequest, ModelUnusable, short_repr
from serving.numeric_calls import NumericCalls
from serving.replies import Replies

REPLY_LIMIT = 15_000_000  # bytes that BigQuery takes as one reply

# BigQuery writes `calls` last. Its text can then be kept apart and parsed once it is known what it should hold.
_CALLS_LAST = re.compile(rb'"calls"\s*:\s*(\[.*\])\s*\}\s*', re.DOTALL)

# Whether the rows are likely to be numbers alone, told from the first: no quote but around the keys of an object.
_FIRST_ROW_NUMERIC = re.compile(rb'"calls"\s*:\s*\[\[([^]"{]*\]|\{("[^"]*":[^"}]*)+\}\])')


@dataclass(frozen=True)
class Request:
    """One HTTP request of BigQuery: the arguments of some rows of one call in a query."""

    context: Mapping[str, str]
    request_id: str
    caller: str
    session_user: str
    arguments: NumericCalls | list[Any]

    @cached_property
    def calls(self) -> Sequence[Sequence[Any]]:
        """The arguments of each row; BadRequest when they are no list of lists."""
        calls = _loaded(self.arguments.text) if isinstance(self.arguments, NumericCalls) else self.arguments
        for row, call in enumerate(calls):
            if type(call) is not list:
                raise BadRequest(f"Row {row} of `calls` is {short_repr(call)}; expected the list of its arguments.")
        return calls

    @property
    def numeric(self) -> NumericCalls | None:
        """The calls where they hold nothing but numbers, which are then not parsed value by value."""
        return self.arguments if isinstance(self.arguments, NumericCalls) else None


def decode(body: bytes) -> Request:
    """Return the request in an HTTP body; raise BadRequest for anything that BigQuery would not send."""
    at = body.find(b'"calls"')
    if at >= 0 and _FIRST_ROW_NUMERIC.match(body, at) and (match := _CALLS_LAST.fullmatch(body, at)):
        try:
            return _request(orjson.loads(body[:at] + b'"calls":[]}'), NumericCalls(match[1]))
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


def _request(message: Any, numeric: NumericCalls | None) -> Request:
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
        request_id=_text(message, "requestId"),
        caller=_text(message, "caller"),
        session_user=_text(message, "sessionUser"),
        arguments=numeric or message["calls"],
    )


def encode(replies: Replies) -> bytes:
    """Return the body of a reply with one JSON-ready value per row.

    Raise BadRequest when it would be larger than BigQuery takes, naming the number of rows that would fit, and
    ModelUnusable when a value cannot be JSON.
    """
    try:
        body = orjson.dumps({"replies": replies}, option=orjson.OPT_SERIALIZE_NUMPY)
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
        raise BadRequest(f"`userDefinedContext` is {short_repr(context)}; expected an object of texts.")
    return context


def _text(message: Mapping[str, Any], key: str) -> str:
    value = message.get(key, "")
    if type(value) is not str:
        raise BadRequest(f"`{key}` is {short_repr(value)}; expected a text.")
    return value


def _unwritable(replies: Replies) -> str:
    for row, reply in enumerate(replies):
        try:
            orjson.dumps(reply)
        except orjson.JSONEncodeError as cause:
            return f"The model's answer to row {row} cannot be written as JSON: {cause}."
    return "The model's answers cannot be written as JSON."
