"""The rows of one request as typed columns: what a SQL function works on, and what a model receives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

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


@dataclass(frozen=True)
class Block:
    """The columns of one group of the signature: `array` has one row per column, and one element per row of a batch.

    `nulls` is a mask of the same shape, None when there is no NULL. One array for many columns is what keeps a row of
    hundreds of columns from costing a few calls of NumPy for each of them.
    """

    array: Array
    nulls: Mask | None = None

    @cached_property
    def null_mask(self) -> Mask:
        """The mask of NULLs."""
        return np.zeros(self.array.shape, np.bool_) if self.nulls is None else self.nulls

    def take(self, rows: RowIndices) -> "Block":
        return Block(self.array.take(rows, axis=1), None if self.nulls is None else self.nulls.take(rows, axis=1))

    @staticmethod
    def concat(parts: "Sequence[Block]") -> "Block":
        has_nulls = any(part.nulls is not None for part in parts)
        return Block(
            np.concatenate([part.array for part in parts], axis=1),
            np.concatenate([part.null_mask for part in parts], axis=1) if has_nulls else None,
        )


@dataclass(frozen=True)
class Numbers:
    """Rows whose columns are all FLOAT64.

    `matrix` is float64 of shape (rows, columns) with NaN for NULL, in the memory layout of a DataFrame; `nulls` is a
    mask of the same shape, None when there is no NULL.
    """

    matrix: Array
    nulls: Mask | None = None


class Rows:
    """Typed columns of equal length.

    `rows["name"]` is a column as a NumPy array: float64, float32, int64, int32, bool, datetime64[ns] (UTC), or object
    for texts, bytes and JSON. A missing value is NaN, NaT or None; `rows.nulls("name")` tells for the types that have
    no such value. `blocks` holds one Block for each of the signature's groups.
    """

    def __init__(
        self, signature: Signature, count: int, blocks: Sequence[Block] = (), errors: Mapping[int, str] | None = None
    ) -> None:
        self._signature = signature
        self._count = count
        self.blocks = blocks
        self._errors = errors or {}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, name: str) -> Array:
        group, place = self._signature.places[name]
        found: Array = self.blocks[group].array[place]
        return found

    def nulls(self, name: str) -> Mask:
        """Return where a column is NULL."""
        group, place = self._signature.places[name]
        found: Mask = self.blocks[group].null_mask[place]
        return found

    @property
    def numbers(self) -> Numbers | None:
        """All columns as one matrix if they are all FLOAT64, else None."""
        if not self._signature.all_double or not self.blocks:
            return None
        (block,) = self.blocks
        return Numbers(block.array.T, None if block.nulls is None else block.nulls.T)

    def errors(self) -> dict[int, str]:
        """Return a message for each row with a value that its column can't hold."""
        return dict(self._errors)

    def null_rows(self) -> RowIndices:
        """Return the rows that have a NULL where the model needs a value, ascending."""
        nulls = [
            np.any(block.nulls[group.required], axis=0)
            for group, block in zip(self._signature.groups, self.blocks, strict=False)  # a function may take nothing
            if block.nulls is not None
        ]
        return np.flatnonzero(np.logical_or.reduce(nulls)) if nulls else _NO_ROWS

    def first_null_columns(self) -> dict[int, Column]:
        """Return, for each row with a NULL where the model needs a value, the first such column."""
        rows = self.null_rows()
        if not len(rows):
            return {}
        required = [column for column in self._signature.columns if column.required]
        first = np.argmax([self.nulls(column.name)[rows] for column in required], axis=0)
        return {row: required[place] for row, place in zip(rows.tolist(), first.tolist(), strict=True)}

    def null_columns(self) -> list[str]:
        """Return the names of the columns that have a NULL."""
        return [name for name, decoded in self.columns.items() if decoded.nulls.any()]

    def with_values_of(self, example: "Rows | None", names: Sequence[str]) -> "Rows":
        """Return these rows with a value that the example has in each of some columns, or with zero or no text."""
        blocks = [Block(block.array.copy(), block.null_mask.copy()) for block in self.blocks]
        for name in names:
            group, place = self._signature.places[name]
            array = blocks[group].array[place]
            array[:] = np.zeros(1, array.dtype)[0] if array.dtype != object else ""
            if example is not None and not example.nulls(name).all():
                array[:] = example[name][~example.nulls(name)][:1]
            blocks[group].null_mask[place] = False
        return Rows(self._signature, len(self), blocks)

    def first_nulls_in_tensors(self) -> dict[int, Column]:
        """Return, for each row with a NULL for which its tensor's dtype has no value, the first such column."""
        if not self._signature.tensors or not self.blocks:
            return {}
        found: dict[int, Column] = {}
        for column in self._signature.columns:
            if column.type.dtype.kind != "f":
                for row in np.flatnonzero(self.nulls(column.name)).tolist():
                    found.setdefault(row, column)
        return found

    def take(self, rows: RowIndices) -> "Rows":
        """Return the rows at these indices."""
        return Rows(self._signature, len(rows), [block.take(rows) for block in self.blocks])

    def concat(self, others: "Sequence[Rows]") -> "Rows":
        """Return these rows followed by the others', which are of the same model and have no errors."""
        every = [self, *others]
        blocks = [Block.concat(parts) for parts in zip(*(rows.blocks for rows in every), strict=True)]
        return Rows(self._signature, sum(map(len, every)), blocks)

    def array(self) -> Array:
        """Return all columns as a new array of shape (rows, columns), with the memory layout of a DataFrame of them."""
        if len(self.blocks) == 1:
            return self.blocks[0].array.copy().T
        return np.array([self[column.name] for column in self._signature.columns]).T

    @cached_property
    def columns(self) -> dict[str, DecodedColumn]:
        """The columns by name."""
        columns = self._signature.columns if self.blocks else ()
        return {column.name: DecodedColumn(column, self[column.name], self.nulls(column.name)) for column in columns}
