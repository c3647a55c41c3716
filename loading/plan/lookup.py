"""Encoders of texts and other categories as tables: what the fitted steps give for each value is asked once.

A step such as OneHotEncoder computes each column's outputs from that column alone. So its outputs are found by asking
it for every known value of a column while the others stay the same: those that change belong to the column. An imputer
in front of it, or a scaler behind it, is part of what is asked. A value that the steps refuse is left to the model.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from loading.fitted import categories
from loading.plan.kernel import Columns, Head, NotCovered, dense, is_sparse
from serving.model import Unplanned
from serving.rows import DecodedColumn, Rows
from serving.types import Array

# Classes whose outputs for a column depend on that column alone.
ENCODERS = ("sklearn.OneHotEncoder", "sklearn.OrdinalEncoder", "sklearn.TargetEncoder")
BY_COLUMN = (*ENCODERS, "sklearn.SimpleImputer")
MAX_VALUES = 1_000_000  # of the outputs for all known values, in the dtype of the outputs
UNKNOWN = "\x01 no category"  # a text that no table of categories has

Frame = Callable[[Sequence[DecodedColumn]], pd.DataFrame]


@dataclass(frozen=True)
class _Table:
    """The outputs of one column: `codes` maps its values to rows of `outputs`, `unknown` is the row of others.

    `places` are the outputs' columns. A code of -1 is a value that the steps refuse. `masked` says that the column's
    dtype has no None, so that its mask tells where it is NULL.
    """

    name: str
    masked: bool
    codes: Mapping[Any, int]
    unknown: int
    outputs: Array
    places: Any

    def look_up(self, rows: Rows) -> Array:
        get, unknown = self.codes.get, self.unknown
        values = rows[self.name].tolist()
        if self.masked:
            nulls = rows.nulls(self.name)
            if nulls.any():
                values = [None if null else value for value, null in zip(values, nulls.tolist(), strict=True)]
        found = [get(value, unknown) for value in values]
        if -1 in found:
            raise Unplanned
        taken: Array = self.outputs.take(found, axis=0)
        return taken


def lookup(steps: Sequence[Any], columns: Columns, frame: Frame) -> tuple[Head, bool]:
    """Return what gives the outputs of these steps, of which one is an encoder, for columns of categories.

    The outputs are dense; the flag says whether those of the steps are sparse.
    """
    known = [_known(steps, place, column.sql_type) for place, column in enumerate(columns)]
    ask = _Asker(steps, columns, frame)
    base = [values[0] for values in known]
    (first,) = ask([base])
    if sum(len(values) + 2 for values in known) * len(first) > MAX_VALUES:
        raise NotCovered("the encoders have too many categories for a table")
    answers = ask.each([_with(base, at, value) for at, values in enumerate(known) for value in values])
    nulls = ask.each([_with(base, at, None) for at in range(len(known))])
    others = ask.each([_with(base, at, _unknown(columns[at].sql_type, values)) for at, values in enumerate(known)])
    tables, taken, start = [], set[int](), 0
    for at, (column, values) in enumerate(zip(columns, known, strict=True)):
        outputs = answers[start : start + len(values)]
        start += len(values)
        codes = dict(zip(values, range(len(values)), strict=True))
        null = None if column.required else nulls[at]
        special = {}
        for key, output in (("NULL", null), ("unknown", others[at])):
            special[key] = -1 if output is None else len(outputs)
            outputs += [] if output is None else [output]
        stacked = np.array(outputs)
        changing = _changing(stacked)
        if taken.intersection(changing):
            raise NotCovered("an encoder's output depends on several columns")
        taken.update(changing)
        part = np.ascontiguousarray(stacked[:, changing])
        masked = column.type.dtype.kind != "O"
        codes[None] = special["NULL"]
        tables.append(_Table(column.name, masked, codes, special["unknown"], part, _as_slice(changing)))
    return _joined(tables, first, ask.order, constant=len(taken) < len(first)), ask.sparse


def transformed(steps: Sequence[Any], columns: Columns, frame: Frame, rows: Rows) -> Array:
    """Return the outputs that the steps themselves give, dense."""
    return dense(_through(steps, frame([rows.columns[column.name] for column in columns])))


def _through(steps: Sequence[Any], given: Any) -> Any:
    """Return what the steps make of a DataFrame, one after the other."""
    for step in steps:
        given = step.transform(given)
    return given


def _changing(outputs: Array) -> list[int]:
    """Return the places that aren't the same in all rows, to the last bit."""
    bits = outputs.reshape(len(outputs), -1).view(np.int64)
    return np.flatnonzero(np.any(bits != bits[:1], axis=0)).tolist() if bits.size else []


