"""Decides what the target is: a quantity or classes, and which rows can teach anything about it."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from bqlocal.tables import Hint
from train.errors import DataError

Task = Literal["regression", "classification"]

MIN_ROWS = 20  # fewer rows give held-out rows and folds too small to mean anything
MAX_CLASSES = 10  # whole numbers with more different values are a quantity
MIN_CLASS_ROWS = 10  # fewer rows of a class may miss the held-out rows or a fold
EXACT = 2**53  # beyond, doubles skip whole numbers
MAX_SHOWN = 6  # classes

# What a target of texts may be, if it isn't classes -> what to do.
ADVICE = {
    "number": "read them by --read number={target}",
    "ambiguous number": "say how by --read decimal='.' or decimal=',', with number={target} for a unit",
    "numbers and texts": "--read number={target} reads the numbers and leaves out the other rows",
    "mixed units": "convert them to one unit",
    "ambiguous date": "expected numbers or classes",
    "dates and texts": "expected numbers or classes",
    "time": "write them as numbers",
    "far date": "expected numbers or classes",
}


@dataclasses.dataclass(frozen=True)
class Target:
    """The target's values in the rows that are used, its task and the reason for it."""

    values: pd.Series
    task: Task
    reason: str
    notes: list[str]


def plain(value: Any) -> Any:
    """Return a value of NumPy as Python's own, which reads as 13 in a message."""
    return value.item() if isinstance(value, np.generic) else value


def target(column: pd.Series, name: str, where: str, task: Task | None, hints: Sequence[Hint]) -> Target:
    """Return the target of a file or table, without the rows that teach nothing; raise DataError if none are left."""
    notes = []
    if column.empty:
        raise DataError(f"{where} has no rows; expected at least {MIN_ROWS}.")
    unknown = column.isna()
    if unknown.all():
        raise DataError(f"The target {name!r} is empty in every row of {where}; there is nothing to learn.")
    if unknown.any():
        notes.append(f"Left out: {quantity(int(unknown.sum()), 'row')} without a value in {name!r}.")
        column = column[~unknown]
    if len(column) < MIN_ROWS:
        rows = quantity(len(column), "row")
        raise DataError(f"{where} has {rows} with a value in {name!r}; expected at least {MIN_ROWS}.")
    if pd.api.types.is_datetime64_dtype(column.dtype):
        raise DataError(f"The target {name!r} holds dates; expected numbers or classes.")
    if column.dtype == "boolean":
        column = column.astype("bool")
    if column.dtype == "str":
        _check_texts(name, task, hints)
    if pd.api.types.is_float_dtype(column) and not (column % 1).any() and column.abs().max() < EXACT:
        column = column.astype("int64")
    found, reason = _task(column)
    if task is not None and task != found:
        found, reason = task, f"--task {task}"
    if found == "classification":
        column = _without_rare_classes(column, name, where, notes)
    if column.nunique() == 1:
        raise DataError(
            f"The target {name!r} is always {plain(column.iloc[0])!r} in {where}; there is nothing to predict."
        )
    return Target(column, found, reason, notes)


def _task(column: pd.Series) -> tuple[Task, str]:
    """Return the task, and why: texts, booleans and a few frequent whole numbers are classes."""
    if pd.api.types.is_bool_dtype(column):
        return "classification", "true and false"
    if not pd.api.types.is_numeric_dtype(column):
        return "classification", f"{column.nunique():,} different texts"
    if pd.api.types.is_float_dtype(column):
        return "regression", "numbers with fractions"
    counts = column.value_counts()
    if len(counts) > MAX_CLASSES:
        return "regression", f"{len(counts):,} different whole numbers are a quantity"
    if counts.min() < MIN_CLASS_ROWS:
        rare = plain(counts.index[-1])
        return (
            "regression",
            f"whole numbers, of which {rare} is in {quantity(int(counts.min()), 'row')} only, are a quantity",
        )
    return "classification", f"{len(counts)} different whole numbers, each in at least {MIN_CLASS_ROWS} rows"


def _check_texts(name: str, task: Task | None, hints: Sequence[Hint]) -> None:
    """Raise DataError for texts that look like a quantity, unless they are wanted as classes."""
    mine = [hint for hint in hints if hint.column == name and hint.kind in ADVICE]
    if mine and task != "classification":
        advice = ADVICE[mine[0].kind].format(target=name)
        texts = mine[0].example if mine[0].kind in ("time", "far date") else f"texts, such as {mine[0].example}"
        raise DataError(
            f"The target {name!r} holds {texts}; {advice}, or pass --task classification to take each text as a class."
        )
    if task == "regression":
        raise DataError(f"The target {name!r} holds texts; --task regression needs numbers.")


def _without_rare_classes(column: pd.Series, name: str, where: str, notes: list[str]) -> pd.Series:
    """Leave out the rows of classes that are too rare to learn; raise DataError if fewer than two classes are left."""
    counts = column.value_counts()
    rare = counts[counts < MIN_CLASS_ROWS]
    if rare.empty:
        return column
    shown = ", ".join(f"{plain(value)!r} ({count})" for value, count in rare[:MAX_SHOWN].items())
    more = f" and {len(rare) - MAX_SHOWN:,} more" if len(rare) > MAX_SHOWN else ""
    classes = f"class {shown}" if len(rare) == 1 else f"classes {shown}{more}"
    if len(counts) - len(rare) < 2 or rare.sum() > len(column) / 2:
        is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        raise DataError(
            f"The target {name!r} has fewer than {MIN_CLASS_ROWS} rows of the {classes} in {where}, which leaves too "
            f"little to learn; merge rare classes{', or pass --task regression for a quantity' if is_number else ''}."
        )
    rows = quantity(int(rare.sum()), "row")
    notes.append(f"Left out: {rows} of the {classes} in {name!r}, fewer than {MIN_CLASS_ROWS} each.")
    return column[~column.isin(rare.index)]


def quantity(count: int, noun: str) -> str:
    """Return a number with its noun, such as 1 row or 1,000 rows."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
