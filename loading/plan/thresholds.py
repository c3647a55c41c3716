"""Finds the numbers on both sides of the thresholds at which a model's trees split.

A threshold is that of a feature, which the steps before compute from a column; so the column's number at which the
feature crosses it is searched for. All columns are searched at the same time, each in its own cells of the same few
rows: a table of 1,800 columns takes no more calls than one of eight.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loading.plan.kernel import dense
from loading.plan.splits import PER_FEATURE, splits
from serving.model import Unplanned
from serving.rows import Rows
from serving.signature import Column, Signature
from serving.types import Array

PER_COLUMN = 24  # thresholds: a column may have several features
MAX_WANTED = 800  # thresholds, beyond which no feature gets a further one
# Of the numbers that are tried: no step overflows in single precision. A step that raises to a power gets smaller ones.
_LARGEST = (1e30, 1e6)
_TIMES = np.array(["1700-01-01", "2250-01-01"], "datetime64[ns]")  # the first and the last that is tried
_CHANGED = {"i": (7, -3), "f": (7, -3), "M": _TIMES}  # values that show which features a column changes
_STEPS = 66  # halvings until two neighboring numbers are left, of 64 bits


class Thresholds:
    """The splits of a last step, and the head that computes its features from the columns of a request.

    The head is None for a step that gets the columns as they are.
    """

    def __init__(self, step: Any, head: Callable[[Rows], Array] | None, signature: Signature) -> None:
        self._splits = dict(splits(step))
        self._head = head and (lambda rows: dense(head(rows)))
        self._all = signature.columns
        self._dtype = np.float64 if hasattr(step, "_predictors") else np.float32  # in which the trees compare
        self._columns = [column for column in signature.columns if column.type.dtype.kind in _CHANGED]
        self._cells = np.array([signature.places[column.name] for column in self._columns], np.intp).reshape(-1, 2)

    def sides(self, usual: Rows) -> dict[str, list[Any]]:
        """Return numbers by column: for each threshold the last one that goes left, and the next larger one.

        `usual` is one row of values that the model is used to; the features of other rows differ by the column.
        """
        if self._head is None:
            return {self._all[at].name: self._beside(self._all[at], cuts) for at, cuts in self._splits.items()}
        if self._splits and self._columns:
            for largest in _LARGEST:
                with contextlib.suppress(Unplanned):
                    return self._found(self._head, usual, largest)
        return {}

    def _beside(self, column: Column, thresholds: Sequence[float]) -> list[Any]:
        """Return numbers on both sides of the thresholds of a column itself, in the precision of the trees."""
        if column.type.dtype.kind == "f":
            near = np.array(thresholds, self._dtype)
            sides = np.stack([np.nextafter(near, -np.inf), near, np.nextafter(near, np.inf)], axis=1)
            return [float(side) for side in sides.ravel()]
        if column.type.dtype.kind == "i":
            below = [int(np.floor(threshold)) for threshold in thresholds if abs(threshold) < 2**31]
            return [side for each in below for side in (each, each + 1)]
        return []

    def _found(self, head: Callable[[Rows], Array], usual: Rows, largest: float) -> dict[str, list[Any]]:
        wanted = self._wanted(self._features(head, usual))
        if wanted is None:
            return {}
        dtypes = [self._columns[at].type.dtype for at in wanted.columns.tolist()]
        low, high = (np.array(end) for end in zip(*(_ends(dtype, largest) for dtype in dtypes), strict=True))
        below = self._goes_left(head, usual, wanted, low)
        for _ in range(_STEPS):
            middle = (low >> 1) + (high >> 1) + (low & high & 1)  # without overflow
            same = self._goes_left(head, usual, wanted, middle) == below
            low, high = np.where(same, middle, low), np.where(same, high, middle)
        found: dict[str, list[Any]] = {}
        for at, dtype, *pair in zip(wanted.columns.tolist(), dtypes, low, high, strict=True):
            found.setdefault(self._columns[at].name, []).extend(_values(np.array(pair), dtype))
        return found

    def _features(self, head: Callable[[Rows], Array], usual: Rows) -> dict[int, int]:
        """Return the column that each feature is computed from, for features that are split and have one column.

        Each column has a number, and for each of its bits there are rows that change all columns with a one there, and
        rows that change all others: so the features that change tell the number, in few rows.
        """
        count = len(self._columns)
        bits = max(1, (count - 1).bit_length())
        rows = usual.take(np.zeros(1 + 4 * bits, np.intp))
        for bit in range(bits):
            for side in (0, 1):
                chosen = self._cells[(np.arange(count) >> bit) & 1 == side]
                start = 1 + 4 * bit + 2 * side
                for group in np.unique(chosen[:, 0]).tolist():
                    array = rows.blocks[group].array
                    array[chosen[chosen[:, 0] == group, 1], start : start + 2] = _CHANGED[array.dtype.kind]
        with np.errstate(all="ignore"):
            features = head(rows)
        changed = (features[1:] != features[0]).reshape(bits, 2, 2, -1).any(axis=2)  # by bit, side, feature
        single = (changed.sum(axis=1) == 1).all(axis=0)
        numbers = (changed[:, 1] << np.arange(bits)[:, np.newaxis]).sum(axis=0)
        return {at: int(numbers[at]) for at in self._splits if single[at] and numbers[at] < count}

    def _wanted(self, columns: Mapping[int, int]) -> "_Wanted | None":
        """Return the thresholds to look for, the first one of each feature first."""
        found: list[tuple[int, int, int, float]] = []
        used = dict.fromkeys(columns.values(), 0)
        for number in range(PER_FEATURE):
            if len(found) > MAX_WANTED:
                break
            for feature, column in columns.items():
                if number < len(self._splits[feature]) and used[column] < PER_COLUMN:
                    found.append((column, used[column], feature, self._splits[feature][number]))
                    used[column] += 1
        return _Wanted(*(np.array(each) for each in zip(*found, strict=True))) if found else None

    def _goes_left(self, head: Callable[[Rows], Array], usual: Rows, wanted: "_Wanted", at: Array) -> Array:
        """Return whether each feature is at most its threshold, with the numbers at these positions."""
        rows = usual.take(np.zeros(int(wanted.rows.max()) + 1, np.intp))
        groups, places = self._cells[wanted.columns].T
        for group in np.unique(groups).tolist():
            mine = groups == group
            array = rows.blocks[group].array
            array[places[mine], wanted.rows[mine]] = _values(at[mine], array.dtype)
        with np.errstate(all="ignore"):
            features = head(rows)[wanted.rows, wanted.features]
            return np.asarray(features.astype(self._dtype) <= wanted.thresholds)


@dataclass(frozen=True)
class _Wanted:
    """The thresholds to look for, as arrays: the column's number, the row in which it varies, feature, threshold."""

    columns: Array
    rows: Array
    features: Array
    thresholds: Array


def _ends(dtype: np.dtype[Any], largest: float) -> tuple[int, int]:
    """Return the positions between which thresholds are looked for, in the order of the numbers."""
    if dtype.kind == "i":
        return -(2**31), 2**31 - 1
    if dtype.kind == "M":
        first, last = _TIMES.astype(np.int64).tolist()
        return first, last
    position = int(np.array(largest, dtype).view(f"i{dtype.itemsize}"))
    return -position, position


def _values(positions: Array, dtype: np.dtype[Any]) -> Array:
    """Return the values at positions; those of floats are their bits, so that neighbors are one apart."""
    if dtype.kind != "f":
        return positions.astype(dtype)
    numbers = np.abs(positions).astype(f"i{dtype.itemsize}").view(dtype)
    return np.where(positions < 0, -numbers, numbers)
