"""Every failure the function answers with: one tree, each error with its status and its own sentence.

    ServingError
    ├── BadRequest        400  the caller's or the data's fault, never retried by BigQuery
    ├── ModelUnusable     424  the model cannot be had, and trying again will not help
    ├── Overloaded        429  too much is in hand; BigQuery asks again later
    ├── ModelUnreachable  503  the model cannot be had right now; BigQuery tries again
    └── InternalError     500  our own fault; the trace is in the log only

A message is one or two sentences for a person at a SQL prompt: what came, what was expected, what to do.
`error_body` is the only writer of the JSON, `short_repr` the only way a foreign value gets into a message.
"""

import orjson

BODY_LIMIT = 1_000  # bytes; BigQuery shows an errorMessage under 1 KB
VALUE_LIMIT = 80  # characters of a value worth showing


class ServingError(Exception):
    """A failure with an HTTP status and a sentence for a person."""

    status: int


class BadRequest(ServingError):
    status = 400


class ModelUnusable(ServingError):
    status = 424


class Overloaded(ServingError):
    status = 429


class ModelUnreachable(ServingError):
    status = 503


class InternalError(ServingError):
    status = 500

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"The function failed on request {short_repr(request_id)}. The cause is in its log under this request id."
        )


def error_body(error: ServingError) -> bytes:
    """Return the JSON object `{"errorMessage": ...}`, at most BODY_LIMIT bytes of valid UTF-8.

    A longer message is cut at the end, whatever it is made of (multi-byte text, characters that JSON escapes,
    lone surrogates).
    """
    message = str(error).encode("utf-8", "replace").decode("utf-8")
    body = orjson.dumps({"errorMessage": message})
    while len(body) > BODY_LIMIT:
        # A character takes at most six bytes here (an escaped control character), so this never cuts too much.
        message = message[: -max(2, (len(body) - BODY_LIMIT) // 6)] + "…"
        body = orjson.dumps({"errorMessage": message})
    return body


def short_repr(value: object) -> str:
    """Return a value from a request as it may stand in a message: like JSON, and short."""
    try:
        text = orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # lone surrogates, or nested too deep for orjson
        text = f"a {type(value).__name__}"
    return text if len(text) <= VALUE_LIMIT else f"{text[:VALUE_LIMIT]}…"


def join_names(names: list[str], most: int = 12) -> str:
    """Return names as they may stand in a message: in their order, the rest counted."""
    text = ", ".join(names[:most])
    return text if len(names) <= most else f"{text} and {len(names) - most} more"
