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

from serving.errors import BadRequest, ModelUnusable, short_repr
from serving.json_numbers import Numbers, parse_numbers
from serving.types import Replies

REPLY_LIMIT = 15_000_000  # bytes that BigQuery accepts as one reply

# BigQuery writes `calls` last, so its text can be cut out. The greedy pattern may match more than the array; that is
# harmless only because the text is parsed right away and anything but one array sends the whole body to orjson.
_CALLS_LAST = re.compile(rb'"calls"\s*:\s*(\[.*\])\s*\}\s*', re.DOTALL)

# Whether all rows are probably numbers, judged by the first: no quote except around the keys of an object.
_FIRST_ROW_NUMERIC = re.compile(rb'"calls"\s*:\s*\[\[([^]"{]*\]|\{("[^"]*":[^"}]*)+\}\])')


@dataclass(frozen=True)
class Request:
    """One HTTP request of BigQuery: the arguments of some rows of one function call in a query.

    `numbers` holds the calls when they are nothing but numbers; `raw_calls` is then their JSON text, else the parsed
    list.
    """

    context: Mapping[str, str]
    request_id: str
    caller: str
    session_user: str
    raw_calls: bytes | list[Any]
    numbers: Numbers | None = None

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
    if start >= 0 and _FIRST_ROW_NUMERIC.match(body, start) and (match := _CALLS_LAST.fullmatch(body, start)):
        text = match[1]
        numbers = parse_numbers(text)
        if numbers is not None:
            try:
                envelope = orjson.loads(body[:start] + b'"calls":[]}')
            except orjson.JSONDecodeError:
                pass  # the message about the whole body is clearer
            else:
                return request_of(envelope, text, numbers)
    return request_of(_loads(body))


def request_of(message: Any, text: bytes = b"", numbers: Numbers | None = None) -> Request:
    """Return the request in parsed JSON; with `numbers`, its calls are given by them and by `text`, their JSON."""
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
        raw_calls=message["calls"] if numbers is None else text,
        numbers=numbers,
    )


def write(replies: Replies) -> bytes:
    """Return the body of a reply with one JSON-ready value per row.

    Raise BadRequest when it would be larger than BigQuery accepts, naming the number of rows that would fit, and
    ModelUnusable when a value can't be written as JSON.
    """
    try:
        body = orjson.dumps({"replies": replies}, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError:
        raise ModelUnusable(_why_unwritable(replies)) from None
    if len(body) > REPLY_LIMIT:
        fitting = len(replies) * REPLY_LIMIT // len(body)
        if fitting == 0:
            raise BadRequest(f"The reply to this one row has {len(body)} bytes; BigQuery accepts {REPLY_LIMIT}.")
        raise BadRequest(
            f"The reply to these {len(replies)} rows has {len(body)} bytes, BigQuery accepts {REPLY_LIMIT}: "
            f"create the SQL function with max_batching_rows = {max(1, fitting * 9 // 10)}."
        )
    return body


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


def _why_unwritable(replies: Replies) -> str:
    for row, reply in enumerate(replies):
        try:
            orjson.dumps(reply)
        except orjson.JSONEncodeError as error:
            return f"The model's answer to row {row} cannot be written as JSON: {error}."
    return "The model's answers cannot be written as JSON."
