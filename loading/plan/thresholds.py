"""Finds the numbers on both sides of the thresholds at which a model's trees split."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from loading.plan.kernel import dense
from serving.model import Unplanned
from serving.rows import Rows
from serving.signature import Column
from serving.types import Array

# Returns rows that are all alike but for these values, by column.
Varied = Callable[[int, Mapping[str, Any]], Rows]
PER_FEATURE = 6
LARGEST = 1e30  # of the numbers that are tried: no step overflows in single precision
MAX_FEATURES = 64
MAX_COLUMNS = 128  # of a table whose features are looked for; beyond, that takes longer than the check may
_STEPS = 66  # halvings until two neighboring numbers are left, of 64 bits


class Thresholds:
    """The splits of a last step, and the head that computes its features from the columns of a request.

    The head is None for a step that gets the columns as they are.
    """

    def __init__(self, step: Any, head: Callable[[Rows], Array] | None, columns: Sequence[Column]) -> None:
        self._splits = dict(_splits(step))
        self._head = head and (lambda rows: dense(head(rows)))
        self._all = columns
        self._dtype = np.float64 if hasattr(step, "_predictors") else np.float32  # in which the trees compare
        self._columns = [column for column in columns if column.type.dtype.kind in "if"]

    def sides(self, varied: Varied) -> dict[str, list[Any]]:
        """Return numbers by column: for each threshold the last one that goes left, and the next larger one."""
        if self._head is None:
            return {self._all[at].name: self._beside(self._all[at], cuts) for at, cuts in self._splits.items()}
        if not self._splits or not self._columns or len(self._all) > MAX_COLUMNS:
            return {}
        with contextlib.suppress(Unplanned):
            return self._sides(self._head, varied)
        return {}

    def _beside(self, column: Column, thresholds: Sequence[float]) -> list[Any]:
        """Return numbers on both sides of the thresholds of a column itself, in the precision of the trees."""
        found: list[Any] = []
        for threshold in thresholds:
            if column.type.dtype.kind == "f":
                near = np.array(threshold, self._dtype)
                found += [float(np.nextafter(near, -np.inf)), float(near), float(np.nextafter(near, np.inf))]
            elif column.type.dtype.kind == "i" and abs(threshold) < 2**31:
                found += [math.floor(threshold), math.floor(threshold) + 1]
        return found

    def _sides(self, head: Callable[[Rows], Array], varied: Varied) -> dict[str, list[Any]]:
        wanted = [
            (column, feature, threshold)
            for column, feature in self._features(head, varied)
            for threshold in self._splits[feature]
        ]
        if not wanted:
            return {}
        low, high = (np.array([_ends(column)[end] for column, _, _ in wanted]) for end in (0, 1))
        below = self._goes_left(head, varied, wanted, low)
        for _ in range(_STEPS):
            middle = (low >> 1) + (high >> 1) + (low & high & 1)  # without overflow
            same = self._goes_left(head, varied, wanted, middle) == below
            low, high = np.where(same, middle, low), np.where(same, high, middle)
        found: dict[str, list[Any]] = {}
        for (column, _, _), *pair in zip(wanted, low.tolist(), high.tolist(), strict=True):
            found.setdefault(column.name, []).extend(_value(column, each) for each in pair)
        return found

    def _features(self, head: Callable[[Rows], Array], varied: Varied) -> Iterator[tuple[Column, int]]:
        """Yield which column a feature is computed from, for features that are split and have one column."""
        base = head(varied(1, {}))[0]
        changed = [(head(varied(2, {column.name: [7, -3]})) != base).any(axis=0) for column in self._columns]
        by_feature = np.array(changed)
        for feature in list(self._splits)[:MAX_FEATURES]:
            columns = np.flatnonzero(by_feature[:, feature])
            if len(columns) == 1:
                yield self._columns[columns[0]], feature

    def _goes_left(
        self, head: Callable[[Rows], Array], varied: Varied, wanted: Sequence[tuple[Column, int, float]], at: Array
    ) -> Array:
        values: dict[str, Array] = {}
        for place, (column, _, _) in enumerate(wanted):
            if column.name not in values:
                values[column.name] = np.zeros(len(wanted), column.type.dtype)
            values[column.name][place] = _value(column, int(at[place]))
        with np.errstate(all="ignore"):
            features = head(varied(len(wanted), values))
            found = features[np.arange(len(wanted)), [feature for _, feature, _ in wanted]]
            return np.asarray(found.astype(self._dtype) <= [threshold for _, _, threshold in wanted])


def _splits(step: Any) -> Iterator[tuple[int, list[float]]]:
    """Yield the features at which the trees of a step split, with their thresholds, those near the roots first."""
    parts = []
    for tree in _trees(step):
        if hasattr(tree, "threshold"):
            places, features, thresholds = np.flatnonzero(tree.children_left != -1), tree.feature, tree.threshold
        else:
            places = np.flatnonzero(tree.nodes["is_leaf"] == 0)
            features, thresholds = tree.nodes["feature_idx"], tree.nodes["num_threshold"]
        parts.append((places, features[places], thresholds[places]))
    if parts:
        places, found, cuts = map(np.concatenate, zip(*parts, strict=True))
        order = np.argsort(places, kind="stable")
        found, cuts = found[order], cuts[order]
        for feature in np.unique(found).tolist():
            yield feature, list(dict.fromkeys(cuts[found == feature][: 10 * PER_FEATURE].tolist()))[:PER_FEATURE]


def _trees(step: Any) -> Iterator[Any]:
    if hasattr(step, "tree_"):
        yield step.tree_
    elif hasattr(step, "_predictors"):
        yield from (tree for iteration in step._predictors for tree in iteration)
    else:
        for each in np.ravel(np.array(getattr(step, "estimators_", ()), object)):
            yield from _trees(each)


def _ends(column: Column) -> tuple[int, int]:
    """Return the positions between which thresholds are looked for, in the order of the numbers."""
    if column.type.dtype.kind == "i":
        return -(2**31), 2**31 - 1
    largest = int(np.array(LARGEST).view(np.int64))
    return -largest, largest


def _value(column: Column, position: int) -> Any:
    """Return the number at a position; those of float64 are its bits, so that neighbors are one apart."""
    if column.type.dtype.kind == "i":
        return position
    number = float(np.array(abs(position), np.int64).view(np.float64))
    return -number if position < 0 else number
