"""The predictions that SQL must return: those of `mlflow.pyfunc`, which shares no code with the function."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd

from serving.model import Model
from serving.signature import Tensor

MAX_EXAMPLE_ROWS = 100
# MLflow type -> the dtype that MLflow requires for it, without and with missing values.
DTYPES = {
    "boolean": ("bool", "boolean"),
    "integer": ("int32", "Int32"),
    "long": ("int64", "Int64"),
    "float": ("float32", "float32"),
    "double": ("float64", "float64"),
    "string": ("object", "object"),
    "binary": ("object", "object"),
    "datetime": ("datetime64[ns]", "datetime64[ns]"),
}


@dataclass(frozen=True)
class Expected:
    """One prediction per row, as a JSON value. `float32` tells whether an output has single precision."""

    predictions: list[Any]
    float32: bool = False


def predict(library: mlflow.pyfunc.PyFuncModel, rows: Any, model: Model) -> Expected:
    """Return the predictions for rows with MLflow's dtypes, an array, or a dictionary of arrays.

    `model` is the same one as the function serves it; it tells what stands for a missing text, whether the texts go to
    the model as a Series, which MLflow can't do, and where NaN means that an integer is missing. Several outputs become
    one object per row.
    """
    if not len(rows):
        return Expected([])
    if isinstance(rows, pd.DataFrame):
        rows = _with_missing_texts(rows, model)
    takes_series = model.form.kind == "series"
    result = library.get_raw_model().predict(rows.iloc[:, 0]) if takes_series else library.predict(rows)
    if isinstance(result, pd.DataFrame | pd.Series) and not model.keeps_index:
        result = result.reset_index(drop=True)
    names, columns = _columns(result)
    declared = [str(output.name) for output in model.outputs or () if output.name is not None]
    if isinstance(result, np.ndarray) and len(declared) == len(columns):
        names = declared
    float32 = any(getattr(column, "dtype", None) == np.float32 for column in columns)
    sql_types = {output.name: output.sql_type for output in model.outputs or ()}
    if len(columns) == 1:
        return Expected(_plain(columns[0], model.sql_type), float32)
    values = [_plain(column, sql_types.get(name, "")) for name, column in zip(names, columns, strict=True)]
    return Expected([dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)], float32)


def _columns(result: Any) -> tuple[list[str], list[Any]]:
    """Return the names and the columns of a result, in the order of the rows that were given."""
    if isinstance(result, pd.DataFrame | pd.Series) and sorted(result.index) == list(range(len(result))):
        result = result.sort_index()
    if isinstance(result, pd.DataFrame):
        return [str(name) for name in result.columns], [result.iloc[:, at] for at in range(result.shape[1])]
    if isinstance(result, dict):
        columns = [column.ravel() if getattr(column, "ndim", 1) == 2 else column for column in result.values()]
        return [str(name) for name in result], columns
    columns = list(result.T) if isinstance(result, np.ndarray) and result.ndim == 2 else [result]
    return [str(at) for at in range(len(columns))], columns


def _with_missing_texts(rows: pd.DataFrame, model: Model) -> pd.DataFrame:
    """Return the rows with None, NaN or pandas.NA for a missing text, whichever the model was fitted on."""
    rows = rows.copy()
    for column in model.signature.columns:
        if column.mlflow_type == "string" and column.name in rows and rows[column.name].isna().any():
            marker = model.form.missing_texts.get(column.name)
            texts = rows[column.name].astype(object)
            texts[texts.isna()] = marker
            rows[column.name] = texts
    return rows


def tensor_input(tensors: Sequence[Tensor], rows: pd.DataFrame) -> Any:
    """Return the array that a model takes, or its arrays by name, from the columns of their arguments in order."""
    arrays, used = {}, 0
    for tensor in tensors:
        columns = rows.iloc[:, used : used + len(tensor.columns)]
        used += len(tensor.columns)
        values = columns.iloc[:, 0].tolist() if tensor.as_json else columns.to_numpy()
        arrays[tensor.name] = np.array(values, tensor.dtype).reshape(len(rows), *tensor.shape)
    return arrays.get(None, arrays)


def input_example(folder: Path, model: Model) -> tuple[Sequence[Sequence[Any]], Expected]:
    """Return the first rows of a model's input example as argument lists, and the predictions for them.

    Both are empty if the example is neither a DataFrame nor the arrays of a signature of tensors.
    """
    library = mlflow.pyfunc.load_model(str(folder))
    if tensors := model.signature.tensors:
        complete = [row for row in model.example[:MAX_EXAMPLE_ROWS] if None not in row]
        return complete, predict(library, tensor_input(tensors, pd.DataFrame(complete, dtype=object)), model)
    data = library.metadata.load_input_example(str(folder))
    if not isinstance(data, pd.DataFrame):
        return [], Expected([])
    rows, data = model.example[:MAX_EXAMPLE_ROWS], data[:MAX_EXAMPLE_ROWS]
    # MLflow reads a missing boolean in an example as False, so its prediction for such a row proves nothing.
    booleans = [at for at, column in enumerate(model.signature.columns) if column.mlflow_type == "boolean"]
    known = [all(row[at] is not None for at in booleans) for row in rows]
    rows, data = [row for row, is_known in zip(rows, known, strict=True) if is_known], data[known]
    return rows, predict(library, data, model)


def _plain(column: Any, sql_type: str) -> list[Any]:
    """Return a column as JSON values. NaN stands for a missing value in every type but FLOAT64."""
    values = column.tolist() if hasattr(column, "tolist") else list(column)
    return [None if _is_missing(value, sql_type) else value for value in values]


def _is_missing(value: Any, sql_type: str) -> bool:
    is_nan = isinstance(value, float) and math.isnan(value)
    return value is pd.NA or value is pd.NaT or (is_nan and sql_type in ("STRING", "INT64", "BOOL"))