def _joined(tables: Sequence[_Table], first: Array, order: Any, *, constant: bool) -> Head:
    def encoded(rows: Rows) -> Array:
        found = np.empty((len(rows), len(first)), first.dtype, order=order)
        if constant:
            found[:] = first
        for table in tables:
            found[:, table.places] = table.look_up(rows)
        return found

    return encoded


def _as_slice(places: list[int]) -> Any:
    """Return consecutive places as a slice, by which NumPy finds them faster."""
    consecutive = places == list(range(places[0], places[0] + len(places))) if places else True
    return slice(places[0], places[-1] + 1) if places and consecutive else np.array(places, np.intp)


class _Asker:
    """Asks the steps for their outputs; `order` is their memory layout, and `sparse` says that they are sparse."""

    def __init__(self, steps: Sequence[Any], columns: Columns, frame: Frame) -> None:
        self._steps, self._columns, self._frame = steps, columns, frame
        self.order, self.sparse = "C", False

    def __call__(self, calls: Sequence[Sequence[Any]]) -> Array:
        frame = self._frame([self._decoded(place, calls) for place in range(len(self._columns))])
        found = _through(self._steps, frame)
        self.sparse = is_sparse(found)
        values = dense(found)
        if values.dtype != np.float64 or values.ndim != 2:
            raise NotCovered("the outputs of an encoder are not float64")
        if len(values) > 1 and values.flags.f_contiguous and not values.flags.c_contiguous:
            self.order = "F"
        return values

    def each(self, calls: Sequence[Sequence[Any]]) -> list[Array | None]:
        """Return the outputs for each call; None for what the steps refuse."""
        try:
            return list(self(calls))
        except NotCovered:
            raise
        except Exception:  # what the steps raise
            if len(calls) == 1:
                return [None]
            return [output for call in calls for output in self.each([call])]

    def _decoded(self, place: int, calls: Sequence[Sequence[Any]]) -> DecodedColumn:
        column = self._columns[place]
        nulls = np.array([call[place] is None for call in calls])
        array = np.array(
            [column.type.filler if call[place] is None else call[place] for call in calls], column.type.dtype
        )
        return DecodedColumn(column, array, nulls)


def _known(steps: Sequence[Any], place: int, sql_type: str) -> list[Any]:
    """Return the values of a column that some step knows, as they come in a request."""
    found: dict[Any, None] = {}
    for step in steps:
        known = categories(step)
        if place < len(known):
            found |= dict.fromkeys(value for value in _plain(known[place]) if _is_of(value, sql_type))
    if not found:
        raise NotCovered("an encoder has no categories of its column's type")
    return list(found)


def _plain(values: Any) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def _is_of(value: Any, sql_type: str) -> bool:
    if sql_type == "STRING":
        return type(value) is str
    if sql_type == "BOOL":
        return value in (0, 1)
    return sql_type == "INT64" and isinstance(value, (int, float)) and math.isfinite(value) and value == int(value)


def _unknown(sql_type: str, known: Sequence[Any]) -> Any:
    if sql_type == "STRING":
        return UNKNOWN
    if sql_type == "BOOL":
        return next((value for value in (False, True) if value not in known), known[0])
    return max(known) + 1


def _with(values: Sequence[Any], place: int, value: Any) -> list[Any]:
    return [*values[:place], value, *values[place + 1 :]]
