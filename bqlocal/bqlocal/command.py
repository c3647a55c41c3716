"""`python -m local sql`: statements from an argument, a file or a prompt, and their rows in the form asked for.

The rule: stdout holds the rows and nothing else; what the calls cost, and how far they are, goes to stderr.
"""

import contextlib
import json
import os
import readline
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from bqlocal.bigquery import BigQuery, Result
from bqlocal.errors import LocalError, SourceError
from bqlocal.json_values import to_json
from bqlocal.parameters import Parameters, typed

FORMATS = ("table", "csv", "json", "parquet")
LONG = 1.0  # seconds after which a query shows its progress
PROMPT, FURTHER = "sql> ", "...> "


class Bar:
    """A progress bar with rows per second, for queries that take long."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[rate]:>9,.0f} rows/s"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("", rate=0.0)
        self._started = time.monotonic()

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bar for the query in this block, once it has taken long."""
        self._started = time.monotonic()
        try:
            yield
        finally:
            if self._progress.live.is_started:
                self._progress.stop()

    def on_rows(self, done: int, total: int) -> None:
        seconds = time.monotonic() - self._started
        if seconds > LONG and sys.stderr.isatty():
            self._progress.start()
            self._progress.update(self._task, completed=done, total=total, rate=done / seconds)


def run(
    text: str,
    tables: tuple[str, ...],
    parameters: tuple[str, ...],
    form: str,
    state: Path | None,
    adverse: int | None,
) -> None:
    """Run statements, or ask for them when there are none."""
    bar = Bar()
    with BigQuery(state=state, adverse=adverse, on_rows=bar.on_rows) as bigquery:
        for table in tables:
            name, equals, path = table.partition("=")
            if not equals:
                raise SourceError(f"--table {table!r} names no file; write DATASET.TABLE=FILE.")
            bigquery.load(name, path)
        values = _values(parameters)
        if text:
            with bar.shown():
                result = bigquery.sql(text, values)
            show(result, form)
        else:
            _prompt(bigquery, values, form, bar)


def show(result: Result, form: str) -> None:
    """Write the rows to stdout, and to stderr what the remote calls cost."""
    if result.table.num_columns:
        {"table": _table, "csv": _csv, "json": _json, "parquet": _parquet}[form](result.table)
        sys.stdout.flush()
    for name, calls in sorted(result.functions.items()):
        sizes = f"{calls.smallest}" + f" to {calls.largest}" * (calls.largest > calls.smallest)
        click.echo(
            f"{name}: {calls.requests:,} requests of {sizes} rows, {calls.rows:,} rows, {calls.retries:,} retries, "
            f"{calls.bytes_sent:,} bytes sent, {calls.bytes_received:,} received, {calls.seconds:.3f} s",
            err=True,
        )


def _prompt(bigquery: BigQuery, parameters: Parameters, form: str, bar: Bar) -> None:
    """Read statements that end in a semicolon, with the history of earlier sessions."""
    if sys.stdin.isatty():
        history = Path(os.environ.get("XDG_STATE_HOME", "~/.local/state")).expanduser() / "local_sql_history"
        with contextlib.suppress(OSError):
            readline.read_history_file(history)
    for text in _statements():
        try:
            with bar.shown():
                result = bigquery.sql(text, parameters)
            show(result, form)
        except LocalError as error:
            error.show()
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
    if sys.stdin.isatty():
        with contextlib.suppress(OSError):
            history.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(history)


def _statements() -> Iterator[str]:
    """Yield what is typed up to a semicolon at the end of a line, until Ctrl-D; Ctrl-C forgets the lines so far."""
    lines: list[str] = []
    while True:
        try:
            lines.append(input((FURTHER if lines else PROMPT) if sys.stdin.isatty() else ""))
        except KeyboardInterrupt:
            click.echo(err=True)
            lines = []
            continue
        except EOFError:
            if "".join(lines).strip():
                yield "\n".join(lines)
            return
        if lines[-1].rstrip().endswith(";"):
            yield "\n".join(lines)
            lines = []
        elif not "".join(lines).strip():
            lines = []


def _values(parameters: tuple[str, ...]) -> Parameters:
    """Read NAME:TYPE:VALUE, as bq does; without a name they are in order."""
    parts = [parameter.split(":", 2) for parameter in parameters]
    wrong = [parameter for parameter, part in zip(parameters, parts, strict=True) if len(part) != 3]
    if wrong:
        raise SourceError(f"--parameter {wrong[0]!r} has no type and value; write NAME:TYPE:VALUE, as in min:INT64:5.")
    if any(name for name, _, _ in parts):
        return {name: typed(kind, value) for name, kind, value in parts}
    return [typed(kind, value) for _, kind, value in parts]


def _table(table: pa.Table) -> None:
    shown = Table(*table.column_names)
    for row in table.to_pylist():
        shown.add_row(*("NULL" if value is None else str(value) for value in row.values()))
    # As wide as the rows need, so that nothing is cut when the output goes into a file.
    console = Console() if sys.stdout.isatty() else Console(width=10_000)
    console.print(shown, markup=False)


def _csv(table: pa.Table) -> None:
    table.to_pandas().to_csv(sys.stdout, index=False)


def _json(table: pa.Table) -> None:
    """One array of objects; values as in BigQuery's JSON."""
    columns = [to_json(column.combine_chunks()) for column in table.columns]
    names = [json.dumps(name, ensure_ascii=False) for name in table.column_names]
    rows = (", ".join(f"{n}: {v}" for n, v in zip(names, row, strict=True)) for row in zip(*columns, strict=True))
    sys.stdout.write("[" + ",\n ".join(f"{{{row}}}" for row in rows) + "]\n")


def _parquet(table: pa.Table) -> None:
    if sys.stdout.isatty():
        raise SourceError("Parquet is no text: send the output into a file, as in ... --format parquet > rows.parquet.")
    pyarrow.parquet.write_table(table, sys.stdout.buffer)
