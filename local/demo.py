"""`make demo`: the main job on one machine, from training data to predictions in a SQL result.

Every step is the real one: training and the function are processes of their own, the model goes through a
bucket over HTTP, and the SQL that registers the function is what a deployment would run. What is started here
is ended here.
"""

import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bqlocal.bigquery import BigQuery, Result
from rich.console import Console
from rich.table import Table

from launch.function import ROOT, Function
from launch.processes import ProcessError, end
from local.up import URI, published
from model_loader import load
from sql.names import identifier
from sql.render import render

PROJECT = "local"
DATASET = "ds"
CONNECTION = "us.remote-models"
DATA = "california"
MODEL = "model"  # what training leaves in its output folder
HELDOUT = "heldout.parquet"  # the rows that training did not see, target included
SHOWN = 8  # rows of the printed table


@dataclass(frozen=True)
class Paths:
    """Where each artifact lies."""

    output: Path

    @property
    def model(self) -> Path:
        return self.output / MODEL

    @property
    def heldout(self) -> Path:
        return self.output / HELDOUT

    @property
    def statements(self) -> Path:
        return self.output / "functions.sql"

    @property
    def log(self) -> Path:
        return self.output / "function.log"

    @property
    def predictions(self) -> Path:
        return self.output / "predictions.csv"


def run(output: Path, minutes: float) -> None:
    """Train, publish, serve, register, query; print what came out."""
    console = Console()
    paths = Paths(output)
    console.rule("1. Train")
    _train(paths, minutes)
    console.rule("2. Publish to the bucket, start the function")
    with published(paths.model) as storage, Function(URI, storage.environment, log=paths.log) as function:
        console.print(f"Model {URI} on {storage.url}, function on {function.url}")
        console.rule("3. Register and query with SQL")
        with BigQuery(PROJECT) as bigquery:
            _register(bigquery, paths, function.url, console)
            _query(bigquery, paths, console)
    console.print(_artifacts(paths))


def _train(paths: Paths, minutes: float) -> None:
    options = ["--data", DATA, "--minutes", str(minutes), "--output", str(paths.output.resolve())]
    # A session of its own: a Ctrl-C reaches us alone, and we end the search with all its workers.
    process = subprocess.Popen(
        [sys.executable, "-m", "train", *options], cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        status = process.wait()
    finally:
        end(process, ask=signal.SIGINT)  # a Ctrl-C lets the search take its unfinished files away
    if status:
        raise ProcessError(f"Training ended with status {status}; what it said stands above.")
    for path in (paths.model, paths.heldout):
        if not path.exists():
            raise ProcessError(f"Training left no {str(path)!r}.")


def _register(bigquery: BigQuery, paths: Paths, endpoint: str, console: Console) -> None:
    statements = render(str(paths.model), project=PROJECT, dataset=DATASET, connection=CONNECTION, endpoint=endpoint)
    paths.statements.write_text(statements, encoding="utf-8")
    first, *others = statements.strip().split("\n\n")
    console.print(first, markup=False, highlight=False, soft_wrap=True)
    console.print(f"... and {len(others)} more functions: {paths.statements}\n")
    bigquery.sql(statements)


def _query(bigquery: BigQuery, paths: Paths, console: Console) -> None:
    bigquery.load(f"{DATASET}.heldout", paths.heldout)
    names = [column.name for column in load(str(paths.model)).signature.columns]
    call, target = _call_and_target(bigquery, names)
    cold = time.perf_counter()
    bigquery.sql(f"SELECT {call} FROM {DATASET}.heldout LIMIT 1")
    cold = time.perf_counter() - cold
    query = f"SELECT *, {call} AS predicted, {target} AS actual FROM {DATASET}.heldout"
    console.print(f"\n{query}\n", markup=False, highlight=False, soft_wrap=True)
    started = time.perf_counter()
    result = bigquery.sql(query)
    seconds = time.perf_counter() - started
    result.frame.to_csv(paths.predictions, index=False)
    bigquery.load(f"{DATASET}.scored", result.table)
    error = bigquery.sql(f"SELECT AVG(ABS(predicted - actual)) AS mae FROM {DATASET}.scored")
    console.print(_rows(result))
    rows = result.table.num_rows
    console.print(f"Mean absolute error over {rows} held-out rows, by SQL: {error.frame['mae'][0]:.4f}")
    console.print(
        f"{rows / seconds:,.0f} rows per second in {result.calls.requests} requests; "
        f"the first reply of all, the model's download included, took {cold:.2f} s"
    )


def _call_and_target(bigquery: BigQuery, names: list[str]) -> tuple[str, str]:
    """Return the SQL that calls the function on the model's columns, and the one column besides them."""
    held_out = bigquery.sql(f"SELECT * FROM {DATASET}.heldout LIMIT 0").table.column_names
    targets = [name for name in held_out if name not in names]
    if len(targets) != 1:
        raise ProcessError(f"{HELDOUT} should hold the model's columns and the target; it also holds {targets}.")
    return f"{DATASET}.predict({', '.join(map(identifier, names))})", identifier(targets[0])


def _rows(result: Result) -> Table:
    table = Table("predicted", "actual", "error", title=f"The first {SHOWN} of {result.table.num_rows} rows")
    for row in result.table.slice(0, SHOWN).to_pylist():
        predicted, actual = row["predicted"], row["actual"]
        table.add_row(f"{predicted:.4f}", f"{actual:.4f}", f"{predicted - actual:+.4f}")
    return table


def _artifacts(paths: Paths) -> Table:
    table = Table("artifact", "where", title="What is left")
    for name in ("model", "heldout", "statements", "predictions", "log"):
        table.add_row(name, str(getattr(paths, name)))
    return table
