"""Scores the rows of a file by SQL and HTTP, and by MLflow directly: `python -m local parity`.

The two ways share the rows and the model's files and nothing else. MLflow gets rows typed by its own reading of the
signature, and the function gets the SQL that `sql.render` registers. A row with NULL in a required column has no
prediction, so SQL must return NULL for it.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd
import pyarrow as pa

from bqlocal import BigQuery, SourceError
from bqlocal.errors import quantity
from launch.function import Function
from loading.source import local_folder
from model_loader import load
from parity.compare import Difference, differences, tolerance
from parity.expected import DTYPES, predict, tensor_input
from serving.errors import ServingError
from serving.signature import Signature
from sql.names import identifier, predict_call
from sql.render import render

MAX_SHOWN = 20  # differences


@dataclass(frozen=True)
class Report:
    """The number of rows compared, how many of them have no prediction because of a NULL, and those that differ."""

    rows: int
    nulls: int
    differences: list[Difference]

    def __str__(self) -> str:
        lines = [f"row {it.row}: {it.answer!r} by SQL, {it.prediction!r} by MLflow" for it in self.differences]
        if len(lines) > MAX_SHOWN:
            lines[MAX_SHOWN:] = [f"... and {len(lines) - MAX_SHOWN} more"]
        mismatches = quantity(len(self.differences), "mismatch", "mismatches")
        lines.append(f"{quantity(self.rows, 'row')} compared: {self.nulls:,} skipped for NULL, {mismatches}")
        return "\n".join(lines)


def run(model: str, table: Path, endpoint: str | None = None, chaos: int | None = None) -> Report:
    """Compare the predictions for the rows of a file. Without `endpoint`, start the function for the comparison."""
    try:
        with local_folder(model) as folder, BigQuery(chaos=chaos) as bigquery, _running(str(folder), endpoint) as url:
            return compare(str(folder), bigquery, table, url)
    except ServingError as error:
        raise SourceError(str(error)) from error


def compare(model: str, bigquery: BigQuery, table: Path, endpoint: str) -> Report:
    """Compare the predictions of the model in a folder with those of the function at `endpoint`."""
    library, served = mlflow.pyfunc.load_model(model), load(model)
    bigquery.sql(render(model, project="local", dataset="parity", connection="us.parity", endpoint=endpoint))
    bigquery.load("parity.loaded", table)
    frame, required = _frame(bigquery, served.signature)
    call = predict_call(list(frame.columns), "parity")
    answers = bigquery.sql(f"SELECT {call} AS predicted FROM parity.rows AS t").table["predicted"].to_pylist()
    complete = frame[required].notna().all(axis=1)
    rows = frame[complete].reset_index(drop=True)
    expected = predict(
        library, tensor_input(served.signature.tensors, rows) if served.signature.tensors else rows, served
    )
    remaining = iter(expected.predictions)
    predictions = [next(remaining) if has_prediction else None for has_prediction in complete]
    answers = [_parsed(*pair) for pair in zip(answers, predictions, strict=True)]
    # The emulator splits the rows into batches, as BigQuery does.
    relative = tolerance(float32=expected.float32, same_batches=False)
    return Report(len(frame), int((~complete).sum()), differences(answers, predictions, relative))


def _parsed(answer: Any, prediction: Any) -> Any:
    """Return an answer as a JSON value; a column of type JSON holds texts."""
    return json.loads(answer) if isinstance(answer, str) and isinstance(prediction, dict | list) else answer


@contextlib.contextmanager
def _running(model: str, endpoint: str | None) -> Iterator[str]:
    if endpoint is not None:
        yield endpoint
        return
    with Function(model) as function:
        yield function.url


def _frame(bigquery: BigQuery, signature: Signature) -> tuple[pd.DataFrame, list[str]]:
    """Return the loaded rows typed as MLflow requires, and the required columns; create the same rows as parity.rows.

    The columns of a tensor have no names in MLflow: they are the table's columns, in order.
    """
    names = bigquery.sql("SELECT * FROM parity.loaded LIMIT 0").table.column_names
    columns = signature.columns
    used = names[: len(columns)] if signature.tensors else [column.name for column in columns]
    missing = sorted({column.name for column in columns} if len(used) < len(columns) else set(used) - set(names))
    if missing:
        raise SourceError(f"The table has no column {missing[0]!r}, which the model needs; it has {', '.join(names)}.")
    selected = []
    for name, column in zip(used, columns, strict=True):
        quoted = identifier(name)
        cast = f"TO_JSON({quoted})" if column.sql_type == "JSON" else f"CAST({quoted} AS {column.sql_type})"
        selected.append(f"{cast} AS {quoted}")
    bigquery.sql(f"CREATE OR REPLACE TABLE parity.rows AS SELECT {', '.join(selected)} FROM parity.loaded")
    table = bigquery.sql("SELECT * FROM parity.rows").table
    dtypes = {} if signature.tensors else DTYPES
    frame = pd.DataFrame(
        {
            name: _typed(table[name], dtypes.get(column.mlflow_type), is_json=column.sql_type == "JSON")
            for name, column in zip(used, columns, strict=True)
        }
    )
    return frame, [name for name, column in zip(used, columns, strict=True) if column.required]


def _typed(column: pa.ChunkedArray, dtypes: tuple[str, str] | None, *, is_json: bool) -> pd.Series:
    """Return a column with the first of the dtypes, or with the second if it has NULLs."""
    if is_json:
        return pd.Series([value and json.loads(value) for value in column.to_pylist()], dtype=object)
    if dtypes is None:
        return pd.Series(column.to_pylist())
    dtype, nullable = dtypes
    if dtype == "object":
        return pd.Series(column.to_pylist(), dtype=object)
    if dtype.startswith("datetime64"):
        column = column.cast(pa.timestamp("us"))
    return pd.Series(column.to_pylist()).astype(nullable if column.null_count else dtype)
