"""The soak test: `make soak` loads the function with every kind of caller for ten minutes and looks for leaks.

    python -m tests.soak --minutes 10 --output soak.md

Exits with status 1 when a reply is wrong or missing, when memory, files or threads grow, or when a process ends.
"""

import logging
import sys
import tempfile
from pathlib import Path
from typing import TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tests import models
from tests.soak.resources import NAMES, thirds
from tests.soak.run import Soak, run


@click.command(epilog="Example: python -m tests.soak --minutes 10 --output soak.md")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), default=10, show_default=True)
@click.option("--connections", type=click.IntRange(1, 256), default=16, show_default=True, help="Concurrent callers.")
@click.option("--seed", type=int, default=1, show_default=True, help="Random seed for the order of requests.")
@click.option(
    "--output", type=click.File("w", encoding="utf-8", lazy=False), help="Also write the report to this file."
)
def main(minutes: float, connections: int, seed: int, output: TextIO | None) -> None:
    """Load the function with good, bad, huge, slow and abandoned requests; check replies, memory and open files."""
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    bar = Progress(
        TextColumn("Soaking"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task("", total=minutes * 60)

    def tick(soak: Soak) -> None:
        memory = soak.samples[-1].memory / 2**20
        bar.update(task, completed=bar.tasks[0].elapsed, description=f"{soak.requests:,} requests · {memory:,.0f} MiB")

    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        model = models.tree_regressor(Path(folder) / "model")
        with bar:
            soak = run(model, minutes * 60, connections, seed, tick)
    text = report(soak, connections)
    click.echo(text)
    if output:
        output.write(text + "\n")
    failures = soak.failures()
    click.echo("\n".join(failures) if failures else "All is well.", err=True)
    sys.exit(bool(failures))


def report(soak: Soak, connections: int) -> str:
    """Return the results as Markdown."""
    lines = [
        f"{soak.requests:,} requests in {soak.seconds:.0f} s over {connections} connections; "
        f"the function used {soak.cores:.2f} cores.",
        "",
        "| requests | right | rejected (429) | wrong | p50 ms | p99 ms | longest ms |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, count in soak.counts.items():
        times = " | ".join(f"{count.percentile(percent):.1f}" for percent in (50, 99, 100))
        lines.append(f"| {name} | {count.right:,} | {count.rejected:,} | {count.wrong:,} | {times} |")
    lines += [
        "",
        "| function's processes, at low load | first third | last third | growth |",
        "|---|---:|---:|---:|",
    ]
    for name, (first, last) in zip(NAMES, thirds(soak.samples), strict=True):
        scale, unit = (2**20, " MiB") if name == NAMES[0] else (1, "")
        lines.append(f"| {name} | {first / scale:,.0f}{unit} | {last / scale:,.0f}{unit} | {last / first - 1:+.1%} |")
    lines.append(f"| open files without load | {soak.files_before} | {soak.files_after} | |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(prog_name="python -m tests.soak")
