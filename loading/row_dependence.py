"""Finds models whose answer for a row depends on chance: on the other rows of its batch, or on a random number.

BigQuery splits a table into batches of any size and order, so a row must get the same answer among any other rows.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from loading.fitted import computes_in_float64
from serving import encoding
from serving.errors import ModelUnusable, describe_error, short_repr
from serving.model import Model
from serving.rows import RowIndices, Rows

EXACT, ROUNDED = 1e-9, 1e-4  # relative to the largest value of an output
_ADVICE = (
    "BigQuery splits a table into batches of any size and order: save a model that scores each row by itself, or set "
    "ROWS_DEPEND=allow to serve it anyway."
)


def check_rows(model: Model, rows: Rows) -> None:
    """Raise ModelUnusable unless each row gets the same answer twice, in reverse order, and alone."""
    uri, every = model.info.uri, np.arange(len(rows))
    float32 = any(column.type.dtype == np.float32 for column in model.signature.columns)
    tolerance = EXACT if not float32 and computes_in_float64(model.estimator) else ROUNDED

    def answers(order: RowIndices, how: str) -> Sequence[Any]:
        try:
            result = model.predict(rows.take(order))
            return encoding.as_list(encoding.encode(result, model.outputs, len(order)))
        except Exception as cause:
            raise ModelUnusable(
                f"The model at {uri} scores its input example, but fails when the rows are {how}: "
                f"{describe_error(cause)}. {_ADVICE}"
            ) from cause

    whole = answers(every, "the same")
    if (row := _first_difference(whole, answers(every, "the same"), tolerance)) is not None:
        raise ModelUnusable(
            f"The model at {uri} isn't deterministic: two equal calls gave row {row} of its input example different "
            "predictions. Save a model that predicts the same for the same rows, or set ROWS_DEPEND=allow to serve it "
            "anyway."
        )
    ways = {
        "in reverse order": answers(every[::-1], "in reverse order")[::-1],
        "alone": [answers(every[[row]], "alone")[0] for row in every.tolist()],
    }
    if model.probabilities is not None:
        _check_probabilities(model, rows, tolerance)
    for way, found in ways.items():
        if (row := _first_difference(whole, found, tolerance)) is not None:
            raise _dependent(uri, row, whole[row], found[row], way)


def _check_probabilities(model: Model, rows: Rows, tolerance: float) -> None:
    """As for predictions, in as few calls as show a dependence on order or on the other rows."""
    every = np.arange(len(rows))
    try:
        whole = model.predict_proba(rows).tolist()
        found = model.predict_proba(rows.take(every[::-1])).tolist()[::-1]
        alone = model.predict_proba(rows.take(every[:1])).tolist()
    except Exception:  # predict_proba may be unfit for use where predict is not; requests will get the error
        return
    for way, other in (("in reverse order", found), ("alone", [*alone, *whole[1:]])):
        if (row := _first_difference(whole, other, tolerance)) is not None:
            raise _dependent(model.info.uri, row, whole[row], other[row], way)


def _dependent(uri: str, row: int, together: Any, other: Any, way: str) -> ModelUnusable:
    return ModelUnusable(
        f"The model at {uri} predicts {short_repr(together)} for row {row} of its input example and "
        f"{short_repr(other)} for the same row {way}: its rows depend on each other. {_ADVICE}"
    )


def _first_difference(first: Sequence[Any], second: Sequence[Any], tolerance: float) -> int | None:
    """Return the first row with values that differ by more than `tolerance` of the output's largest value."""
    pairs = [(dict(_leaves(one)), dict(_leaves(other))) for one, other in zip(first, second, strict=True)]
    largest: dict[tuple[str, ...], float] = {}
    for leaves in (leaves for pair in pairs for leaves in pair):
        for (*path, _), value in leaves.items():
            if _is_number(value):
                largest[tuple(path)] = max(largest.get(tuple(path), 0.0), abs(value))
    for row, (one, other) in enumerate(pairs):
        if one.keys() != other.keys():
            return row
        for (*path, place), value in one.items():
            found = other[(*path, place)]
            if _is_number(value) and _is_number(found):
                if abs(value - found) > tolerance * largest[tuple(path)]:
                    return row
            elif value != found:
                return row
    return None


def _leaves(value: Any, path: tuple[str, ...] = (), place: tuple[int, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """Yield the scalars within a reply, with the keys that lead to them and their places in lists."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key), place)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _leaves(inner, path, (*place, at))
    else:
        yield (*path, place), value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
