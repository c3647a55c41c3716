"""The command `bqlocal`: runs and checks BigQuery SQL from a terminal.

Results go to stdout, everything else to stderr. Errors print without a traceback and exit with status 1.
"""

import signal
import sys
from pathlib import Path
from typing import TextIO

import click

from bqlocal import prompt
from bqlocal.bigquery import BigQuery
from bqlocal.errors import BqlocalError
from bqlocal.lint import find
from bqlocal.output import FORMATS, show
from bqlocal.parameters import Parameters, typed_literal
from bqlocal.progress import ProgressBar
from bqlocal.tables.reading import HELP, Reading


class _Command(click.Command):
    """A command whose examples name the program that it is part of, since other programs may add it to theirs."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        start = len(formatter.buffer)
        super().format_help_text(ctx, formatter)
        formatter.buffer[start:] = [
            text.replace(f"bqlocal {self.name}", ctx.command_path) for text in formatter.buffer[start:]
        ]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bqlocal")
def main() -> None:
    """Run BigQuery SQL on this machine, remote functions included.

    \b
    Examples:
      bqlocal sql "SELECT 1 AS one"
      bqlocal sql --table shop.orders=orders.csv --file functions.sql
      bqlocal lint report.sql --function shop.predict
    """
    # Leave through every `with` block, so that no temporary files are left behind.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@main.command(cls=_Command)
@click.argument("statements", required=False, default="")
@click.option("--file", type=click.File(encoding="utf-8"), help="Run the statements of this file first; - is stdin.")
@click.option(
    "--table",
    "tables",
    multiple=True,
    metavar="DATASET.TABLE=FILE",
    help="Load a CSV, TSV, Parquet or JSON lines file as a table; repeatable.",
)
@click.option("--read", "read_options", multiple=True, metavar="OPTION=VALUE", help=HELP)
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME:TYPE:VALUE",
    help="The value of @NAME, or of the next ? where NAME is empty; repeatable.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="How to print the rows.",
)
@click.option(
    "--state", type=click.Path(path_type=Path, dir_okay=False), help="Keep tables and functions in this file."
)
@click.option(
    "--adverse",
    "chaos",
    type=int,
    metavar="SEED",
    help="Call functions in every way that BigQuery reserves the right to: random batches, duplicates, out of order.",
)
def sql(
    statements: str,
    file: TextIO | None,
    tables: tuple[str, ...],
    read_options: tuple[str, ...],
    parameters: tuple[str, ...],
    output_format: str,
    state: Path | None,
    chaos: int | None,
) -> None:
    """Run the statements of --file, then STATEMENTS, and print the rows of the last one.

    Without both, prompt for statements, which end in a semicolon.

    \b
    Examples:
      bqlocal sql "SELECT COUNT(*) AS n FROM shop.orders" --table shop.orders=orders.csv
      bqlocal sql "SELECT shop.predict(1.5) AS price" --file functions.sql
      bqlocal sql --file report.sql --parameter least:FLOAT64:2.5 --format json > rows.json
      bqlocal sql --state session.db
    """
    values = _parameters(parameters)
    reading = Reading.parse(read_options)
    texts = ([file.read()] if file else []) + ([statements] if statements else [])
    bar = ProgressBar()
    with BigQuery(state=state, chaos=chaos, on_rows=bar.on_rows) as bigquery:
        for table in tables:
            name, equals, path = table.partition("=")
            if not equals:
                raise BqlocalError(f"--table {table!r} names no file; write DATASET.TABLE=FILE.")
            for note in bigquery.load(name, path, reading):
                click.echo(f"{path}: {note}", err=True)
        for text in texts:
            with bar.watching():
                result = bigquery.sql(text, values)
        if texts:
            show(result, output_format)
        else:
            _run_prompt(bigquery, values, output_format, bar)


@main.command(cls=_Command)
@click.argument("files", nargs=-1, required=True, type=click.File(encoding="utf-8"))
@click.option(
    "--function", "functions", multiple=True, required=True, metavar="NAME", help="A remote function; repeatable."
)
def lint(files: tuple[TextIO, ...], functions: tuple[str, ...]) -> None:
    """Find calls of remote functions in SQL FILES that make queries slow, and show a faster form.

    Exits with status 1 if there are any.

    \b
    Example:
      bqlocal lint report.sql --function shop.predict
    """
    findings = [finding for file in files for finding in find(file.read(), file.name, functions)]
    for finding in findings:
        click.echo(finding)
    sys.exit(bool(findings))


def _parameters(parameters: tuple[str, ...]) -> Parameters:
    """Read NAME:TYPE:VALUE, as `bq query --parameter` does; values without a name are positional."""
    parts = [parameter.split(":", 2) for parameter in parameters]
    wrong = [parameter for parameter, part in zip(parameters, parts, strict=True) if len(part) != 3]
    if wrong:
        raise BqlocalError(f"--parameter {wrong[0]!r} has no type and value; write NAME:TYPE:VALUE, as in min:INT64:5.")
    if any(name for name, _, _ in parts):
        return {name: typed_literal(sql_type, value) for name, sql_type, value in parts}
    return [typed_literal(sql_type, value) for _, sql_type, value in parts]


def _run_prompt(bigquery: BigQuery, parameters: Parameters, output_format: str, bar: ProgressBar) -> None:
    """Run what is typed; an error does not end the session."""
    with prompt.history():
        for text in prompt.statements():
            try:
                with bar.watching():
                    result = bigquery.sql(text, parameters)
                show(result, output_format)
            except BqlocalError as error:
                error.show()
            except KeyboardInterrupt:
                click.echo("Interrupted.", err=True)
