"""The predictions that SQL must return: those of MLflow, which shares no code with the function."""

import base64
import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from launch.own_library import load_library
from serving.model import Model
from serving.signature import Column, Tensor

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


def predict(library: Any, rows: Any, model: Model, params: Mapping[str, Any] | None = None) -> Expected:
    """Return the predictions for rows with MLflow's dtypes, an array, or a dictionary of arrays.

    `model` is the same one as the function serves it; it tells what stands for a missing text, whether the texts go to
    the model as a Series, which MLflow can't do, and where NaN means that an integer is missing. Several outputs become
    one object per row.
    """
    if not len(rows):
        return Expected([])
    if isinstance(rows, pd.DataFrame):
        rows = _with_missing_texts(rows, model)
    if model.form.kind == "series":
        result = library.get_raw_model().predict(rows.iloc[:, 0])
    else:
        with _accepting_missing(library, rows):
            result = library.predict(rows, params=params) if params else library.predict(rows)
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


@contextlib.contextmanager
def _accepting_missing(library: Any, rows: Any) -> Iterator[None]:
    """Let the model itself see a missing integer or boolean, which MLflow refuses even in an optional column."""
    nullable = [str(it) in ("Int32", "Int64", "boolean") for it in getattr(rows, "dtypes", ())]
    signature = library.metadata.signature if any(nullable) and rows.loc[:, nullable].isna().to_numpy().any() else None
    if signature is None:
        yield
        return
    inputs, signature.inputs = signature.inputs, None
    try:
        yield
    finally:
        signature.inputs = inputs


def _columns(result: Any) -> tuple[list[str], list[Any]]:
    """Return the names and the columns of a result, in the order of the rows that were given."""
    if isinstance(result, pd.DataFrame | pd.Series) and sorted(result.index) == list(range(len(result))):
        result = result.sort_index()
    if isinstance(result, pd.DataFrame):
        return [str(name) for name in result.columns], [result.iloc[:, at] for at in range(result.shape[1])]
    if isinstance(result, dict):
        # An array with one column is one number per row, and with several, such as probabilities, one list per row.
        columns = [column.ravel() if getattr(column, "shape", ())[1:] == (1,) else column for column in result.values()]
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


def predict_rows(
    library: Any, rows: Sequence[Sequence[Any]], model: Model, params: Mapping[str, Any] | None = None
) -> Expected:
    """Return the predictions for rows of arguments: JSON values, or Python's own for timestamps and bytes.

    `params` are inference parameters, as MLflow hands them to the model.
    """
    if not rows:
        return Expected([])
    if model.signature.tensors:
        tensors = tensor_input(model.signature.tensors, pd.DataFrame(rows, dtype=object))
        return predict(library, tensors, model, params)
    frame = frame_of(rows, model)
    # A model that was fitted on an array, and saved without a signature, knows no names.
    return predict(library, frame if model.signature.named else frame.to_numpy(), model, params)


def class_probabilities(library: Any, rows: Sequence[Sequence[Any]], model: Model, label: str) -> Expected:
    """Return the probability of one class for each row of arguments, as the estimator's own predict_proba gives it."""
    if not rows:
        return Expected([])
    frame = frame_of(rows, model)
    data = frame.iloc[:, 0] if model.form.kind == "series" else frame if model.signature.named else frame.to_numpy()
    table = np.asarray(library.get_raw_model().predict_proba(data))
    column = table[:, [str(known) for known in model.classes].index(label)]
    return Expected(column.tolist(), column.dtype == np.float32)


def frame_of(rows: Sequence[Sequence[Any]], model: Model) -> pd.DataFrame:
    """Return rows of arguments as a DataFrame with MLflow's dtypes."""
    columns = model.signature.columns
    series = [_typed(list(values), column) for values, column in zip(zip(*rows, strict=True), columns, strict=True)]
    frame = pd.concat(series, axis=1) if series else pd.DataFrame(columns=range(len(columns)))
    frame.columns = model.signature.labels
    return _with_missing_texts(frame, model)


def portable(frame: pd.DataFrame) -> list[list[Any]] | None:
    """Return a label, a dtype and JSON values for each column, from which any pandas can make it; None for bytes."""
    columns = []
    for at, label in enumerate(frame.columns):
        column = frame.iloc[:, at]
        dtype = str(column.dtype)
        values = column.astype("int64").tolist() if dtype.startswith("datetime64") else column.tolist()
        if any(isinstance(value, bytes) for value in values):
            return None
        columns.append([label, dtype, [None if value is pd.NA else value for value in values]])
    return columns


def _typed(values: list[Any], column: Column) -> pd.Series:
    """Return a column with the dtype that MLflow requires."""
    required, nullable = DTYPES.get(column.mlflow_type, ("object", "object"))
    if column.mlflow_type == "datetime":
        return (
            pd.Series(pd.to_datetime(pd.Series(values, dtype=object), utc=True)).dt.tz_localize(None).astype(required)
        )
    if column.mlflow_type == "binary":
        values = [base64.b64decode(value) if isinstance(value, str) else value for value in values]
    missing = any(value is None for value in values)
    return pd.Series(values, dtype=object).astype(nullable if missing else required)


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
    library = load_library(str(folder))
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
    if getattr(getattr(column, "dtype", None), "kind", "") == "M":
        column = list(column)  # NumPy's tolist() makes integers of nanoseconds
    values = column.tolist() if hasattr(column, "tolist") else list(column)
    return [None if _is_missing(value, sql_type) else value for value in values]


def _is_missing(value: Any, sql_type: str) -> bool:
    is_nan = isinstance(value, float) and math.isnan(value)
    return value is pd.NA or value is pd.NaT or (is_nan and sql_type in ("STRING", "INT64", "BOOL"))
