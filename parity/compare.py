"""Compares answers from SQL with predictions of the model's own library. Every tolerance is defined here.

Floats agree if they differ by at most 1e-9 of the prediction. The tolerance is relative, so a model that predicts tiny
values is checked as closely as any other. It leaves room for sums that are added in another order when a batch has
another number of rows: with linear models and small networks in double precision, that changed predictions by up to
3e-13.

In single precision it changes the sixth or seventh digit. So float32 predictions agree within 1e-6 if the rows may have
been batched differently for SQL than for the library, and within 1e-9 if not.

All other values must be equal.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

TOLERANCE = 1e-9  # relative
FLOAT32_TOLERANCE = 1e-6  # relative, for rows in other batches
EXACT_INT = 2**53  # greater ones are strings in BigQuery's JSON
NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True)
class Difference:
    """A row, counted from 0, for which SQL and the model's own library disagree."""

    row: int
    answer: Any
    prediction: Any


def tolerance(*, float32: bool, same_batches: bool) -> float:
    """Return the relative tolerance for the predictions of a model."""
    return FLOAT32_TOLERANCE if float32 and not same_batches else TOLERANCE


def differences(answers: Sequence[Any], predictions: Sequence[Any], relative: float = TOLERANCE) -> list[Difference]:
    """Return the rows whose answer isn't the prediction. Both are JSON values, one per row, in the same order."""
    return [
        Difference(row, answer, prediction)
        for row, (answer, prediction) in enumerate(zip(answers, predictions, strict=True))
        if not equal(answer, prediction, relative)
    ]


def equal(answer: Any, prediction: Any, relative: float = TOLERANCE) -> bool:
    """Tell whether an answer, in BigQuery's JSON encoding or as a Python value, is the prediction."""
    if isinstance(prediction, dict):
        return (
            isinstance(answer, dict)
            and answer.keys() == prediction.keys()
            and all(equal(answer[name], value, relative) for name, value in prediction.items())
        )
    if isinstance(prediction, list):
        return (
            isinstance(answer, list)
            and len(answer) == len(prediction)
            and all(equal(*pair, relative) for pair in zip(answer, prediction, strict=True))
        )
    if isinstance(prediction, float):
        number = NOT_FINITE.get(answer) if isinstance(answer, str) else answer
        if not isinstance(number, int | float) or isinstance(number, bool):
            return False
        return math.isclose(number, prediction, rel_tol=relative) or (math.isnan(number) and math.isnan(prediction))
    if isinstance(prediction, int) and abs(prediction) > EXACT_INT:
        return answer in (prediction, str(prediction))
    return bool(answer == prediction)
