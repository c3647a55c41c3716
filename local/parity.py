"""Scores the rows of a file by SQL and HTTP, and by MLflow directly: `python -m local parity`.

The two ways share the rows, the model's files and its environment, and nothing else. MLflow gets rows typed by its own
reading of the signature, and the function gets the SQL that `sql.render` registers. A row with NULL in a required
column has no prediction, so SQL must return NULL for it.
"""

import contextlib
import datetime
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

from bqlocal import BigQuery, SourceError
from bqlocal.errors import quantity
from launch.environment import Report
from launch.examine import MODELS_OWN, Examined, Options, examined, predictions
from launch.function import Function
from local.rows import reading_for
from parity.compare import Difference, differences, tolerance
from serving.json_type import encode
from serving.signature import Signature
from sql.names import identifier, predict_call
from sql.render import render

MAX_SHOWN = 20  # differences


@dataclass(frozen=True)
class Comparison:
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


def run(
    model: str,
    table: Path,
    endpoint: str | None = None,
    chaos: int | None = None,
    report: Report = lambda _: None,
    options: Options = MODELS_OWN,
) -> Comparison:
    """Compare the predictions for the rows of a file. Without `endpoint`, start the function for the comparison."""
    with (
        examined(model, report, options) as found,
        BigQuery(chaos=chaos) as bigquery,
        _running(found, endpoint) as url,
    ):
        return compare(found, bigquery, table, url)


def compare(found: Examined, bigquery: BigQuery, table: Path, endpoint: str) -> Comparison:
    """Compare the predictions of a model's own library with those of the function at `endpoint`."""
    model = found.description.model
    bigquery.sql(render(model, project="local", dataset="parity", connection="us.parity", endpoint=endpoint))
    bigquery.load("parity.loaded", table, reading_for(model))
    names, rows = _rows(bigquery, model.signature)
    call = predict_call(names, "parity")
    answers = bigquery.sql(f"SELECT {call} AS predicted FROM parity.rows AS t").table["predicted"].to_pylist()
    required = [at for at, column in enumerate(model.signature.columns) if column.required]
    complete = [all(row[at] is not None for at in required) for row in rows]
    expected, float32 = predictions(found, list(compress(rows, complete)))
    remaining = iter(expected)
    predicted = [next(remaining) if is_complete else None for is_complete in complete]
    answers = [_parsed(*pair) for pair in zip(answers, predicted, strict=True)]
    # The emulator splits the rows into batches, as BigQuery does.
    relative = tolerance(float32=float32, same_batches=False)
    return Comparison(len(rows), complete.count(False), differences(answers, predicted, relative))


def _parsed(answer: Any, prediction: Any) -> Any:
    """Return an answer as a JSON value; a column of type JSON holds texts."""
    if isinstance(answer, bytes | datetime.datetime):
        return encode(answer)
    return json.loads(answer) if isinstance(answer, str) and isinstance(prediction, dict | list) else answer


@contextlib.contextmanager
def _running(found: Examined, endpoint: str | None) -> Iterator[str]:
    if endpoint is not None:
        yield endpoint
        return
    with Function(str(found.folder), found.description.settings, python=found.environment.python) as function:
        yield function.url


def _rows(bigquery: BigQuery, signature: Signature) -> tuple[list[str], Sequence[Sequence[Any]]]:
    """Return the names of the columns that the model needs, and the loaded rows; create the same rows as parity.rows.

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
    values = [
        [value and json.loads(value) for value in table[name].to_pylist()]
        if column.sql_type == "JSON"
        else table[name].to_pylist()
        for name, column in zip(used, columns, strict=True)
    ]
    return used, list(zip(*values, strict=True))
