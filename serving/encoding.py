"""From what a model returns to JSON values of the declared GoogleSQL type, a whole column at a time.

A model may return arrays, Series, DataFrames, lists or dictionaries of columns; the result is always one strict JSON
value per row. NaN and infinities become strings, as BigQuery writes them itself; missing values (None, NaT, pandas.NA)
become null. A value that the declared type can't hold raises ModelUnusable; it is never converted to something close.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from serving.errors import ModelUnusable, short_repr
from serving.json_type import is_missing
from serving.signature import Output
from serving.types import BY_SQL_TYPE, Replies, sql_type_of_dtype, sql_type_of_values


def encode(result: Any, outputs: Sequence[Output] | None, rows: int) -> Replies:
    """Return one JSON-ready value per row of a model's result; finite FLOAT64 values stay an array.

    `outputs` are the declared ones; without them each column is encoded by its own values. Several outputs become one
    object per row. Raise ModelUnusable for another number of rows or a value that the declared type can't hold.
    """
    names, columns = _columns(result, rows)
    if outputs and len(outputs) == len(columns):
        types = [output.sql_type for output in outputs]
        names = [output.name or name for output, name in zip(outputs, names, strict=True)]
    elif outputs and len(outputs) == 1 and outputs[0].sql_type == "JSON":
        types = ["JSON"] * len(columns)
    elif outputs:
        raise ModelUnusable(
            f"The model returned {len(columns)} columns, its signature declares {len(outputs)} outputs: "
            "save it again with a signature that matches what it returns."
        )
    else:
        types = [_sql_type(column) for column in columns]
    encoded = [_encode_column(column, sql_type) for column, sql_type in zip(columns, types, strict=True)]
    if len(encoded) == 1:
        return encoded[0]
    lists = [as_list(values) for values in encoded]
    return [dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True)]


def as_list(values: Replies) -> list[Any]:
    """Return the values as a list, with None for NULL."""
    return values if isinstance(values, list) else [None if math.isnan(value) else value for value in values.tolist()]


def infer_outputs(result: Any, rows: int) -> tuple[Output, ...]:
    """Return the outputs that a prediction shows, for a model whose signature declares none."""
    names, columns = _columns(result, rows)
    return tuple(Output(name, _sql_type(column)) for name, column in zip(names, columns, strict=True))


def _columns(result: Any, rows: int) -> tuple[list[str], list[Any]]:
    """Return names and columns of whatever a model returned, each column an array or a list of `rows` values."""
    if isinstance(result, pd.DataFrame):
        names = [str(name) for name in result.columns]
        columns = [result.iloc[:, position] for position in range(result.shape[1])]
    elif isinstance(result, Mapping):
        names, columns = [str(name) for name in result], list(result.values())
    else:
        array = result.toarray() if hasattr(result, "toarray") else result
        if isinstance(array, np.ndarray) and array.ndim == 2:
            names, columns = [str(position) for position in range(array.shape[1])], list(array.T)
        else:
            names, columns = ["0"], [array]
    columns = [_plain(column) for column in columns]
    for column in columns:
        if not isinstance(column, (np.ndarray, list, tuple)) or (isinstance(column, np.ndarray) and not column.ndim):
            raise ModelUnusable(f"The model returned {short_repr(column)} for {rows} rows; expected one value per row.")
        if len(column) != rows:
            raise ModelUnusable(f"The model returned {len(column)} values for {rows} rows; expected one value per row.")
    if not columns:
        raise ModelUnusable("The model returned no column; expected one value per row.")
    return names, columns


def _plain(column: Any) -> Any:
    """Return a column without its index, its nullable dtype or a second dimension of length one."""
    if isinstance(column, (pd.Series, pd.Index)):
        return column.to_numpy() if isinstance(column.dtype, np.dtype) else column.astype(object).to_numpy()
    if isinstance(column, np.ndarray) and column.ndim == 2 and column.shape[1] == 1:
        return column.ravel()
    return column


def _sql_type(column: Any) -> str:
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype != object:
        return sql_type_of_dtype(column.dtype.name)
    return sql_type_of_values({type(value) for value in column if not is_missing(value)})


def _encode_column(column: Any, sql_type: str) -> Replies:
    mlflow_type = BY_SQL_TYPE[sql_type]
    if isinstance(column, np.ndarray) and column.ndim == 1:
        values = mlflow_type.encode_array(column)
        if values is not None:
            return values
    encoded = []
    for row, value in enumerate(column):
        try:
            encoded.append(None if is_missing(value) else mlflow_type.encode(value))
        except (TypeError, ValueError, OverflowError, AttributeError):
            raise ModelUnusable(
                f"The model returned {short_repr(value)} for row {row}, where {sql_type} is declared: "
                "save it again with a signature that matches what it returns."
            ) from None
    return encoded
