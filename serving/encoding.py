"""From what a model returns to JSON values of the declared GoogleSQL type, a whole column at a time.

A model may return arrays, Series, DataFrames, lists or dictionaries of columns; the result is always one strict JSON
value per row. NaN and infinities become strings, as BigQuery writes them itself; missing values (None, NaT, pandas.NA)
become null. A value that the declared type can't hold raises ModelUnusable; it is never converted to something close.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from serving import results
from serving.errors import ModelUnusable, short_repr
from serving.json_type import is_missing
from serving.signature import Output
from serving.types import BY_SQL_TYPE, Replies, sql_type_of_dtype, sql_type_of_values


def encode(result: Any, outputs: Sequence[Output] | None, rows: int, *, keeps_index: bool = True) -> Replies:
    """Return one JSON-ready value per row of a model's result; finite FLOAT64 values stay an array.

    `outputs` are the declared ones; without them each column is encoded by its own values. `keeps_index` says that the
    index of a result is its input's, perhaps in another order. Several outputs become one object per row. Raise
    ModelUnusable for a result that doesn't match them or a value that its type can't hold.
    """
    found = results.read(result, outputs, rows, keeps_index=keeps_index)
    if not outputs:
        types = [_sql_type(column) for column in found.columns]
    elif len(outputs) == len(found.columns):
        types = [output.sql_type for output in outputs]
    elif outputs[0].sql_type == "JSON":
        types = ["JSON"] * len(found.columns)
    else:
        raise ModelUnusable(
            f"The model returned {len(found.columns)} columns; its signature declares one output: "
            "save it again with a signature that matches what it returns."
        )
    encoded = [_encode_column(column, sql_type) for column, sql_type in zip(found.columns, types, strict=True)]
    if len(encoded) == 1:
        return encoded[0]
    lists = [as_list(values) for values in encoded]
    return [dict(zip(found.names, values, strict=True)) for values in zip(*lists, strict=True)]


def as_list(values: Replies) -> list[Any]:
    """Return the values as a list, with None for NULL."""
    return values if isinstance(values, list) else [None if math.isnan(value) else value for value in values.tolist()]


def settle_outputs(result: Any, declared: Sequence[Output] | None, rows: int) -> tuple[Output, ...]:
    """Return the outputs that a model has, as its prediction for `rows` rows shows them.

    They are the declared ones; a declared INT64 whose values have fractions becomes FLOAT64, and a declared type that
    can't hold the texts of its column becomes STRING. Without declared outputs each column is one, of the type of its
    values. Raise ModelUnusable as `encode` does.
    """
    found = results.read(result, declared, rows)
    if not declared:
        return tuple(Output(name, _sql_type(column)) for name, column in zip(found.names, found.columns, strict=True))
    if declared[0].sql_type == "JSON" and len(declared) == 1:
        return tuple(declared)
    if len(declared) != len(found.columns):  # one output was declared for several columns
        return (dataclasses.replace(declared[0], sql_type="JSON", mlflow_type=""),)
    return tuple(_widened(output, column) for output, column in zip(declared, found.columns, strict=True))


def _widened(output: Output, column: Any) -> Output:
    if output.sql_type == "INT64" and _has_fractions(column):
        return dataclasses.replace(output, sql_type="FLOAT64")
    if _sql_type(column) == "STRING":
        try:
            _encode_column(column, output.sql_type)
        except ModelUnusable:
            return dataclasses.replace(output, sql_type="STRING", mlflow_type="string")
    return output


def _has_fractions(column: Any) -> bool:
    numbers = [value for value in column if isinstance(value, (float, np.floating)) and math.isfinite(value)]
    return any(value != int(value) for value in numbers)


def _sql_type(column: Any) -> str:
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype != object:
        return sql_type_of_dtype(column.dtype.name)
    values = [value for value in column if not is_missing(value)]
    if any(isinstance(value, str) for value in values):  # among texts NaN is a missing one
        values = [value for value in values if value == value]
    return sql_type_of_values(set(map(type, values)))


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
