"""The command `bqlocal`: BigQuery SQL and its lint from a terminal.

Results go to stdout, everything else to stderr. Errors print without a traceback and exit with status 1.
"""

import signal
import sys
from pathlib import Path
from typing import TextIO

import click

from bqlocal import command
from bqlocal.lint import find


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """BigQuery SQL on this machine, remote functions included."""
    # Leave through every `with` block, so that no temporary files stay behind.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@main.command()
@click.argument("statements", required=False, default="")
@click.option("--file", type=click.File(encoding="utf-8"), help="Read the statements from a file; - is stdin.")
@click.option(
    "--table", "tables", multiple=True, metavar="DATASET.TABLE=FILE", help="Load a CSV, Parquet or JSON lines file."
)
@click.option(
    "--parameter", "parameters", multiple=True, metavar="NAME:TYPE:VALUE", help="The value of @NAME, or of ?."
)
@click.option("--format", "form", type=click.Choice(command.FORMATS), default="table", show_default=True)
@click.option(
    "--state", type=click.Path(path_type=Path, dir_okay=False), help="Keep tables and functions in this file."
)
@click.option("--adverse", type=int, metavar="SEED", help="Call functions in every way that BigQuery may.")
def sql(
    statements: str,
    file: TextIO | None,
    tables: tuple[str, ...],
    parameters: tuple[str, ...],
    form: str,
    state: Path | None,
    adverse: int | None,
) -> None:
    """Run BigQuery SQL on this machine, remote functions included; print the last statement's rows.

    Without STATEMENTS and --file it asks for them; a statement ends in a semicolon.
    """
    if file and statements:
        raise click.UsageError("Give the statements or --file, not both.")
    command.run(file.read() if file else statements, tables, parameters, form, state, adverse)


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.File(encoding="utf-8"))
@click.option("--function", "functions", multiple=True, required=True, metavar="NAME", help="A remote function.")
def lint(files: tuple[TextIO, ...], functions: tuple[str, ...]) -> None:
    """Show calls of remote functions in SQL files that make queries slow, and the faster form; exit with 1 if any."""
    found = [finding for file in files for finding in find(file.read(), file.name, functions)]
    for finding in found:
        click.echo(finding)
    sys.exit(bool(found))


if __name__ == "__main__":
    main(prog_name="python -m bqlocal")
