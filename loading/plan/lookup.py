"""Encoders of texts and other categories as tables: what the fitted steps give for each value is asked once.

A step such as OneHotEncoder computes each column's outputs from that column alone. So its outputs are found by asking
it for every known value of a column while the others stay the same: those that change belong to the column. An imputer
in front of it, or a scaler behind it, is part of what is asked. A value that the steps refuse is left to the model.

A table has a row of outputs per category. A wide one-hot has the place of each category's one instead, and gives a
sparse matrix where the encoder does.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loading.fitted import categories
from loading.plan.asking import Asker, Case, Frame, through
from loading.plan.kernel import Columns, Head, NotCovered, dense, name_of, refuse_inexact
from serving.model import Unplanned
from serving.rows import Rows
from serving.types import Array

# Classes whose outputs for a column depend on that column alone.
ONE_HOT = "sklearn.OneHotEncoder"
ENCODERS = (ONE_HOT, "sklearn.OrdinalEncoder", "sklearn.TargetEncoder")
BY_COLUMN = (*ENCODERS, "sklearn.SimpleImputer")
MAX_VALUES = 1_000_000  # of the outputs for all known values, in the dtype of the outputs
UNKNOWN = "\x01 no category"  # a text that no table of categories has
WIDE = 100  # outputs of a sparse one-hot beyond which it takes less time to keep places
MAX_FILLED = 20_000  # outputs that take less time to fill in than a sparse matrix takes to make
NO_PLACE = -1  # of a category for which a one-hot has no one


@dataclass(frozen=True)
class _Codes:
    """The values of one column as numbers from 0 on; `unknown` is the number of others.

    A code of -1 is a value that the steps refuse. `masked` says that the column's dtype has no None, so that its mask
    tells where it is NULL; `rounded` that the steps may compare the column's numbers as float64.
    """

    name: str
    masked: bool
    rounded: bool
    known: Mapping[Any, int]
    unknown: int

    def of(self, rows: Rows) -> list[int]:
        get, unknown = self.known.get, self.unknown
        if self.rounded:
            refuse_inexact(rows[self.name])
        values = rows[self.name].tolist()
        if self.masked:
            nulls = rows.nulls(self.name)
            if nulls.any():
                values = [None if null else value for value, null in zip(values, nulls.tolist(), strict=True)]
        found = [get(value, unknown) for value in values]
        if -1 in found:
            raise Unplanned
        return found


@dataclass(frozen=True)
class _Answers:
    """What was found out about one column: its codes, how many there are, and the outputs that change with it.

    `rows`, `at` and `values` are the changes: the code, the position in `places`, and the output.
    """

    codes: _Codes
    count: int
    places: Array
    rows: Array
    at: Array
    values: Array

    def table(self, first: Array) -> Array:
        """Return the outputs at `places` of each code."""
        outputs = np.tile(first[self.places], (self.count, 1))
        outputs[self.rows, self.at] = self.values
        return outputs

    def ones(self, first: Array) -> Array:
        """Return the place of the one of each code, or NO_PLACE."""
        usual = self.places[first[self.places] != 0]
        found = np.full(self.count, usual[0] if len(usual) else NO_PLACE)
        ends = self.values == 0
        found[self.rows[ends]] = NO_PLACE
        found[self.rows[~ends]] = self.places[self.at[~ends]]
        return found


def lookup(steps: Sequence[Any], columns: Columns, frame: Frame) -> tuple[Head, bool]:
    """Return what gives the outputs of these steps, of which the last is an encoder, for columns of categories.

    The flag says whether the outputs of the steps are sparse. The head's are dense, except for many of a wide one-hot.
    """
    known = [_known(steps, place, column.sql_type) for place, column in enumerate(columns)]
    ask = Asker(steps, columns, frame, [values[0] for values in known])
    found = _answers(ask, columns, known)
    places = np.concatenate([each.places for each in found])
    if len(np.unique(places)) < len(places):
        raise NotCovered("an encoder's output depends on several columns")
    size = sum(each.count * len(each.places) for each in found)
    if name_of(steps[-1]) == ONE_HOT and _is_wide(size, ask):
        return _one_hot(found, ask, np.setdiff1d(np.flatnonzero(ask.first), places)), ask.sparse
    if size > MAX_VALUES:
        raise NotCovered("the encoders have too many categories for a table")
    return _joined(found, ask, constant=len(places) < len(ask.first)), ask.sparse


def _is_wide(size: int, ask: Asker) -> bool:
    return size > MAX_VALUES or (ask.sparse and len(ask.first) > WIDE)


def _answers(ask: Asker, columns: Columns, known: Sequence[Sequence[Any]]) -> list[_Answers]:
    values: list[Case] = [(at, value) for at, values in enumerate(known) for value in values]
    nulls: list[Case] = [(at, None) for at, column in enumerate(columns) if not column.required]
    others: list[Case] = [(at, _unknown(columns[at].sql_type, values)) for at, values in enumerate(known)]
    changes = ask.each([values, nulls, others])
    owners = np.array([at for at, _ in (*values, *nulls, *others)])
    codes = np.full(len(owners), -1)  # by case
    for at in range(len(columns)):
        mine = np.flatnonzero((owners == at) & ~changes.refused)
        codes[mine] = np.arange(len(mine))
    missing = dict(zip((at for at, _ in nulls), codes[len(values) :].tolist(), strict=False))
    found, start = [], 0
    for at, (column, texts) in enumerate(zip(columns, known, strict=True)):
        numbers = dict(zip(texts, codes[start : start + len(texts)].tolist(), strict=True))
        start += len(texts)
        numbers[None] = missing.get(at, -1)
        rounded = not column.required or any(isinstance(value, float) for value in texts)
        own = _Codes(column.name, column.type.dtype.kind != "O", rounded, numbers, int(codes[at - len(columns)]))
        mine = owners[changes.cases] == at
        places, positions = np.unique(changes.places[mine], return_inverse=True)
        count = int(np.count_nonzero((owners == at) & ~changes.refused))
        found.append(_Answers(own, count, places, codes[changes.cases[mine]], positions, changes.values[mine]))
    return found


def transformed(steps: Sequence[Any], columns: Columns, frame: Frame, rows: Rows) -> Array:
    """Return the outputs that the steps themselves give, dense."""
    return dense(through(steps, frame([rows.columns[column.name] for column in columns])))


def _joined(found: Sequence[_Answers], ask: Asker, *, constant: bool) -> Head:
    """Return what puts the outputs of all columns side by side; some are `constant` if they change with none."""
    first, order = ask.first, ask.order
    tables = [(each.codes, each.table(first), _as_slice(each.places.tolist())) for each in found]

    def encoded(rows: Rows) -> Array:
        outputs = np.empty((len(rows), len(first)), first.dtype, order=order)
        if constant:
            outputs[:] = first
        for codes, table, places in tables:
            outputs[:, places] = table.take(codes.of(rows), axis=0)
        return outputs

    return encoded


def _one_hot(found: Sequence[_Answers], ask: Asker, constant: Array) -> Head:
    """Return what puts a one at the place of each column's category, and at the `constant` places."""
    width, order = len(ask.first), ask.order
    tables = [(each.codes, each.ones(ask.first)) for each in found]

    def places(rows: Rows) -> Array:
        by_column = [ones.take(codes.of(rows)) for codes, ones in tables]
        always = [np.full(len(rows), place) for place in constant]
        return np.stack([*by_column, *always], axis=1)

    def sparse(rows: Rows) -> Any:
        from scipy.sparse import csr_matrix

        at = np.sort(places(rows), axis=1)  # the order in which a product adds
        has_one = at != NO_PLACE
        ends = np.append(0, np.cumsum(has_one.sum(axis=1)))
        return csr_matrix((np.ones(ends[-1]), at[has_one], ends), (len(rows), width))

    def filled(rows: Rows) -> Array:
        at = places(rows)
        outputs = np.zeros((len(rows), width), order=order)
        row, column = np.nonzero(at != NO_PLACE)
        outputs[row, at[row, column]] = 1.0
        return outputs

    return (lambda rows: (filled if len(rows) * width <= MAX_FILLED else sparse)(rows)) if ask.sparse else filled


def _as_slice(places: list[int]) -> Any:
    """Return consecutive places as a slice, by which NumPy finds them faster."""
    consecutive = places == list(range(places[0], places[0] + len(places))) if places else True
    return slice(places[0], places[-1] + 1) if places and consecutive else np.array(places, np.intp)


def _known(steps: Sequence[Any], place: int, sql_type: str) -> list[Any]:
    """Return the values of a column that some step knows, as they come in a request."""
    known = [value for step in steps for value in known_values(step, place)]
    found = dict.fromkeys(value for value in known if _is_of(value, sql_type))
    if not found:
        raise NotCovered("an encoder has no categories of its column's type")
    return list(found)


def known_values(step: Any, place: int) -> list[Any]:
    """Return the values that a step knows in its column at this place: categories, or what an imputer replaces."""
    if hasattr(step, "missing_values"):
        return [step.missing_values]
    known = categories(step)
    values = known[place] if place < len(known) else []
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
    numbers = set(known)
    return next(number for number in itertools.count() if number not in numbers)
