"""`python -m local`: the demo, the function and BigQuery SQL from a terminal.

Results go to stdout, everything else to stderr. Errors print without a traceback and exit with status 1.
"""

import signal

if __name__ == "__main__":
    # Ctrl-C during the imports, which take seconds, ends the process at once: there is nothing to clean up yet.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
from functools import partial
from pathlib import Path
from typing import TextIO

import click

from bqlocal.cli import lint, sql
from bqlocal.output import FORMATS, show
from launch.examine import Options
from launch.options import environment_options
from launch.processes import exit_on_sigterm
from local import demo as demo_command
from local import logs as log_lines
from local import parity as comparing
from local import up as up_command
from sql.settings import SqlSettings, answer_options


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run BigQuery SQL, Cloud Storage and the function on this machine.

    \b
    Examples:
      python -m local demo
      python -m local up --model demo-output/model
      python -m local sql --table ds.heldout=demo-output/heldout.parquet "SELECT COUNT(*) AS n FROM ds.heldout"
      python -m local parity --model demo-output/model --table demo-output/heldout.parquet
      python -m local logs demo-output/function.log
    """
    exit_on_sigterm()


main.add_command(sql)
main.add_command(lint)


@main.command()
@click.argument("file", type=click.File(encoding="utf-8", errors="replace"))
@click.option(
    "--format",
    "output_format",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="Format of stdout.",
)
@click.option("--cpu", type=click.FloatRange(min=0.08), default=1, show_default=True, help="vCPUs of an instance.")
@click.option("--memory", type=click.FloatRange(min=0.125), default=2, show_default=True, help="Its memory in GiB.")
def logs(file: TextIO, output_format: str, cpu: float, memory: float) -> None:
    """Show what each query cost, from the log in FILE; - is stdin.

    The log is what the function prints, or the output of `gcloud logging read --format=json`.

    \b
    Example:
      python -m local logs demo-output/function.log --cpu 1 --memory 2
    """
    lines = log_lines.read(file)
    show(log_lines.roll_up(lines, cpu, memory), output_format)
    click.echo(f"{lines}.", err=True)


@main.command()
@click.option("--model", required=True, metavar="URI|FOLDER", help="The model: a folder, gs://... or models:/...")
@click.option(
    "--table", required=True, type=click.Path(path_type=Path), help="A CSV, Parquet or JSON lines file of rows."
)
@click.option("--endpoint", metavar="URL", help="A running function; by default one is started here.")
@click.option(
    "--adverse", "chaos", type=int, metavar="SEED", help="Call the function in every way that BigQuery may, at random."
)
@environment_options
@answer_options
def parity(
    model: str, table: Path, endpoint: str | None, chaos: int | None, options: Options, settings: SqlSettings
) -> None:
    """Compare predictions by SQL with MLflow's for the same rows; exit with 1 if any differ.

    With --class, compare the probabilities of that class too.

    \b
    Example:
      python -m local parity --model demo-output/model --table demo-output/heldout.parquet
    """
    comparison = comparing.run(model, table, endpoint, chaos, partial(click.echo, err=True), options, settings)
    click.echo(comparison)
    sys.exit(bool(comparison.differences))


@main.command()
@click.option("--model", required=True, metavar="URI|FOLDER", help="The model: a folder, gs://... or models:/...")
@click.option("--port", type=click.IntRange(1, 65535), help="The function's port; by default a free one.")
@environment_options
def up(model: str, port: int | None, options: Options) -> None:
    """Run the function in the model's environment until Ctrl-C, with Cloud Storage if the model is a folder.

    \b
    Example:
      python -m local up --model demo-output/model --port 8080
    """
    up_command.run(model, port, options)


@main.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default="demo-output",
    show_default=True,
    help="The folder for the model, its SQL functions and the predictions.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=0.5,
    show_default=True,
    help="How long to search for a model.",
)
def demo(output: Path, minutes: float) -> None:
    """Train a model, publish it, serve it, and query it with SQL.

    \b
    Example:
      python -m local demo --minutes 0.5 --output demo-output
    """
    demo_command.run(output, minutes)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(prog_name="python -m local")
