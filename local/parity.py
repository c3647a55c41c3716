"""The same rows through SQL and HTTP, and through MLflow directly: `python -m local parity`.

The rule: the two ways share the rows and the model's files and nothing else. What MLflow is given is typed by
MLflow's own reading of the signature; what the function is asked is the SQL that `sql.render` registers. A row with
NULL in a required column has no prediction, and its value in SQL must be NULL.
"""

import contextlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow as pa
from bqlocal.bigquery import BigQuery
from bqlocal.errors import SourceError

from launch.function import Function
from loading.source import fetched
from serving.errors import ServingError
from sql.names import identifier, predict_call
from sql.render import render

# MLflow type -> (the SQL type of the argument, the dtype that MLflow's check wants, and the one where NULLs may be).
_TYPES = {
    "boolean": ("BOOL", "bool", "boolean"),
    "integer": ("INT64", "int32", "Int32"),
    "long": ("INT64", "int64", "Int64"),
    "float": ("FLOAT64", "float32", "float32"),
    "double": ("FLOAT64", "float64", "float64"),
    "string": ("STRING", "object", "object"),
    "datetime": ("TIMESTAMP", "datetime64[ns]", "datetime64[ns]"),
}
CLOSE = {np.dtype("float32"): 1e-6}  # relative; sums may be added up in another order for another batch
CLOSE_ELSE = 1e-9
SHOWN = 20  # differences


@dataclass(frozen=True)
class Report:
    """What was compared, and the rows that differ: (row from 0, by SQL, by MLflow)."""

    rows: int
    nulls: int
    differences: list[tuple[int, Any, Any]]

    def __str__(self) -> str:
        lines = [f"row {row}: {sql!r} by SQL, {direct!r} by MLflow" for row, sql, direct in self.differences[:SHOWN]]
        if len(self.differences) > SHOWN:
            lines.append(f"... and {len(self.differences) - SHOWN} more")
        lines.append(f"{self.rows} rows, {self.nulls} of them NULL for a NULL, {len(self.differences)} differ")
        return "\n".join(lines)


def run(model: str, table: Path, endpoint: str | None = None, adverse: int | None = None) -> Report:
    """Compare the predictions for the rows of a file; without `endpoint` the function is started for it."""
    try:
        with fetched(model) as folder, BigQuery(adverse=adverse) as bigquery, _running(str(folder), endpoint) as url:
            return compare(str(folder), bigquery, table, url)
    except ServingError as error:
        raise SourceError(str(error)) from error


def compare(model: str, bigquery: BigQuery, table: Path, endpoint: str) -> Report:
    """Compare the predictions of a model's folder with those of the function at `endpoint`."""
    direct = mlflow.pyfunc.load_model(model)
    bigquery.sql(render(model, project="local", dataset="parity", connection="us.parity", endpoint=endpoint))
    bigquery.load("parity.loaded", table)
    schema = direct.metadata.signature.inputs
    frame, required = _frame(bigquery, schema)
    call = predict_call(list(frame.columns), "parity")
    by_sql = bigquery.sql(f"SELECT {call} AS predicted FROM parity.rows AS t").table["predicted"].to_pylist()
    complete = frame[required].notna().all(axis=1)
    rows = frame[complete].reset_index(drop=True)
    predicted = direct.predict(rows.to_numpy() if schema.is_tensor_spec() else rows) if len(rows) else []
    outputs = direct.metadata.signature.outputs
    values = iter(_rows(predicted, outputs.input_names() if outputs and outputs.has_input_names() else []))
    expected = [next(values) if whole else (None, 0.0) for whole in complete]
    different = [
        (row, sql, direct)
        for row, (sql, (direct, close)) in enumerate(zip(by_sql, expected, strict=True))
        if not _same(sql, direct, close)
    ]
    return Report(len(frame), int((~complete).sum()), different)


@contextlib.contextmanager
def _running(model: str, endpoint: str | None) -> Iterator[str]:
    if endpoint is not None:
        yield endpoint
        return
    with Function(model) as function:
        yield function.url


def _frame(bigquery: BigQuery, schema: Any) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows as MLflow wants them, and the required columns; leave the same rows as the table parity.rows."""
    names = bigquery.sql("SELECT * FROM parity.loaded LIMIT 0").table.column_names
    if schema.is_tensor_spec():
        columns = [(name, schema.inputs[0].type.name, True) for name in names[: schema.inputs[0].shape[-1]]]
        types = {name: ("FLOAT64", kind, kind) for name, kind, _ in columns}
    else:
        columns = [(spec.name, getattr(spec.type, "name", "json"), spec.required) for spec in schema.inputs]
        types = {name: _TYPES[kind] for name, kind, _ in columns if kind in _TYPES}
    missing = sorted({name for name, _, _ in columns} - set(names))
    if missing:
        raise SourceError(f"The table has no column {missing[0]!r}, which the model needs; it has {', '.join(names)}.")
    selected = []
    for name, kind, _ in columns:
        quoted = identifier(name)
        cast = f"CAST({quoted} AS {types[name][0]})" if name in types else quoted
        selected.append(f"{f'TO_JSON({quoted})' if kind == 'json' else cast} AS {quoted}")
    table = bigquery.sql(f"CREATE OR REPLACE TABLE parity.rows AS SELECT {', '.join(selected)} FROM parity.loaded")
    table = bigquery.sql("SELECT * FROM parity.rows").table
    frame = pd.DataFrame({name: _typed(table[name], *types.get(name, ("JSON", "", ""))) for name, _, _ in columns})
    return frame, [name for name, _, required in columns if required]


def _typed(column: pa.ChunkedArray, sql_type: str, dtype: str, nullable: str) -> pd.Series:
    if sql_type == "JSON":
        return pd.Series([value and json.loads(value) for value in column.to_pylist()], dtype=object)
    if sql_type == "TIMESTAMP":
        column = column.cast(pa.timestamp("us"))
    if sql_type == "STRING":
        return pd.Series(column.to_pylist(), dtype=object)
    return pd.Series(column.to_pylist()).astype(nullable if column.null_count else dtype)


def _rows(predicted: Any, names: list[str]) -> list[tuple[Any, float]]:
    """Return each row's prediction as plain values, and how close SQL must come."""
    if isinstance(predicted, pd.DataFrame):
        names, close = list(predicted.columns), max(CLOSE.get(dtype, CLOSE_ELSE) for dtype in predicted.dtypes)
        rows = predicted.to_numpy(dtype=object).tolist()
    else:
        values = np.asarray(predicted)
        close = CLOSE.get(values.dtype, CLOSE_ELSE)
        rows = values.reshape(len(values), -1).tolist()
    several = len(names) > 1
    return [
        (dict(zip(names, row, strict=True)) if several else row[0] if len(row) == 1 else row, close) for row in rows
    ]


def _same(sql: Any, direct: Any, close: float) -> bool:
    if isinstance(sql, str) and isinstance(direct, dict | list):
        return _same(json.loads(sql), direct, close)
    if isinstance(sql, dict) and isinstance(direct, dict):
        return sql.keys() == direct.keys() and all(_same(sql[key], direct[key], close) for key in sql)
    if isinstance(sql, list) and isinstance(direct, list):
        return len(sql) == len(direct) and all(_same(*pair, close) for pair in zip(sql, direct, strict=True))
    if isinstance(direct, float) and isinstance(sql, int | float):
        return math.isclose(sql, direct, rel_tol=close) or (math.isnan(sql) and math.isnan(direct))
    return bool(sql == direct)
