"""From the calls of one request to its replies: the NULL policy, and the quarantine of rows that cannot be scored.

A batch holds the rows of one query; one bad row among them must not cost the others their answer when the SQL
function says so (`on_error = null`), and must be named when it does not. The rule: only rows that are complete and
well-formed reach the model, all in one call; the model is asked again only after it raised, to find the rows at fault,
and the good rows are then scored in one call of their own, so their answers are those of a clean run.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from serving import replies
from serving.contract import Request
from serving.errors import BadRequest, ServingError, listed
from serving.functions import SqlFunction, on_offer
from serving.model import Model
from serving.options import Options
from serving.request_log import RequestLog
from serving.rows import Rows, from_objects, from_request

Positions = np.ndarray[Any, np.dtype[np.intp]]


def answer(
    model: Model, function: SqlFunction, options: Options, request: Request, entry: RequestLog | None = None
) -> list[Any]:
    """Return one JSON-ready reply per call, and note in the log entry how long each stage took.

    Raise BadRequest for a row that cannot be scored, unless `on_error` is `null`, which gives that row NULL.
    """
    if not function.offered(model):
        offers = listed([other.name for other in on_offer(model)])
        raise BadRequest(f"{function.name} makes no sense for the model at {model.uri}, which offers {offers}.")
    entry = entry or RequestLog("POST", "/")
    entry.lap("queue")
    rows = _rows(model, function, request)
    entry.rows = len(rows)
    rejected = rows.faults()
    missing = {} if options.on_null == "pass" else rows.null_in_required()
    if options.on_null == "error":
        rejected |= {
            row: f"Row {row}, column {column.name} is NULL, the model needs {column.sql_type}."
            for row, column in missing.items()
            if row not in rejected
        }
    if rejected and options.on_error == "fail":
        raise BadRequest(rejected[min(rejected)])
    skipped = sorted({*rejected, *missing})
    chosen = np.delete(np.arange(len(rows)), skipped)
    entry.null_rows = len(skipped)
    entry.lap("decode")
    if not len(chosen):
        return [None] * len(rows)

    def encoded(positions: Positions) -> list[Any]:
        part = rows if len(positions) == len(rows) else rows.take(positions)
        result = function.score(model, part, options)
        entry.lap("predict")
        values = replies.encode(result, function.outputs(model, options), len(part))
        entry.lap("encode")
        return values

    scored, values = _scored(encoded, chosen, options)
    entry.null_rows = len(rows) - len(scored)
    if len(scored) == len(rows):
        return values
    answers = [None] * len(rows)
    for row, value in zip(scored.tolist(), values, strict=True):
        answers[row] = value
    return answers


def _rows(model: Model, function: SqlFunction, request: Request) -> Rows:
    if function.takes == "columns":
        return from_request(model.signature, request)
    if function.takes == "row":
        return from_objects(model.signature, request)
    for row, call in enumerate(request.calls):
        if call:
            raise BadRequest(f"Row {row} has {len(call)} arguments, {function.name} takes none.")
    return Rows(model.signature, [], len(request.calls))


def _scored(score: Callable[[Positions], list[Any]], rows: Positions, options: Options) -> tuple[Positions, list[Any]]:
    """Return the rows that could be scored, and their values."""
    try:
        return rows, score(rows)
    except (ServingError, MemoryError):
        raise
    except Exception as cause:
        found = _bad_rows(score, rows, most=len(rows) if options.on_error == "null" else 1)
        if not found:
            return rows, _again(score, rows, cause)
        if options.on_error == "fail":
            row, reason = next(iter(found.items()))
            raise BadRequest(f"Row {row}: the model could not score it: {_described(reason)}") from reason
        good = np.setdiff1d(rows, list(found))
        return good, score(good) if len(good) else []


def _again(score: Callable[[Positions], list[Any]], rows: Positions, first: Exception) -> list[Any]:
    """Score rows once more that failed together although none fails alone."""
    try:
        return score(rows)
    except (ServingError, MemoryError):
        raise
    except Exception as cause:
        if type(cause) is not type(first):
            raise
        raise BadRequest(f"The model could not score these {len(rows)} rows together: {_described(cause)}") from cause


def _bad_rows(score: Callable[[Positions], list[Any]], rows: Positions, most: int) -> dict[int, Exception]:
    """Return the first `most` rows that the model cannot score, with what it raised.

    Each is found by halving what is left, in about log2(n) calls; once that has cost more calls than there are rows,
    the rest goes row by row.
    """
    found: dict[int, Exception] = {}
    calls = 0

    def failure(part: Positions) -> Exception | None:
        nonlocal calls
        calls += 1
        try:
            score(part)
        except (ServingError, MemoryError):
            raise
        except Exception as cause:
            return cause
        return None

    low, known_bad = 0, True
    while low < len(rows) and len(found) < most:
        if calls > len(rows):
            high = low + 1
        else:
            if not known_bad and failure(rows[low:]) is None:
                break
            high = len(rows)
            while high - low > 1:
                middle = (low + high) // 2
                if failure(rows[low:middle]) is not None:
                    high = middle
                else:
                    low = middle
        cause = failure(rows[low:high])
        if cause is not None:
            found[int(rows[low])] = cause
        low, known_bad = high, False
    return found


def _described(cause: Exception) -> str:
    return f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
