"""`python -m local`: BigQuery SQL, the function and the demo from a terminal.

Results go to stdout, everything else to stderr. An error is one sentence and a non-zero exit status.
"""

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
from rich.console import Console
from rich.table import Table

from local import demo as demo_command
from local import up as up_command
from local.bigquery import BigQuery, Result
from local.errors import SourceError


def _ended(number: int, _: FrameType | None) -> NoReturn:
    """Leave through every `with` block, so that nothing stays behind when this process is asked to end."""
    sys.exit(128 + number)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """BigQuery, Cloud Storage and the function, on this machine."""
    signal.signal(signal.SIGTERM, _ended)


@main.command()
@click.argument("statement")
@click.option("--table", "tables", multiple=True, metavar="DATASET.TABLE=FILE", help="Load a CSV or Parquet file.")
def sql(statement: str, tables: tuple[str, ...]) -> None:
    """Run BigQuery SQL on this machine, remote functions included; print the last statement's rows."""
    with BigQuery() as bigquery:
        for table in tables:
            name, equals, path = table.partition("=")
            if not equals:
                raise SourceError(f"--table {table!r} names no file; write DATASET.TABLE=FILE.")
            bigquery.load(name, path)
        result = bigquery.sql(statement)
    _print(result)


@main.command()
@click.option("--model", required=True, metavar="URI|FOLDER", help="The model: a folder, gs://... or models:/...")
@click.option("--port", type=click.IntRange(1, 65535), help="The function's port; by default a free one.")
def up(model: str, port: int | None) -> None:
    """Keep the function running until Ctrl-C, and Cloud Storage with it when the model is a folder."""
    up_command.run(model, port)


@main.command()
@click.option("--output", type=click.Path(path_type=Path), default="demo-output", show_default=True)
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), default=0.5, show_default=True)
def demo(output: Path, minutes: float) -> None:
    """Train a model, publish it, serve it, and query it with SQL."""
    demo_command.run(output, minutes)


def _print(result: Result) -> None:
    if result.table.num_columns:
        shown = Table(*result.table.column_names)
        for row in result.table.to_pylist():
            shown.add_row(*("NULL" if value is None else str(value) for value in row.values()))
        # As wide as the rows need, so that nothing is cut when the output goes into a file.
        console = Console() if sys.stdout.isatty() else Console(width=10_000)
        console.print(shown, markup=False)
    calls = result.calls
    if calls.requests:
        click.echo(
            f"{calls.requests} requests, {calls.rows} rows, {calls.retries} retries, "
            f"{calls.bytes_sent} bytes sent, {calls.bytes_received} received, {calls.seconds:.3f} s",
            err=True,
        )


if __name__ == "__main__":
    main(prog_name="python -m local")
