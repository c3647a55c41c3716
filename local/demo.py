"""`make demo`: the whole path on one machine, from training data to predictions in a SQL result.

Every step is the real one: training and the function run as processes, the model goes through a bucket over HTTP, and
the SQL that creates the function is what a deployment would run. Everything started here is stopped here.
"""

import contextlib
import dataclasses
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import click
from rich.console import Console
from rich.table import Table

from bqlocal import BigQuery, Result
from bqlocal.errors import quantity
from launch import kept
from launch.function import ROOT, Function
from launch.processes import ProcessError, end
from local.up import URI, published
from model_loader import load
from sql.names import identifier, predict_call
from sql.render import render
from train.errors import TrainError
from train.output import remove_drafts

PROJECT = "local"
DATASET = "ds"
CONNECTION = "us.remote-models"
DATA = "california"
BUNDLED = "diabetes"  # where DATA can't be downloaded
PRINTED_ROWS = 8


@dataclass(frozen=True)
class Paths:
    """The files that the demo leaves in its output folder."""

    model: Path
    heldout: Path  # rows that training did not see, target included
    statements: Path
    predictions: Path
    log: Path

    @classmethod
    def below(cls, output: Path) -> Self:
        names = ("model", "heldout.parquet", "functions.sql", "predictions.csv", "function.log")
        return cls(*(output / name for name in names))


def run(output: Path, minutes: float) -> None:
    """Train, publish, serve, create the SQL functions, query them, and print the results."""
    console = Console()
    paths = Paths.below(output)
    console.rule("1. Train")
    _train(paths, output, minutes)
    console.rule("2. Publish to the bucket, start the function")
    with published(paths.model) as storage, Function(URI, storage.environment, log=paths.log) as function:
        console.print(f"Model {URI} on {storage.url}, function on {function.url}")
        console.rule("3. Create the SQL functions and query")
        with BigQuery(PROJECT) as bigquery:
            _create_functions(bigquery, paths, function.url, console)
            _query(bigquery, paths, console)
    console.print(_artifacts(paths))


def _train(paths: Paths, output: Path, minutes: float) -> None:
    output = output.resolve()
    options = ["--data", _data(), "--minutes", str(minutes), "--output", str(output)]
    # Not into mlflow.db of this folder, which has the user's own runs.
    _make_folder(output)
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{output / 'mlflow.db'}"}
    # In its own session, so that a Ctrl-C reaches only this process, which then stops the search and its workers.
    process = subprocess.Popen(
        [sys.executable, "-m", "train", *options],
        cwd=ROOT,
        env=os.environ | store,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        status = process.wait()
    finally:
        end(process)
        remove_drafts(output)  # of a search that was killed because it didn't end in time
        with contextlib.suppress(OSError):
            output.rmdir()  # if nothing was written yet
    if status:
        raise ProcessError(f"Training exited with status {status}; its messages are above.")
    for path in (paths.model, paths.heldout):
        if not path.exists():
            raise ProcessError(f"Training did not write {str(path)!r}.")


def _data() -> str:
    """Return DATA, or the bundled data where it can't be downloaded."""
    from train import bundled  # takes seconds

    try:
        bundled.BUNDLED[DATA]()
    except TrainError as error:
        click.echo(f"{error.message} The demo uses scikit-learn's bundled diabetes data instead.", err=True)
        return BUNDLED
    return DATA


def _make_folder(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProcessError(f"--output {str(output)!r} cannot be a folder: {error.strerror}.") from error


def _create_functions(bigquery: BigQuery, paths: Paths, endpoint: str, console: Console) -> None:
    statements = render(
        load(str(paths.model)), project=PROJECT, dataset=DATASET, connection=CONNECTION, endpoint=endpoint
    )
    kept.write(paths.statements, statements)
    first, *others = statements.strip().split("\n\n")
    console.print(first, markup=False, highlight=False, soft_wrap=True)
    console.print(f"... and {quantity(len(others), 'more function')}: {paths.statements}\n")
    bigquery.sql(statements)


def _query(bigquery: BigQuery, paths: Paths, console: Console) -> None:
    bigquery.load(f"{DATASET}.heldout", paths.heldout)
    columns = [column.name for column in load(str(paths.model)).signature.columns]
    call, target = predict_call(columns, DATASET), _target(bigquery, columns)
    started = time.perf_counter()
    bigquery.sql(f"SELECT {call} FROM {DATASET}.heldout AS t LIMIT 1")
    cold_seconds = time.perf_counter() - started
    query = f"SELECT *, {call} AS predicted, {target} AS actual FROM {DATASET}.heldout AS t"
    console.print(f"\n{query}\n", markup=False, highlight=False, soft_wrap=True)
    started = time.perf_counter()
    result = bigquery.sql(query)
    seconds = time.perf_counter() - started
    kept.write(paths.predictions, result.frame.to_csv(index=False))
    bigquery.load(f"{DATASET}.scored", result.table)
    error = bigquery.sql(f"SELECT AVG(ABS(predicted - actual)) AS mae FROM {DATASET}.scored")
    console.print(_rows(result))
    rows = result.table.num_rows
    console.print(f"Mean absolute error over {rows} held-out rows, by SQL: {error.frame['mae'][0]:.4f}")
    console.print(
        f"{rows / seconds:,.0f} rows per second in {quantity(result.calls.requests, 'request')}; "
        f"the first request, which downloads and loads the model, took {cold_seconds:.2f} s"
    )


def _target(bigquery: BigQuery, columns: list[str]) -> str:
    """Return the only column of the held-out rows that is not the model's, as SQL."""
    names = bigquery.sql(f"SELECT * FROM {DATASET}.heldout LIMIT 0").table.column_names
    targets = [name for name in names if name not in columns]
    if len(targets) != 1:
        raise ProcessError(f"The held-out rows must have the model's columns and the target, but also have {targets}.")
    return identifier(targets[0])


def _rows(result: Result) -> Table:
    table = Table("predicted", "actual", "error", title=f"The first {PRINTED_ROWS} of {result.table.num_rows} rows")
    for row in result.table.slice(0, PRINTED_ROWS).to_pylist():
        predicted, actual = row["predicted"], row["actual"]
        table.add_row(f"{predicted:.4f}", f"{actual:.4f}", f"{predicted - actual:+.4f}")
    return table


def _artifacts(paths: Paths) -> Table:
    table = Table("artifact", "path", title="What the demo leaves")
    for name, path in dataclasses.asdict(paths).items():
        table.add_row(name, str(path))
    return table
