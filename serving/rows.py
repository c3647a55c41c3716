"""The rows of one request as typed columns: what a SQL function gets to work on, and what a model is given."""

import operator
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from serving.columns import Values, decode_column
from serving.contract import Request
from serving.errors import BadRequest, short_repr
from serving.options import described
from serving.signature import Column, Signature

_NOWHERE = np.array([], np.intp)
_TEXT = "str" if int(pd.__version__.split(".")[0]) >= 3 else object  # what pandas itself makes of texts


class Rows:
    """Typed columns of equal length.

    `rows["name"]` is a column as a NumPy array: float64, float32, int64, int32, bool, datetime64[ns] (UTC), or object
    for texts, bytes and JSON. A missing value is NaN, NaT or None; `rows.nulls("name")` tells for the types that have
    no such value.
    """

    def __init__(self, signature: Signature, columns: Sequence[Values], count: int) -> None:
        self._signature = signature
        self._columns = {values.column.name: values for values in columns}
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        return self._columns[name].array

    def nulls(self, name: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return where a column is NULL."""
        return self._columns[name].nulls

    def faults(self) -> dict[int, str]:
        """Return a sentence for each row with a value that its column cannot hold."""
        found: dict[int, str] = {}
        for values in self._columns.values():
            for row, fault in values.faults.items():
                found.setdefault(row, fault)
        return found

    def lacking(self) -> np.ndarray[Any, np.dtype[np.intp]]:
        """Return the positions of the rows that have a NULL where the model needs a value, ascending."""
        found = np.zeros(len(self), np.bool_)
        for values in self._columns.values():
            if values.column.required:
                found |= values.nulls
        return np.flatnonzero(found)

    def null_in_required(self) -> dict[int, Column]:
        """Return, for each row with a NULL where the model needs a value, the first such column."""
        required = [values for values in self._columns.values() if values.column.required]
        return {row: next(values.column for values in required if values.nulls[row]) for row in self.lacking().tolist()}

    def take(self, rows: np.ndarray[Any, Any]) -> "Rows":
        """Return the rows at these positions."""
        return Rows(self._signature, [values.take(rows) for values in self._columns.values()], len(rows))

    def followed_by(self, others: "Sequence[Rows]") -> "Rows":
        """Return these rows and then the others', which are of the same model and without faults."""
        everyone = [self, *others]
        columns = [
            Values(
                values.column,
                np.concatenate([rows[name] for rows in everyone]),
                np.concatenate([rows.nulls(name) for rows in everyone]),
            )
            for name, values in self._columns.items()
        ]
        return Rows(self._signature, columns, sum(map(len, everyone)))

    def array(self) -> np.ndarray[Any, Any]:
        """Return all columns as one array of shape (rows, columns), laid out in memory as a DataFrame of them is."""
        return np.array([values.array for values in self._columns.values()]).T

    def model_input(self) -> Any:
        """Return what the model's signature asks for: a matrix for a tensor, else a DataFrame of typed columns.

        INT64 and BOOL columns that may be NULL get the pandas types Int64, Int32 and boolean, which is also how
        BigQuery's own client gives them to the person who trained the model.
        """
        if self._signature.tensor:
            return np.ascontiguousarray(self.array())
        frame = pd.DataFrame(
            {name: _series(values) for name, values in self._columns.items()},
            index=pd.RangeIndex(self._count),
        )
        if not self._signature.named:
            frame.columns = pd.RangeIndex(len(self._columns))
        return frame


class Numbers(Rows):
    """Rows of FLOAT64 columns alone, kept as one matrix, and where NULL is in it, None for nowhere."""

    def __init__(self, signature: Signature, matrix: np.ndarray[Any, Any], nulls: np.ndarray[Any, Any] | None) -> None:
        self._signature = signature
        self._matrix = matrix
        self._null = nulls
        self._count = len(matrix)

    @cached_property
    def _columns(self) -> dict[str, Values]:  # type: ignore[override]
        columns = zip(self._signature.columns, self._matrix.T, self._places().T, strict=True)
        return {column.name: Values(column, array, nulls) for column, array, nulls in columns}

    def _places(self) -> np.ndarray[Any, Any]:
        return np.zeros(self._matrix.shape, np.bool_, order="F") if self._null is None else self._null

    def faults(self) -> dict[int, str]:
        return {}

    def lacking(self) -> np.ndarray[Any, np.dtype[np.intp]]:
        if self._null is None:
            return _NOWHERE
        return np.flatnonzero(self._null.T[[column.required for column in self._signature.columns]].any(axis=0))

    def followed_by(self, others: Sequence[Rows]) -> Rows:
        numbers = [self, *(rows for rows in others if isinstance(rows, Numbers))]
        if len(numbers) <= len(others):
            return super().followed_by(others)
        known = any(rows._null is not None for rows in numbers)
        nulls = np.concatenate([rows._places() for rows in numbers]) if known else None
        return Numbers(self._signature, np.concatenate([rows._matrix for rows in numbers]), nulls)

    def take(self, rows: np.ndarray[Any, Any]) -> "Numbers":
        # Columns lie one after the other, so that they are taken from one by one.
        nulls = None if self._null is None else self._null.T.take(rows, axis=1).T
        return Numbers(self._signature, self._matrix.T.take(rows, axis=1).T, nulls)

    def array(self) -> np.ndarray[Any, Any]:
        return np.asfortranarray(self._matrix)  # it is, but for what was taken, put together or reordered


def from_request(signature: Signature, request: Request) -> Rows:
    """Return rows whose arguments are the model's columns in their order; raise BadRequest for another number."""
    numeric = request.numeric
    if numeric and numeric.names is None and _only_numbers(signature):
        matrix = numeric.matrix(len(signature.columns))
        if matrix is not None:
            return Numbers(signature, *matrix)
    return from_arguments(signature, request.calls)


def from_arguments(signature: Signature, calls: Sequence[Sequence[Any]]) -> Rows:
    """Return rows whose arguments are the model's columns in their order; raise BadRequest for another number."""
    count = len(signature.columns)
    if set(map(len, calls)) - {count}:
        row = next(row for row, call in enumerate(calls) if len(call) != count)
        raise BadRequest(
            f"Row {row} has {len(calls[row])} arguments, the function takes {count}: {described(signature.columns)}."
        )
    columns = zip(*calls, strict=True) if calls else ((),) * count
    decoded = [decode_column(column, values) for column, values in zip(signature.columns, columns, strict=True)]
    return Rows(signature, decoded, len(calls))


def from_objects(signature: Signature, request: Request) -> Rows:
    """Return rows given as one JSON object each, with the columns by name in any order; other keys are ignored.

    A NULL instead of an object is a row of NULLs. A column that an object lacks is a fault of its row, unless the
    model can do without: TO_JSON writes NULLs out, so a key that is not there means that the wrong table came.
    """
    if _only_numbers(signature) and (numbers := _numbers_by_name(signature, request)) is not None:
        return numbers
    calls = request.calls
    for row, call in enumerate(calls):
        if len(call) != 1:
            raise BadRequest(f"Row {row} has {len(call)} arguments, the function takes one: TO_JSON of a table's row.")
    nothing = dict.fromkeys(column.name for column in signature.columns)
    objects, faults = [], {}
    for row, (value,) in enumerate(calls):
        objects.append(value if type(value) is dict else nothing)
        if type(value) is not dict and value is not None:
            faults[row] = f"Row {row} is {short_repr(value)}; expected an object with {described(signature.columns)}."
    decoded = []
    for column in signature.columns:
        try:
            values = list(map(operator.itemgetter(column.name), objects))
        except KeyError:
            values = [value.get(column.name) for value in objects]
            if column.required:
                for row, value in enumerate(objects):
                    if column.name not in value:
                        faults.setdefault(
                            row, f"Row {row} has no {short_repr(column.name)}, only {short_repr(sorted(value))}."
                        )
        decoded.append(decode_column(column, values))
    decoded[0].faults = {**decoded[0].faults, **faults}
    return Rows(signature, decoded, len(calls))


def _only_numbers(signature: Signature) -> bool:
    return all(column.mlflow_type == "double" for column in signature.columns)


def _numbers_by_name(signature: Signature, request: Request) -> Numbers | None:
    """Return rows of objects that hold numbers alone, among them every column; None where anything else is there."""
    numeric = request.numeric
    if not numeric or not numeric.names or (matrix := numeric.matrix(len(numeric.names))) is None:
        return None
    places = {name: at for at, name in enumerate(numeric.names)}
    try:
        order = [places[column.name] for column in signature.columns]
    except KeyError:
        return None
    values, nulls = matrix
    if order != list(places.values()):
        values, nulls = values[:, order], None if nulls is None else nulls[:, order]
    return Numbers(signature, values, nulls)


def _series(values: Values) -> Any:
    """Return a column as pandas has it after reading the same data from a table."""
    kind = values.array.dtype.kind
    if values.column.mlflow_type == "string":
        return pd.array(values.array, dtype=_TEXT)
    if kind in "ib" and (values.nulls.any() or not values.column.required):
        masked = pd.arrays.BooleanArray if kind == "b" else pd.arrays.IntegerArray
        return masked(values.array, values.nulls)
    return values.array
