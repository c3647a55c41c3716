"""BigQuery's request and reply, and nothing about models: bytes -> Request, values -> bytes.

Source of the rules: https://docs.cloud.google.com/bigquery/docs/remote-functions and the limits at
https://docs.cloud.google.com/bigquery/quotas#remote_function_limits
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from serving.errors import BadRequest, ModelUnusable, shown

REPLY_LIMIT = 15_000_000  # bytes that BigQuery takes as one reply


@dataclass(frozen=True)
class Request:
    """One HTTP request of BigQuery: the arguments of some rows of one call in a query."""

    calls: Sequence[Sequence[Any]]
    context: Mapping[str, str]
    request_id: str
    caller: str
    session_user: str


def decode(body: bytes) -> Request:
    """Return the request in an HTTP body; raise BadRequest for anything that BigQuery would not send."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError as cause:
        raise BadRequest(
            f"The request body ({len(body)} bytes) is not JSON: {cause}. Expected BigQuery's request, "
            'such as {"calls": [[1, 2], [3, 4]]}.'
        ) from None
    if type(message) is not dict:
        raise BadRequest(f"The request body is {shown(message)}; expected a JSON object with a list `calls`.")
    if "calls" not in message:
        raise BadRequest(
            f"The request has no `calls`, only {shown(sorted(message))}; expected a list of argument lists."
        )
    calls = message["calls"]
    if type(calls) is not list:
        raise BadRequest(f"`calls` is {shown(calls)}; expected a list with one argument list per row.")
    for row, call in enumerate(calls):
        if type(call) is not list:
            raise BadRequest(f"Row {row} of `calls` is {shown(call)}; expected the list of its arguments.")
    return Request(
        calls=calls,
        context=_context(message.get("userDefinedContext")),
        request_id=_text(message, "requestId"),
        caller=_text(message, "caller"),
        session_user=_text(message, "sessionUser"),
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
