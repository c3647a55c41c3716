"""The judge of a plan: the model itself, on rows that are hard to get right.

Both are asked for the same rows, and each bit of their answers has to be equal, NaN being equal to NaN. A plan that
differs anywhere isn't used.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from loading.plan.hard_rows import HardRows
from loading.plan.kernel import NotCovered
from serving.errors import describe_error
from serving.model import Model, Plan, Unplanned
from serving.rows import Rows

FEW = 17  # rows that are compared in any case, together and the first one alone
ROWS = 300
AT_ONCE = 3_000  # rows that are compared together: each may have thousands of features
Answer = Callable[[Rows], Any]


class Differs(Exception):
    """A plan that must not answer; the text says where it differs from the model, on which rows."""

    def __init__(self, text: str, rows: Rows) -> None:
        super().__init__(text)
        self.rows = rows


def check(
    model: Model,
    plan: Plan,
    hard: HardRows,
    further: Sequence[tuple[Answer, Answer]] = (),
    *,
    seconds: float,
    rows: int = ROWS,
) -> str:
    """Compare a plan with its model on up to `rows` rows, in about `seconds`; return what was left out, or nothing.

    `further` are pairs of what else must be equal, the first of the model, the second of the plan. Raise Differs.
    """
    started = time.perf_counter()
    pairs: list[tuple[Answer, Answer]] = [(model.ask, plan.predict), *further]
    if plan.predict_proba and model.probabilities:
        probabilities = model.probabilities
        pairs.append((lambda rows: probabilities(model.input(rows)), plan.predict_proba))
    began = time.perf_counter()
    few = hard.rows(FEW)
    made = time.perf_counter() - began
    together, alone = (_compare_all(pairs, few.take(np.arange(count)), answered=True) for count in (FEW, 1))
    wanted = max(rows, hard.longest)
    left = seconds - (time.perf_counter() - started)
    if left < 3 * alone:
        return f"{FEW} of {wanted} rows"
    for count in (2, 3):
        _compare_all(pairs, few.take(np.arange(count)))
    per_row = max(together - alone + made, 1e-6) / FEW
    many = hard.rows(int(max(FEW, min(wanted, (left - 3 * alone) / per_row))))
    for start in range(0, len(many), AT_ONCE):
        _compare_all(pairs, many.take(np.arange(start, min(start + AT_ONCE, len(many)))))
    return "" if len(many) >= wanted else f"{len(many)} of {wanted} rows"


def _compare_all(pairs: Sequence[tuple[Answer, Answer]], rows: Rows, *, answered: bool = False) -> float:
    """Compare each pair on these rows, and return how many seconds that took.

    With `answered`, raise NotCovered if the plan leaves the first pair's answer to the model.
    """
    started = time.perf_counter()
    found = [_compare(ask, answer, rows) for ask, answer in pairs]
    if answered and not found[0]:
        raise NotCovered("it leaves the rows that it is tried on to the model")
    return time.perf_counter() - started


def _compare(ask: Answer, answer: Answer, rows: Rows) -> bool:
    """Return whether a plan answers rows; raise Differs unless it does as the model."""
    try:
        planned = answer(rows)
    except Unplanned:
        return False
    try:
        asked = ask(rows)
    except Exception as error:
        raise Differs(f"the model refuses rows that the plan answers: {describe_error(error)}", rows) from error
    if (row := first_difference(asked, planned)) is not None:
        raise Differs(f"row {row} of {len(rows)}", rows)
    return True


def first_difference(asked: Any, planned: Any) -> int | None:
    """Return the first row in which two answers differ in a bit, 0 if in dtype or shape; None if they are equal."""
    if type(asked) is not np.ndarray or type(planned) is not np.ndarray:
        return 0
    if asked.dtype != planned.dtype or asked.shape != planned.shape:
        return 0
    different = _different_bits(asked, planned)
    if different.ndim > 1:
        different = different.reshape(len(different), -1).any(axis=1)
    rows = np.flatnonzero(different)
    return int(rows[0]) if len(rows) else None


def _different_bits(one: Any, other: Any) -> Any:
    if one.dtype.kind != "f":
        return np.asarray(one != other)
    bits = np.dtype(f"i{one.dtype.itemsize}")
    same = np.ascontiguousarray(one).view(bits) == np.ascontiguousarray(other).view(bits)
    return ~(same | (np.isnan(one) & np.isnan(other)))
