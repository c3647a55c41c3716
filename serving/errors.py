"""Every failure the function answers with: one tree, where each class has an HTTP status.

    ServingError
    ├── BadRequest           400  the request or its data is wrong; BigQuery never retries it
    ├── Forbidden            403  the request comes from another host, on a machine where no platform checks callers
    ├── NotFound             404  GET of a path where there is nothing
    ├── RequestTimeout       408  the body stopped arriving; BigQuery retries
    ├── UnsupportedEncoding  415  the body is compressed by something else than gzip
    ├── ModelUnusable        424  the model can't be loaded or used, and a retry won't help
    │   └── ModelBlocked     424  rights, disk or memory are in its way, not its own content
    ├── Overloaded           429  the instance has too much work; BigQuery retries later
    ├── ModelUnreachable     503  the model can't be fetched right now; BigQuery retries
    ├── OutOfTime            503  this instance can't answer in time; BigQuery retries
    └── InternalError        500  a bug in the function; the stack trace goes to the log only

A message is one or two sentences for the person at a SQL prompt: what was wrong, what was expected, what to do.
`error_body` is the only place that writes the JSON of an error, and `short_repr` the only way a value from outside gets
into a message.
"""

import re
from collections.abc import Sequence

import orjson

BODY_LIMIT = 1_000  # bytes; BigQuery shows an errorMessage of less than 1 KB
VALUE_LIMIT = 80  # characters of a value that a message shows


class ServingError(Exception):
    """A failure with an HTTP status and a message for a person.

    `reasons` has a sentence or two for each of several faults; with a single one it is the message.
    """

    status: int

    def __init__(self, message: str, reasons: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.reasons = tuple(reasons) or (message,)


class BadRequest(ServingError):
    status = 400


class Forbidden(ServingError):
    status = 403


class NotFound(ServingError):
    status = 404


class RequestTimeout(ServingError):
    status = 408


class UnsupportedEncoding(ServingError):
    status = 415


class ModelUnusable(ServingError):
    status = 424


class ModelBlocked(ModelUnusable):
    """The same version may load once something around it has changed."""


class Overloaded(ServingError):
    status = 429


class ModelUnreachable(ServingError):
    status = 503


class OutOfTime(ServingError):
    status = 503


class InternalError(ServingError):
    status = 500

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"The function failed on request {short_repr(request_id)}. Its log has the cause under this request id."
        )


CLIENT_ERRORS = frozenset(
    each.status for each in (BadRequest, Forbidden, NotFound, RequestTimeout, UnsupportedEncoding)
)


def error_body(error: ServingError) -> bytes:
    """Return the JSON object `{"errorMessage": ...}`, at most BODY_LIMIT bytes of valid UTF-8.

    A longer message is truncated, whatever it contains (multi-byte text, characters that JSON escapes, lone
    surrogates).
    """
    message = str(error).encode("utf-8", "replace").decode("utf-8")
    body = orjson.dumps({"errorMessage": message})
    while len(body) > BODY_LIMIT:
        # A character takes at most six bytes here (an escaped control character), so this never cuts too much.
        message = message[: -max(2, (len(body) - BODY_LIMIT) // 6)] + "…"
        body = orjson.dumps({"errorMessage": message})
    return body


def without_row(message: str) -> str:
    """Return the message about a row without the row's number, for a reader who finds it beside the row."""
    found = re.match(r"Row \d+(, |: | )", message)
    if not found:
        return message
    text = message[found.end() :]
    return f"The row {text}" if found[1] == " " else text[:1].upper() + text[1:]


def describe_error(error: BaseException) -> str:
    """Return an exception of somebody else's code as a message shows it: its class, and its text if it has one."""
    try:
        text = str(error)
    except BaseException:  # its own __str__ fails
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def message_of(error: BaseException) -> str:
    """Return an error's own message, or a description of an exception of somebody else's code."""
    return str(error) if isinstance(error, ServingError) else describe_error(error)


def short_repr(value: object) -> str:
    """Return a value from outside as a message shows it: as JSON, truncated."""
    try:
        text = orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # lone surrogates, or nested too deep for orjson
        text = f"a {type(value).__name__}"
    return text if len(text) <= VALUE_LIMIT else f"{text[:VALUE_LIMIT]}…"


def quantity(number: int, noun: str) -> str:
    """Return a number with its noun, such as 1 row or 1,000 rows."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def join_names(names: list[str], limit: int = 12) -> str:
    """Return names as a message lists them: the first `limit` in their order, and how many more there are."""
    text = ", ".join(names[:limit])
    return text if len(names) <= limit else f"{text} and {len(names) - limit} more"
