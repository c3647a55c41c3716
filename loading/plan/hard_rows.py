"""Rows on which a plan is compared with its model: those where a wrong kernel is most likely to show.

Each column has candidates: what its encoders know and what they don't, NULL, no text, numbers at the ends of their
type, and both sides of the thresholds at which the model's trees split. The rows mix the candidates of all columns.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from loading.fitted import steps_of_columns
from loading.plan.kernel import MAX_EXACT
from loading.plan.lookup import UNKNOWN, known_values
from loading.plan.thresholds import Thresholds
from serving.model import Model, Unplanned
from serving.rows import Block, Rows
from serving.signature import Column

_FLOATS = (0.0, 1.0, -1.0, 0.1, -0.0, 3.4e38, -3.4e38, 1e-45, -1e-45)
_DOUBLES = (*_FLOATS, 5e-324, -5e-324, 2.2250738585072014e-308, 1e300, 1.7976931348623157e308, -1.7976931348623157e308)
_TIMES = (
    "1970-01-01",
    "1969-12-31T23:59:59.999999",
    "2000-02-29T12:00",
    "2024-12-31T23:59:59",
    "1678-01-01",
    "2261-12-31",
)
_EXTREME = frozenset(value for value in _DOUBLES if abs(value) > 1e30)
MAX_COLUMNS = 128  # up to which each candidate is tried by itself
_KEPT = 0.7  # share of the values of a row that stay those of the input example, once each candidate was used


class HardRows:
    """Makes rows for a model; `planned` tells whether a plan answers rows, `thresholds` finds where its trees split."""

    def __init__(self, model: Model, planned: Callable[[Rows], object], thresholds: Thresholds | None) -> None:
        self._signature = model.signature
        self._random = np.random.default_rng(0)
        known = steps_of_columns(model.estimator, [column.name for column in model.signature.columns])
        self._usual = _usual_values(model, known)
        self._usual_row = self.typed({name: values[:1] for name, values in self._usual.items()})
        splits = thresholds.sides(self._usual_row) if thresholds else {}
        self._candidates = {
            column.name: _candidates(column, known[column.name], splits.get(column.name, []))
            for column in model.signature.columns
        }
        if not self._answers(planned):
            self._keep(lambda value: not _is_inexact(value))
        if not self._answers(planned):
            if len(self._candidates) > MAX_COLUMNS:  # to try each would take too long
                self._keep(lambda value: value not in _EXTREME)
            else:
                for column in model.signature.columns:
                    values = self._candidates[column.name]
                    self._candidates[column.name] = self._planned(column, values, planned)

    @property
    def longest(self) -> int:
        """The number of rows after which each candidate of each column was used."""
        return max((len(found) for found in self._candidates.values()), default=0)

    def rows(self, count: int) -> Rows:
        """Return this many rows; fewer than `longest` have only the most important candidates of each column."""
        columns: dict[str, list[Any]] = {}
        for at, column in enumerate(self._signature.columns):
            usual, candidates = self._usual[column.name], self._candidates[column.name]
            picked = [usual[row % len(usual)] for row in range(count)]
            candidates = candidates[: count - 1]
            if candidates:
                keep = self._random.random(count) < _KEPT
                for row in range(count):
                    # The first row is the example's; each column begins with another candidate.
                    if row and (row <= len(candidates) or not keep[row]):
                        picked[row] = candidates[(row - 1 + at) % len(candidates)]
            columns[column.name] = picked
        return self.typed(columns)

    def _varied(self, column: Column, values: Sequence[Any]) -> Rows:
        """Return rows that repeat the usual one, but with these values in a column; None is NULL."""
        blocks = list(self._usual_row.take(np.zeros(len(values), np.intp)).blocks)
        group, place = self._signature.places[column.name]
        array, nulls = blocks[group].array, blocks[group].null_mask
        array[place] = [column.type.filler if value is None else value for value in values]
        nulls[place] = [value is None for value in values]
        blocks[group] = Block(array, nulls if nulls.any() else None)
        return Rows(self._signature, len(values), blocks)

    def typed(self, columns: Mapping[str, Any]) -> Rows:
        """Return rows of these values; None is NULL."""
        count = len(next(iter(columns.values())))
        blocks = []
        for group in self._signature.groups:
            array = np.empty((len(group.columns), count), group.type.dtype)
            nulls = np.zeros(array.shape, np.bool_)
            for at, column in enumerate(group.columns):
                values = columns[column.name]
                nulls[at] = [value is None for value in values]
                array[at] = [group.type.filler if value is None else value for value in values]
            blocks.append(Block(array, nulls if nulls.any() else None))
        return Rows(self._signature, count, blocks)

    def _keep(self, is_kept: Callable[[Any], bool]) -> None:
        for name, values in self._candidates.items():
            self._candidates[name] = list(filter(is_kept, values))

    def _answers(self, planned: Callable[[Rows], object]) -> bool:
        """Return whether a plan answers rows with all candidates."""
        with contextlib.suppress(Unplanned):
            planned(self.rows(self.longest + 1))
            return True
        return False

    def _planned(self, column: Column, values: list[Any], planned: Callable[[Rows], object]) -> list[Any]:
        """Return the values that a plan answers; it leaves others to the model."""
        try:
            planned(self._varied(column, values))
        except Unplanned:
            if len(values) == 1:
                return []
            half = len(values) // 2
            return [*self._planned(column, values[:half], planned), *self._planned(column, values[half:], planned)]
        return values


def _usual_values(model: Model, known: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return values of each column that the model is used to: those of its input example, else any."""
    rows = model.example_rows
    found = {}
    for column in model.signature.columns:
        values = []
        if rows is not None:
            pairs = zip(rows[column.name], rows.nulls(column.name), strict=True)
            values = [value for value, null in pairs if not null]
        texts = [value for step, place in known[column.name] for value in known_values(step, place)]
        found[column.name] = values or [value for value in texts if _fits(column, value)] or [_any_value(column)]
    return found


def _any_value(column: Column) -> Any:
    return {"O": "a", "M": np.datetime64("2020-01-01", "ns")}.get(column.type.dtype.kind, 1)


def _is_inexact(value: Any) -> bool:
    return isinstance(value, int) and abs(value) > MAX_EXACT


def _fits(column: Column, value: Any) -> bool:
    if column.sql_type == "STRING":
        return isinstance(value, str)
    return isinstance(value, (int, float, np.number)) and value == value and column.type.dtype.kind in "if"


def _candidates(column: Column, steps: Sequence[tuple[Any, int]], splits: list[Any]) -> list[Any]:
    """Return the candidates of a column, the most important first."""
    found: list[Any] = [] if column.required else [None]
    dtype = column.type.dtype
    known = [value for step, place in steps for value in known_values(step, place) if _fits(column, value)]
    if dtype.kind == "O":
        return [*found, UNKNOWN, "", *dict.fromkeys(known)]
    if dtype.kind == "M":
        return [*found, *(np.datetime64(text, "ns") for text in _TIMES)]
    if dtype.kind == "b":
        return [*found, False, True]
    if dtype.kind == "i":
        ends = np.iinfo(dtype)
        exact = (MAX_EXACT, -MAX_EXACT) if ends.max > MAX_EXACT else ()
        return [*found, *splits, *dict.fromkeys(known), 0, 1, -1, 2, 100, *exact, ends.min, ends.max]
    return [*found, *splits, *dict.fromkeys(known), *(_DOUBLES if dtype == np.float64 else _FLOATS)]
