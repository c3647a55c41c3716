"""`python -m local`: BigQuery SQL, the function and the demo from a terminal.

Results go to stdout, everything else to stderr. An error is one sentence and a non-zero exit status.
"""

import sys
from pathlib import Path
from typing import TextIO

import click
from bqlocal.cli import lint, sql
from bqlocal.output import FORMATS, show

from launch.processes import ended_by_sigterm
from local import demo as demo_command
from local import logs as log_lines
from local import up as up_command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """BigQuery, Cloud Storage and the function, on this machine."""
    ended_by_sigterm()


main.add_command(sql)
main.add_command(lint)


@main.command()
@click.argument("file", type=click.File(encoding="utf-8", errors="replace"))
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("--cpu", type=click.FloatRange(min=0.08), default=1, show_default=True, help="vCPUs of an instance.")
@click.option("--memory", type=click.FloatRange(min=0.125), default=2, show_default=True, help="Its memory in GiB.")
def logs(file: TextIO, form: str, cpu: float, memory: float) -> None:
    """Show what each query cost, from the function's log lines or Cloud Logging's entries in FILE; - is stdin."""
    lines = log_lines.read(file)
    show(log_lines.roll_up(lines, cpu, memory), form)
    click.echo(f"{lines}.", err=True)


@main.command()
@click.option("--model", required=True, metavar="URI|FOLDER", help="The model: a folder, gs://... or models:/...")
@click.option("--table", required=True, type=click.Path(path_type=Path), help="A file with the model's columns.")
@click.option("--endpoint", metavar="URL", help="A function that runs already; otherwise one is started here.")
@click.option("--adverse", type=int, metavar="SEED", help="Call the function in every way that BigQuery may.")
def parity(model: str, table: Path, endpoint: str | None, adverse: int | None) -> None:
    """Compare predictions by SQL with those of MLflow for the same rows; exit with 1 if any differ."""
    # Only here: MLflow takes seconds to import.
    from local import parity as check

    report = check.run(model, table, endpoint, adverse)
    click.echo(report)
    sys.exit(bool(report.differences))


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


if __name__ == "__main__":
    main(prog_name="python -m local")
