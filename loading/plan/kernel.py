"""What a plan is made of: kernels, which turn an array into an array, and heads, which turn rows into one."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from serving.model import Unplanned
from serving.rows import Rows
from serving.signature import Column, Signature
from serving.types import Array

Kernel = Callable[[Array], Array]
Head = Callable[[Rows], Array]
Columns = Sequence[Column]

MAX_DENSE = 1_000_000  # numbers of a sparse matrix that are made dense at once
MAX_EXACT = 2**53  # up to which float64 has every whole number
_NUMBERS = ("double", "float", "long", "integer", "boolean")


class NotCovered(Exception):
    """A model, or a step of it, for which there is no plan; the text says why."""


def name_of(step: Any) -> str:
    """Return the package and the class of a step, as the tables of kernels name it."""
    return f"{type(step).__module__.partition('.')[0]}.{type(step).__name__}"


def refuse_replaced(step: Any) -> None:
    """Raise NotCovered for a step with a method that was replaced on the instance."""
    for name in getattr(step, "__dict__", {}):
        if callable(getattr(type(step), name, None)):
            raise NotCovered(f"{name_of(step)} has a {name} of its own")


def gives_frames(step: Any) -> bool:
    """Return whether set_output lets a step return DataFrames."""
    config = getattr(step, "_sklearn_output_config", {})
    return config.get("transform", "default") not in (None, "default")


def are_numbers(columns: Columns) -> bool:
    """Return whether all columns are numbers or booleans, which a matrix can hold."""
    return all(column.mlflow_type in _NUMBERS for column in columns)


def gather(columns: Columns, signature: Signature) -> Head:
    """Return what puts columns of numbers into a new array of shape (rows, columns).

    Its dtype and its memory layout are those that scikit-learn gives a DataFrame of these columns. Rows with an
    infinite number, or with a whole one that the dtype can't hold exactly, are left to the model.
    """
    if not are_numbers(columns):
        others = next(column for column in columns if column.mlflow_type not in _NUMBERS)
        raise NotCovered(f"a step that has no kernel for {others.sql_type} gets the column {others.name}")
    dtype = np.result_type(*(_dtype(column) for column in columns)) if columns else np.dtype(np.float64)
    sources: dict[int, tuple[list[int], list[int]]] = {}  # by group: places in its block, places in the result
    for at, column in enumerate(columns):
        group, place = signature.places[column.name]
        for places, value in zip(sources.setdefault(group, ([], [])), (place, at), strict=True):
            places.append(value)
    parts = [(group, np.array(taken), np.array(put)) for group, (taken, put) in sources.items()]
    nullable = {group for group in sources if signature.groups[group].type.dtype.kind != "f"}

    def from_rows(rows: Rows) -> Array:
        if len(parts) == 1 and not nullable:
            found = rows.blocks[parts[0][0]].array.take(parts[0][1], axis=0)
        else:
            found = np.empty((len(columns), len(rows)), dtype)
            for group, taken, put in parts:
                block = rows.blocks[group]
                values = block.array[taken]
                if dtype.kind == "f":
                    refuse_inexact(values)
                found[put] = values
                if block.nulls is not None and group in nullable:
                    _fill_nulls(found, put, block.nulls[taken])
        if dtype.kind == "f" and np.isinf(found).any():
            raise Unplanned
        return found.T

    return from_rows


def refuse_inexact(values: Array) -> None:
    """Raise Unplanned for whole numbers that float64 rounds: whether the model rounds them, once or twice, varies."""
    if values.dtype == np.int64 and values.size and (values.max() > MAX_EXACT or values.min() < -MAX_EXACT):
        raise Unplanned


def _fill_nulls(found: Array, put: Array, nulls: Array) -> None:
    """Put NaN in place of the fillers of integers and booleans."""
    if nulls.any() and found.dtype.kind != "f":
        raise Unplanned  # NULLs in columns that the signature requires
    for row, mask in zip(put.tolist(), nulls, strict=True):
        found[row, mask] = np.nan


def _dtype(column: Column) -> np.dtype[Any]:
    return np.dtype(np.float64) if _fills_nulls(column) else column.type.dtype


def _fills_nulls(column: Column) -> bool:
    """Return whether the column's own dtype has no missing value, although it may be NULL."""
    return not column.required and column.type.dtype.kind != "f"


def is_sparse(values: Any) -> bool:
    """Return whether what a step gives is a sparse matrix."""
    return hasattr(values, "toarray")


def dense(values: Any) -> Array:
    """Return what a step gives as an array, also where that is a sparse matrix."""
    return np.asarray(values.toarray() if is_sparse(values) else values)


def in_parts(kernel: Kernel) -> Kernel:
    """Return a kernel that gets a sparse matrix as dense parts; other rows must not matter to the answer for a row."""

    def answered(values: Array) -> Array:
        if not is_sparse(values):
            return kernel(values)
        rows, size = values.shape[0], max(1, MAX_DENSE // values.shape[1])
        return np.concatenate([kernel(dense(values[at : at + size])) for at in range(0, max(1, rows), size)])

    return answered


def require_finite(values: Array) -> Array:
    """Return the values; raise Unplanned for those that an estimator refuses, so that it does so itself."""
    if not np.isfinite(values.data if is_sparse(values) else values).all():
        raise Unplanned
    return values
