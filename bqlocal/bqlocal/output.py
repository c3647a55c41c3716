"""Prints the rows of a query to stdout in one of `FORMATS`, and what its remote calls cost to stderr."""

import json
import sys

import click
import pyarrow as pa
import pyarrow.parquet
from rich.console import Console
from rich.table import Table

from bqlocal.bigquery import Result
from bqlocal.errors import BqlocalError, quantity
from bqlocal.json_values import to_json


def show(result: Result, output_format: str) -> None:
    """Print a result; stdout gets the rows and nothing else."""
    if result.table.num_columns:
        _WRITERS[output_format](result.table)
        sys.stdout.flush()
    for name, calls in sorted(result.functions.items()):
        sizes = f"{calls.smallest:,} to " * (calls.largest > calls.smallest) + quantity(calls.largest, "row")
        click.echo(
            f"{name}: {quantity(calls.requests, 'request')} of {sizes}, {quantity(calls.rows, 'row')}, "
            f"{quantity(calls.retries, 'retry', 'retries')}, "
            f"{calls.bytes_sent:,} bytes sent, {calls.bytes_received:,} received, {calls.seconds:.3f} s",
            err=True,
        )


def _table(table: pa.Table) -> None:
    rows = Table(*table.column_names)
    for row in table.to_pylist():
        rows.add_row(*("NULL" if value is None else str(value) for value in row.values()))
    # In a file, lines are as long as the rows need.
    console = Console() if sys.stdout.isatty() else Console(width=10_000)
    console.print(rows, markup=False)


def _csv(table: pa.Table) -> None:
    table.to_pandas().to_csv(sys.stdout, index=False)


def _json(table: pa.Table) -> None:
    """Write one array of objects, with values as BigQuery's TO_JSON writes them."""
    columns = [to_json(column.combine_chunks()) for column in table.columns]
    names = [json.dumps(name, ensure_ascii=False) for name in table.column_names]
    rows = (", ".join(f"{n}: {v}" for n, v in zip(names, row, strict=True)) for row in zip(*columns, strict=True))
    sys.stdout.write("[" + ",\n ".join(f"{{{row}}}" for row in rows) + "]\n")


def _parquet(table: pa.Table) -> None:
    if sys.stdout.isatty():
        raise BqlocalError("Parquet is a binary format; redirect it, as in ... --format parquet > rows.parquet.")
    pyarrow.parquet.write_table(table, sys.stdout.buffer)


_WRITERS = {"table": _table, "csv": _csv, "json": _json, "parquet": _parquet}
FORMATS = tuple(_WRITERS)
