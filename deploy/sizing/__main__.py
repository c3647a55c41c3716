"""`python -m deploy.sizing --model URI`: measure a model on this machine and print how to deploy it."""

from functools import partial
from pathlib import Path

import click
from rich.console import Console

from deploy.sizing.measure import measure
from deploy.sizing.recommend import choose_batch, recommend
from deploy.sizing.report import print_report, write_files
from launch.examine import Options, examined
from launch.options import environment_options
from launch.processes import exit_on_sigterm


@click.command()
@click.option("--model", "uri", required=True, help="gs://bucket/prefix, a folder or models:/name@alias.")
@click.option("--rows", type=click.IntRange(1), default=1_000_000, show_default=True, help="Rows to estimate for.")
@click.option("--instances", type=click.IntRange(1), default=10, show_default=True, help="Instances to estimate for.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=0.5,
    show_default=True,
    help="Duration of each measurement.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default="sizing-output",
    show_default=True,
    help="Folder for curve.svg and `options`, a line for each option of deploy.sh with the reason.",
)
@environment_options
def main(uri: str, rows: int, instances: int, seconds: float, output: Path, options: Options) -> None:
    """Run the function with a model on this machine, and print the settings to deploy it with and the reasons.

    \b
    Example:
      python -m deploy.sizing --model demo-output/model --rows 50000000 --output demo-output/sizing
    """
    exit_on_sigterm()
    with (
        examined(uri, partial(click.echo, err=True), options) as found,
        Console(stderr=True).status("starting") as status,
    ):
        measured = measure(found, seconds, choose_batch, status.update)
    sizing = recommend(measured)
    picture = write_files(output, measured, sizing)
    print_report(measured, sizing, rows, instances, picture)


if __name__ == "__main__":
    main(prog_name="python -m deploy.sizing")
