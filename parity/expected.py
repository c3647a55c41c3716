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


def predict(model: mlflow.pyfunc.PyFuncModel, rows: pd.DataFrame | np.ndarray[Any, Any]) -> Expected:
    """Return the predictions for rows with MLflow's dtypes. Several outputs become one object per row."""
    if not len(rows):
        return Expected([])
    result = model.predict(rows)
    outputs = model.metadata.signature.outputs if model.metadata.signature else None
    names = outputs.input_names() if outputs and outputs.has_input_names() else []
    if isinstance(result, pd.DataFrame):
        names, columns = [str(name) for name in result.columns], [result.iloc[:, at] for at in range(result.shape[1])]
    elif isinstance(result, np.ndarray) and result.ndim == 2:
        columns = list(result.T)
    else:
        columns = [result]
    if len(names) != len(columns):
        names = [str(at) for at in range(len(columns))]
    float32 = any(getattr(column, "dtype", None) == np.float32 for column in columns)
    values = [_plain(column) for column in columns]
    if len(values) == 1:
        return Expected(values[0], float32)
    return Expected([dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)], float32)


def input_example(folder: Path, model: Model) -> tuple[Sequence[Sequence[Any]], Expected]:
    """Return the first rows of a model's input example as argument lists, and the predictions for them.

    Both are empty if the example is neither a DataFrame nor an array.
    """
    library = mlflow.pyfunc.load_model(str(folder))
    data = library.metadata.load_input_example(str(folder))
    if not isinstance(data, pd.DataFrame | np.ndarray):
        return [], Expected([])
    rows, data = model.example[:MAX_EXAMPLE_ROWS], data[:MAX_EXAMPLE_ROWS]
    # MLflow reads a missing boolean in an example as False, so its prediction for such a row proves nothing.
    booleans = [at for at, column in enumerate(model.signature.columns) if column.mlflow_type == "boolean"]
    known = [all(row[at] is not None for at in booleans) for row in rows]
    rows, data = [row for row, is_known in zip(rows, known, strict=True) if is_known], data[known]
    return rows, predict(library, data)


def _plain(column: Any) -> list[Any]:
    """Return a column as JSON values. In a column of strings, pandas writes NaN for a missing one."""
    values = column.tolist() if hasattr(column, "tolist") else list(column)
    strings = any(isinstance(value, str) for value in values)
    return [None if _is_missing(value, strings) else value for value in values]


def _is_missing(value: Any, strings: bool) -> bool:
    return value is pd.NA or value is pd.NaT or (strings and isinstance(value, float) and math.isnan(value))
