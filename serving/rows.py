"""The rows of one request as typed columns: what a SQL function works on, and what a model receives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from serving.json_numbers import Numbers
from serving.signature import Column, Signature
from serving.types import Array

Mask = np.ndarray[Any, np.dtype[np.bool_]]
RowIndices = np.ndarray[Any, np.dtype[np.intp]]

_NO_ROWS: RowIndices = np.array([], np.intp)


@dataclass
class DecodedColumn:
    """One column of a batch.

    `array` has one element per row, of the dtype that types.TYPES gives the column's type; where `nulls` is True it
    holds the type's filler. `errors` maps rows to what is wrong with their value.
    """

    column: Column
    array: Array
    nulls: Mask
    errors: Mapping[int, str] = field(default_factory=dict)

    def take(self, rows: RowIndices) -> "DecodedColumn":
        return DecodedColumn(self.column, self.array[rows], self.nulls[rows])


class Rows:
    """Typed columns of equal length.

    `rows["name"]` is a column as a NumPy array: float64, float32, int64, int32, bool, datetime64[ns] (UTC), or object
    for texts, bytes and JSON. A missing value is NaN, NaT or None; `rows.nulls("name")` tells for the types that have
    no such value.

    Rows that came as plain numbers for FLOAT64 columns are kept as one matrix until somebody asks for a column.
    """

    def __init__(
        self,
        signature: Signature,
        count: int,
        columns: Sequence[DecodedColumn] = (),
        numbers: Numbers | None = None,
    ) -> None:
        self._signature = signature
        self._count = count
        self._decoded = columns
        self.numbers = numbers

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, name: str) -> Array:
        return self.columns[name].array

    def nulls(self, name: str) -> Mask:
        """Return where a column is NULL."""
        return self.columns[name].nulls

    def errors(self) -> dict[int, str]:
        """Return a message for each row with a value that its column can't hold."""
        found: dict[int, str] = {}
        for decoded in self._decoded:
            for row, error in decoded.errors.items():
                found.setdefault(row, error)
        return found

    def null_rows(self) -> RowIndices:
        """Return the rows that have a NULL where the model needs a value, ascending."""
        if self.numbers is not None:
            if self.numbers.nulls is None:
                return _NO_ROWS
            required = [column.required for column in self._signature.columns]
            return np.flatnonzero(self.numbers.nulls.T[required].any(axis=0))
        found = np.zeros(len(self), np.bool_)
        for decoded in self._decoded:
            if decoded.column.required:
                found |= decoded.nulls
        return np.flatnonzero(found)

    def first_null_columns(self) -> dict[int, Column]:
        """Return, for each row with a NULL where the model needs a value, the first such column."""
        required = [decoded for decoded in self.columns.values() if decoded.column.required]
        return {row: next(each.column for each in required if each.nulls[row]) for row in self.null_rows().tolist()}

    def null_columns(self) -> list[str]:
        """Return the names of the columns that have a NULL."""
        return [name for name, decoded in self.columns.items() if decoded.nulls.any()]

    def with_values_of(self, example: "Rows | None", names: Sequence[str]) -> "Rows":
        """Return these rows with a value that the example has in each of some columns, or with zero or no text."""

        def filled(name: str, decoded: DecodedColumn) -> DecodedColumn:
            array = np.full(len(self), "" if decoded.array.dtype == object else 0).astype(decoded.array.dtype)
            if example is not None and not example.nulls(name).all():
                array = np.repeat(example[name][~example.nulls(name)][:1], len(self))
            return DecodedColumn(decoded.column, array, np.zeros(len(self), np.bool_))

        columns = [filled(name, each) if name in names else each for name, each in self.columns.items()]
        return Rows(self._signature, len(self), columns)

    def first_nulls_in_tensors(self) -> dict[int, Column]:
        """Return, for each row with a NULL for which its tensor's dtype has no value, the first such column."""
        if not self._signature.tensors or self.numbers is not None:
            return {}
        found: dict[int, Column] = {}
        for decoded in self._decoded:
            if decoded.array.dtype.kind != "f":
                for row in np.flatnonzero(decoded.nulls).tolist():
                    found.setdefault(row, decoded.column)
        return found

    def take(self, rows: RowIndices) -> "Rows":
        """Return the rows at these indices."""
        if self.numbers is not None:
            return Rows(self._signature, len(rows), numbers=self.numbers.take(rows))
        return Rows(self._signature, len(rows), [decoded.take(rows) for decoded in self._decoded])

    def concat(self, others: "Sequence[Rows]") -> "Rows":
        """Return these rows followed by the others', which are of the same model and have no errors."""
        every = [self, *others]
        count = sum(map(len, every))
        numbers = [rows.numbers for rows in every if rows.numbers is not None]
        if len(numbers) == len(every):
            return Rows(self._signature, count, numbers=Numbers.concat(numbers))
        columns = [
            DecodedColumn(
                decoded.column,
                np.concatenate([rows[name] for rows in every]),
                np.concatenate([rows.nulls(name) for rows in every]),
            )
            for name, decoded in self.columns.items()
        ]
        return Rows(self._signature, count, columns)

    def array(self) -> Array:
        """Return all columns as a new array of shape (rows, columns), with the memory layout of a DataFrame of them."""
        if self.numbers is not None:
            return np.array(self.numbers.matrix, order="F")
        return np.array([decoded.array for decoded in self._decoded]).T

    @cached_property
    def columns(self) -> dict[str, DecodedColumn]:
        """The columns by name."""
        if self.numbers is not None:
            triples = zip(self._signature.columns, self.numbers.matrix.T, self.numbers.null_mask().T, strict=True)
            return {column.name: DecodedColumn(column, array, nulls) for column, array, nulls in triples}
        return {decoded.column.name: decoded for decoded in self._decoded}
