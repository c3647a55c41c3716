"""How to deploy a model: `python -m benchmarks.advise --model URI` measures it on this machine and says so.

Into the output folder go `curve.svg`, the picture behind the advice, and `options`, a line for each option of deploy.sh
with its value and why, which `deploy.sh --advise` reads.
"""

from pathlib import Path

import click
from matplotlib.axes import Axes
from rich.console import Console
from rich.table import Table

from benchmarks import pictures
from benchmarks.advice import Advice, advise, best_batch
from benchmarks.trial import Trial, measure
from launch.processes import ended_by_sigterm


@click.command()
@click.option("--model", "uri", required=True, help="gs://bucket/prefix, a folder or models:/name@alias.")
@click.option("--rows", type=click.IntRange(1), default=1_000_000, show_default=True, help="Rows to estimate for.")
@click.option("--instances", type=click.IntRange(1), default=10, show_default=True, help="Instances that score them.")
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), default=0.5, show_default=True, help="Of each measurement."
)
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), default="advice", show_default=True)
def main(uri: str, rows: int, instances: int, seconds: float, output: Path) -> None:
    """Measure a model with the real function on this machine; print how to deploy it, and why."""
    ended_by_sigterm()
    errors = Console(stderr=True)
    with errors.status("starting") as status:
        trial = measure(uri, seconds, best_batch, status.update)
    advice = advise(trial)
    output.mkdir(parents=True, exist_ok=True)
    picture = output / pictures.write(output, "curve", lambda axes: _draw(axes, trial))
    lines = [f"{it.name} {it.value} {it.reason}\n" for it in advice.settings]
    (output / "options").write_text("".join(lines))
    report(trial, advice, rows, instances, picture)


def _draw(axes: Axes, trial: Trial) -> None:
    axes.plot([it.rows for it in trial.curve], [it.rate for it in trial.curve], marker="o")
    axes.axvline(trial.batch, linestyle="--", color="grey", label=f"max_batching_rows = {trial.batch:,}")
    axes.set(xscale="log", xlabel="rows per request", ylabel="rows per second, one caller, one CPU", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()


def report(trial: Trial, advice: Advice, rows: int, instances: int, picture: Path) -> None:
    """Print what was measured, the advice and what to expect of it."""
    console = Console(width=160)
    if trial.made_up:
        console.print(
            f"The model at {trial.uri} has no input example, so it was measured with rows made up from its column "
            "types; real rows may take another time.",
            soft_wrap=True,
        )
    curve = Table("rows per request", "rows/s", "milliseconds", "bytes sent", "bytes received")
    for point in trial.curve:
        curve.add_row(
            *(f"{point.rows:,}", f"{point.rate:,.0f}", f"{point.seconds * 1000:.2f}"),
            *(f"{point.request:,}", f"{point.reply:,}"),
        )
    console.print(curve)
    settings = Table("option", "value", "why")
    for setting in advice.settings:
        settings.add_row(f"--{setting.name}", setting.value, setting.reason)
    console.print(settings)
    options = " ".join(f"--{it.name} {it.value}" for it in advice.settings)
    console.print(f"For the deployment: ./deploy.sh {options} ...", soft_wrap=True)
    console.print(f"For the DDL: OPTIONS (max_batching_rows = {advice.batch}, ...)", soft_wrap=True)
    console.print(
        f"Expected of an instance: {advice.rate:,.0f} rows/s on CPUs like this machine's. {rows:,} rows with "
        f"{instances} instances: {advice.seconds(rows, instances):,.1f} s, a cold start of {advice.cold_start:.1f} s "
        f"included, and {advice.dollars(rows, instances):.4f} USD on Cloud Run.",
        soft_wrap=True,
    )
    console.print(f"Picture: {picture}", soft_wrap=True)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.advise")
