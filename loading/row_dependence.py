"""Finds models whose answer for a row depends on chance: on the other rows of its batch, or on a random number.

BigQuery splits a table into batches of any size and order, so a row must get the same answer among any other rows.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from loading.fitted import computes_in_float64
from serving import encoding
from serving.errors import ModelUnusable, describe_error, short_repr
from serving.model import Model
from serving.rows import Rows

EXACT, ROUNDED = 1e-9, 1e-4  # relative to the largest value of an output
_ADVICE = (
    "BigQuery splits a table into batches of any size and order: save a model that scores each row by itself, or set "
    "ROWS_DEPEND=allow to serve it anyway."
)


class RowsDepend(ModelUnusable):
    """A model whose answer for a row depends on chance; ROWS_DEPEND=allow serves it."""


def check_rows(model: Model, rows: Rows) -> None:
    """Raise RowsDepend unless each row gets the same answer again, in reverse order, beside itself, and alone.

    Raise ModelUnusable for a model that answers with another number of values than it gets rows.
    """
    uri = model.info.uri
    float32 = any(column.type.dtype == np.float32 for column in model.signature.columns)
    tolerance = EXACT if not float32 and computes_in_float64(model.estimator) else ROUNDED

    def predict(part: Rows) -> Sequence[Any]:
        result = model.predict(part)
        encoded = encoding.encode(result, model.outputs, len(part), keeps_index=model.keeps_index)
        return encoding.as_list(encoded)

    whole, again = _answers(predict, rows, uri, "as they are"), _answers(predict, rows, uri, "as they are")
    if (row := _first_difference(whole, again, tolerance)) is not None:
        raise RowsDepend(
            f"The model at {uri} isn't deterministic: two equal calls gave row {row} of its input example different "
            "predictions. Save a model that predicts the same for the same rows, or set ROWS_DEPEND=allow to serve it "
            "anyway."
        )
    _compare(predict, rows, whole, uri, tolerance)
    if model.probabilities is not None:
        try:
            probabilities = model.predict_proba(rows).tolist()
        except Exception:  # predict_proba may be unfit for use where predict is not; requests will get the error
            return
        _compare(lambda part: model.predict_proba(part).tolist(), rows, probabilities, uri, tolerance)


def _compare(
    predict: Callable[[Rows], Sequence[Any]], rows: Rows, whole: Sequence[Any], uri: str, tolerance: float
) -> None:
    """Raise RowsDepend for a row with another answer in reverse order, beside itself, or alone than in `whole`.

    A model that sorts its rows gives the right answers at other places; served anyway, a row would get another row's.
    """
    every, twice = np.arange(len(rows)), "in a batch that has each row twice"
    ways: dict[str, Callable[[], Sequence[Any]]] = {
        "in reverse order": lambda: _answers(predict, rows.take(every[::-1]), uri, "in reverse order")[::-1],
        "alone": lambda: [_answers(predict, rows.take(every[[row]]), uri, "alone")[0] for row in every.tolist()],
        twice: lambda: _answers(predict, rows.take(np.tile(every, 2)), uri, twice)[: len(rows)],
    }
    for way, answers in ways.items():
        found = answers()
        if (row := _first_difference(whole, found, tolerance)) is not None:
            if _first_difference(_sorted(whole), _sorted(found), tolerance) is None:
                raise RowsDepend(
                    f"The model at {uri} gives its answers in another order than its rows: for those of its input "
                    f"example {way}, row {row} gets the answer of another row. Save a model that returns its answers "
                    "in the order of its rows."
                )
            raise RowsDepend(
                f"The model at {uri} predicts {short_repr(whole[row])} for row {row} of its input example and "
                f"{short_repr(found[row])} for the same row {way}: its rows depend on each other. {_ADVICE}"
            )


def _answers(predict: Callable[[Rows], Sequence[Any]], rows: Rows, uri: str, how: str) -> Sequence[Any]:
    try:
        return predict(rows)
    except ModelUnusable as cause:
        raise ModelUnusable(f"The model at {uri} cannot score its own input example: {cause}") from cause
    except Exception as cause:
        raise RowsDepend(
            f"The model at {uri} scores its input example, but fails with its rows {how}: "
            f"{describe_error(cause).rstrip('.')}. {_ADVICE}"
        ) from cause


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


def _sorted(answers: Sequence[Any]) -> list[Any]:
    """Return answers in an order of their values, texts before numbers."""

    def key(answer: Any) -> list[tuple[str, bool, float, str]]:
        leaves = sorted((str(path), value) for path, value in _leaves(answer))
        return [(path, _is_number(it), it if _is_number(it) else 0.0, str(it)) for path, it in leaves]

    return sorted(answers, key=key)


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
