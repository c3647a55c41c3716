"""What a plan is made of: kernels, which turn an array into an array, and heads, which turn rows into one."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from serving.model import Unplanned
from serving.rows import Rows
from serving.signature import Column
from serving.types import Array

Kernel = Callable[[Array], Array]
Head = Callable[[Rows], Array]
Columns = Sequence[Column]

_NUMBERS = ("double", "float", "long", "integer", "boolean")


class NotCovered(Exception):
    """A model, or a step of it, for which there is no plan; the text says why."""


def name_of(step: Any) -> str:
    """Return the package and the class of a step, as the tables of kernels name it."""
    return f"{type(step).__module__.partition('.')[0]}.{type(step).__name__}"


def refuse_replaced(step: Any) -> None:
    """Raise NotCovered for a step whose methods were replaced on the instance."""
    replaced = {"predict", "predict_proba", "transform"} & set(getattr(step, "__dict__", {}))
    if replaced:
        raise NotCovered(f"{name_of(step)} has a {min(replaced)} of its own")


def are_numbers(columns: Columns) -> bool:
    """Return whether all columns are numbers or booleans, which a matrix can hold."""
    return all(column.mlflow_type in _NUMBERS for column in columns)


def gather(columns: Columns, every: Columns) -> Head:
    """Return what puts columns of numbers into a new array of shape (rows, columns).

    Its dtype and its memory layout are those that scikit-learn gives a DataFrame of these columns. `every` holds all
    columns of the model. Rows with an infinite number are left to the model.
    """
    if not are_numbers(columns):
        others = next(column for column in columns if column.mlflow_type not in _NUMBERS)
        raise NotCovered(f"a step that has no kernel for {others.sql_type} gets the column {others.name}")
    dtype = np.result_type(*(_dtype(column) for column in columns)) if columns else np.dtype(np.float64)
    names = [column.name for column in columns]
    positions = np.array([list(every).index(column) for column in columns], np.intp)
    complete = positions.tolist() == list(range(len(every)))
    nullable = [(at, column.name) for at, column in enumerate(columns) if _fills_nulls(column)]

    def from_rows(rows: Rows) -> Array:
        if rows.numbers is not None:
            matrix = rows.numbers.matrix
            by_column = np.array(matrix.T) if complete else matrix.T.take(positions, axis=0)
        else:
            by_column = np.empty((len(names), len(rows)), dtype)
            for at, name in enumerate(names):
                by_column[at] = rows[name]
            for at, name in nullable:
                by_column[at, rows.nulls(name)] = np.nan
        if dtype.kind == "f" and np.isinf(by_column).any():
            raise Unplanned
        return by_column.T

    return from_rows


def _dtype(column: Column) -> np.dtype[Any]:
    return np.dtype(np.float64) if _fills_nulls(column) else column.type.dtype


def _fills_nulls(column: Column) -> bool:
    """Return whether the column's own dtype has no missing value, although it may be NULL."""
    return not column.required and column.type.dtype.kind != "f"


def require_finite(values: Array) -> Array:
    """Return the values; raise Unplanned for those that an estimator refuses, so that it does so itself."""
    if not np.isfinite(values.data if hasattr(values, "indptr") else values).all():
        raise Unplanned
    return values
