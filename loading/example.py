"""Reads the input example that MLflow saves beside a model: as a DataFrame, an array, or a dictionary of arrays."""

import contextlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serving.signature import Column, Signature

_NANOSECONDS = re.compile(r"(\.\d{6})\d+")  # BigQuery has microseconds


def read_example(folder: Path, mlmodel: Mapping[str, Any], signature: Signature) -> list[list[Any]]:
    """Return the rows of the example as argument lists; none when there is no example, or one in another form."""
    with contextlib.suppress(Exception):  # anybody may have written the file
        info = mlmodel["saved_input_example_info"]
        saved = json.loads((folder / info["artifact_path"]).read_text())
        if info.get("params"):
            saved = saved["inputs"]
        rows = _of_arrays(saved, signature) if info["type"] == "ndarray" else _of_frame(saved, signature)
        return [[_argument(*pair) for pair in zip(row, signature.columns, strict=True)] for row in rows]
    return []


def _argument(value: Any, column: Column) -> Any:
    """Return a value as BigQuery would send it: MLflow writes what pandas and json make of it."""
    if isinstance(value, float) and math.isnan(value) and column.sql_type != "FLOAT64":
        return None
    if column.mlflow_type == "binary" and isinstance(value, str):
        return "".join(value.split())  # base64 in lines
    if column.mlflow_type == "datetime" and isinstance(value, str):
        return None if value == "NaT" else _NANOSECONDS.sub(r"\1", value)
    return value


def _of_frame(saved: Any, signature: Signature) -> list[list[Any]]:
    names = [column.name for column in signature.columns]
    if "columns" not in saved or signature.tensors:
        return [list(row) for row in saved["data"]]
    order = [[str(column) for column in saved["columns"]].index(name) for name in names]
    return [[row[position] for position in order] for row in saved["data"]]


def _of_arrays(saved: Any, signature: Signature) -> list[list[Any]]:
    if not signature.tensors:
        return [list(row) for row in saved]
    first = signature.tensors[0]
    arrays = saved if isinstance(saved, dict) else {first.name: saved}
    if len(signature.tensors) > 1:
        return [list(row) for row in zip(*(arrays[tensor.name] for tensor in signature.tensors), strict=True)]
    rows = arrays[first.name] if first.name in arrays else arrays["inputs"]  # as MLflow wrote it at first
    return [[row] for row in rows] if first.as_json or not first.shape else [list(row) for row in rows]
