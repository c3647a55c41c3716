"""Scores the rows of a file by SQL and HTTP, and by MLflow directly: `python -m local parity`.

The two ways share the rows, the model's files and its environment, and nothing else. MLflow gets rows typed by its own
reading of the signature, and the function gets the SQL that `sql.render` registers. A row with NULL in a required
column has no prediction, so SQL must return NULL for it, unless on_null says otherwise. With a class, predict_proba is
compared too.
"""

import contextlib
import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

from bqlocal import BigQuery
from bqlocal.errors import quantity
from launch.environment import Report
from launch.errors import Blocked
from launch.examine import MODELS_OWN, Examined, Options, examined, predictions, probabilities
from launch.function import Function
from local.rows import load_rows
from parity.compare import Difference, differences, tolerance
from serving.json_type import encode
from sql.names import class_call, predict_call
from sql.render import render
from sql.settings import DEFAULT, SqlSettings, problems

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
    settings: SqlSettings = DEFAULT,
) -> Comparison:
    """Compare the predictions for the rows of a file. Without `endpoint`, start the function for the comparison.

    Raise Blocked for settings that the model doesn't take.
    """
    with examined(model, report, options) as found:
        if reasons := list(problems(settings, found.description.model)):
            raise Blocked(reasons)
        with BigQuery(chaos=chaos) as bigquery, _running(found, endpoint) as url:
            return compare(found, bigquery, table, url, settings)


def compare(
    found: Examined, bigquery: BigQuery, table: Path, endpoint: str, settings: SqlSettings = DEFAULT
) -> Comparison:
    """Compare the predictions of a model's own library with those of the function at `endpoint`."""
    model = found.description.model
    statements = render(
        model, project="local", dataset="parity", connection="us.parity", endpoint=endpoint, settings=settings
    )
    bigquery.sql(statements)
    names, rows = load_rows(bigquery, table, model)
    required = [at for at, column in enumerate(model.signature.columns) if column.required]
    scored = [settings.on_null == "pass" or all(row[at] is not None for at in required) for row in rows]
    given = list(compress(rows, scored))
    params = json.loads(settings.params) if settings.params else None
    compared = [(predict_call(names, "parity"), predictions(found, given, params))]
    if settings.class_label:
        compared.append((class_call(names, "parity"), probabilities(found, given, settings.class_label)))
    differing = []
    for call, (expected, float32) in compared:
        answers = bigquery.sql(f"SELECT {call} AS answer FROM parity.rows AS t").table["answer"].to_pylist()
        remaining = iter(expected)
        wanted = [next(remaining) if is_scored else None for is_scored in scored]
        answers = [_parsed(*pair) for pair in zip(answers, wanted, strict=True)]
        # The emulator splits the rows into batches, as BigQuery does.
        differing += differences(answers, wanted, tolerance(float32=float32, same_batches=False))
    return Comparison(len(rows), scored.count(False), differing)


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
