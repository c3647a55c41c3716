"""The quarantine of rows that the model cannot score: one bad row must not cost the others of its batch their answer.

The rule: the model is asked again only after it raised, to find the rows at fault, and the good rows are then scored
in one call of their own, so their answers are those of a clean run.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from serving.errors import BadRequest, ServingError
from serving.replies import Replies

Positions = np.ndarray[Any, np.dtype[np.intp]]
Score = Callable[[Positions], Replies]


def scored(score: Score, rows: Positions, on_error: str) -> tuple[Positions, Replies]:
    """Return the rows that could be scored, and their values.

    Under `on_error` "fail" raise BadRequest for the first that cannot, naming it and what the model raised.
    """
    try:
        return rows, score(rows)
    except (ServingError, MemoryError):
        raise
    except Exception as cause:
        found = _bad_rows(score, rows, most=len(rows) if on_error == "null" else 1)
        if not found:
            return rows, _again(score, rows, cause)
        if on_error == "fail":
            row, reason = next(iter(found.items()))
            raise BadRequest(f"Row {row}: the model could not score it: {_described(reason)}") from reason
        good = np.setdiff1d(rows, list(found))
        return good, score(good) if len(good) else []


def _again(score: Score, rows: Positions, first: Exception) -> Replies:
    """Score rows once more that failed together although none fails alone."""
    try:
        return score(rows)
    except (ServingError, MemoryError):
        raise
    except Exception as cause:
        if type(cause) is not type(first):
            raise
        raise BadRequest(f"The model could not score these {len(rows)} rows together: {_described(cause)}") from cause


def _bad_rows(score: Score, rows: Positions, most: int) -> dict[int, Exception]:
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
