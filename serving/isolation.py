"""Bad-row isolation: one row that the model can't score must not cost the other rows of its batch their answers.

Only after the model has raised is it asked again, to find the rows that make it fail. The good rows are then scored in
one call of their own, so their answers are those of a batch without bad rows.

A model may raise anything. Timeouts, cancellations and sys.exit() derive from BaseException alone, and are errors of
their row like any other.
"""

from collections.abc import Callable, Mapping

import numpy as np

from serving.errors import BadRequest, ServingError, describe_error
from serving.rows import RowIndices
from serving.types import Replies

Score = Callable[[RowIndices], Replies]
Explain = Callable[[int, BaseException], str]


def score_rows(
    score: Score, rows: RowIndices, on_error: str, explain: Explain
) -> tuple[RowIndices, Replies, Mapping[int, str]]:
    """Return the rows that the model could score, their values, and under `on_error` "json" a message for each other.

    Under "fail" raise BadRequest for the first row that it couldn't. The messages are what `explain` returns for the
    row and the model's error.
    """
    try:
        return rows, score(rows), {}
    except (ServingError, MemoryError):
        raise
    except BaseException as error:
        bad_rows = _find_bad_rows(score, rows, limit=1 if on_error == "fail" else len(rows))
        if not bad_rows:
            return rows, _score_again(score, rows, error), {}
        if on_error == "fail":
            row, reason = next(iter(bad_rows.items()))
            raise BadRequest(explain(row, reason)) from reason
        good = np.setdiff1d(rows, list(bad_rows))
        values = score(good) if len(good) else []
        return good, values, {row: explain(row, bad_rows[row]) for row in bad_rows if on_error == "json"}


def _score_again(score: Score, rows: RowIndices, first: BaseException) -> Replies:
    """Score rows once more that failed together although none of them fails alone."""
    try:
        return score(rows)
    except (ServingError, MemoryError):
        raise
    except BaseException as error:
        if type(error) is not type(first):
            raise
        reason = describe_error(error)
        raise BadRequest(f"The model could not score these {len(rows)} rows together: {reason}") from error


def _find_bad_rows(score: Score, rows: RowIndices, limit: int) -> dict[int, BaseException]:
    """Return the first `limit` rows that the model can't score, with what it raised.

    Bisection finds each in about log2(n) calls; once there have been more calls than rows, the rest goes row by row.
    """
    found: dict[int, BaseException] = {}
    calls = 0

    def failure(part: RowIndices) -> BaseException | None:
        nonlocal calls
        calls += 1
        try:
            score(part)
        except (ServingError, MemoryError):
            raise
        except BaseException as error:
            return error
        return None

    low, known_bad = 0, True
    while low < len(rows) and len(found) < limit:
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
        error = failure(rows[low:high])
        if error is not None:
            found[int(rows[low])] = error
        low, known_bad = high, False
    return found
