"""The replies under on_error = json: each is an object with a row's value and the error that it has in place of one.

A reply in this form must not cost what the batch saves. So values are written as for any other reply, and what goes
between two of them is put in the place of the comma; only the rows with an error are written one by one.
"""

from collections.abc import Mapping

import orjson

from serving.types import Replies

MAX_ERROR = 1_000  # characters; a library's own message may be a page long
_BEFORE, _AFTER = b'{"value":', b',"error":null}'
_BETWEEN = b",".join([_AFTER, _BEFORE])
_SCALARS = {bool, float, int, str, type(None)}
_NEXT_LINE = b",\n  "  # between the scalars of an indented list; no text in JSON contains a line break


def encode(replies: Replies, first: int, errors: Mapping[int, str]) -> bytes:
    """Return the replies of the rows from `first` on as JSON, separated by commas; `errors` are those of all rows.

    Raise orjson.JSONEncodeError for a value that can't be written.
    """
    rows = len(replies)
    pieces: list[bytes] = []
    start = 0
    for row in [*sorted(row - first for row in errors if first <= row < first + rows), rows]:
        if row > start:
            pieces.append(_without_errors(replies[start:row]))
        if row < rows:
            pieces.append(_error(errors[first + row]))
        start = row + 1
    return b",".join(pieces)


def _without_errors(replies: Replies) -> bytes:
    if not isinstance(replies, list):
        values = orjson.dumps(replies, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].replace(b",", _BETWEEN)
    elif set(map(type, replies)) <= _SCALARS:
        values = orjson.dumps(replies, option=orjson.OPT_INDENT_2)[4:-2].replace(_NEXT_LINE, _BETWEEN)
    else:
        return orjson.dumps([{"value": value, "error": None} for value in replies])[1:-1]
    return _BEFORE + values + _AFTER


def _error(text: str) -> bytes:
    if len(text) > MAX_ERROR:
        text = f"{text[: MAX_ERROR - 1]}…"
    text = text.encode("utf-8", "replace").decode()  # orjson takes no lone surrogates
    return orjson.dumps({"value": None, "error": text})
