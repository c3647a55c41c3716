"""`python -m benchmarks`, which is `make bench`: everything measured, benchmarks/RESULTS.md and its pictures written.

With `--quick` only what has a wanted value is measured, and printed; nothing is written.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks import cold_start, contestants, generator, instances, report, stages, targets
from benchmarks.measurements import Cell, Plan, compare
from benchmarks.workloads import NUMERIC, WORKLOADS
from launch.processes import ended_by_sigterm

FULL, QUICK = Plan(rounds=5, seconds=0.6), Plan(rounds=3, seconds=0.5)
ROWS, CONNECTIONS = (1, 128, 1_000, 5_000), (1, 4, 16)
RESULTS = Path(__file__).parent / "RESULTS.md"
Found = TypeVar("Found")


class Parts:
    """A progress bar over the parts of the run, and what is being done."""

    def __init__(self, console: Console, total: int) -> None:
        columns = (
            SpinnerColumn(),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        self.progress = Progress(*columns, console=console, transient=True)
        self._task = self.progress.add_task("", total=total)

    def step(self, text: str) -> None:
        self.progress.update(self._task, description=text)

    def part(self, measure: Callable[..., Found], *arguments: object) -> Found:
        found = measure(*arguments, self.step)
        self.progress.advance(self._task)
        return found


def cells_by_model(quick: bool) -> list[list[Cell]]:
    """Return what is compared: all combinations for numeric rows, the rest at 4 connections; one list for a model."""
    if quick:
        return [list(targets.CELLS)]
    cells = [Cell(NUMERIC, rows, connections) for rows in ROWS for connections in CONNECTIONS]
    cells += [Cell(other, rows, targets.CONNECTIONS) for other in WORKLOADS[1:] for rows in (1, instances.BATCH)]
    models = dict.fromkeys(cell.workload.model for cell in cells)
    return [[cell for cell in cells if cell.workload.model == model] for model in models]


@click.command()
@click.option("--quick", is_flag=True, help="Measure only what has a wanted value, in about three minutes.")
def main(quick: bool) -> None:
    """Measure this function beside what a user would pick instead."""
    ended_by_sigterm()
    plan = QUICK if quick else FULL
    rivals = [contestants.FASTAPI, contestants.MLFLOW]
    missing = {}
    console = Console(width=None if sys.stdout.isatty() else 160)
    cells = cells_by_model(quick)
    parts = Parts(console, len(cells) + (7 if quick else 8))
    with TemporaryDirectory(prefix="bench-") as folder, parts.progress:
        work = Path(folder)
        if not quick:
            rivals += [contestants.MLSERVER_MLFLOW, contestants.PER_ROW]
            parts.step("installing MLServer")
            if reason := contestants.install_mlserver():
                missing[contestants.MLSERVER_MLFLOW.name] = reason
                rivals.remove(contestants.MLSERVER_MLFLOW)
        everybody = [contestants.OURS, *rivals]
        results = [
            result
            for group in cells
            for result in parts.part(lambda step, group=group: compare(group, everybody, plan, work, step))
        ]
        starters = [contestants.OURS, contestants.FASTAPI] if quick else everybody
        starts = parts.part(cold_start.measure, starters, plan.rounds, work)
        memories = parts.part(instances.measure_memory, work)
        callers = parts.part(instances.measure_callers, plan, work)
        growth = parts.part(instances.measure_growth, plan, work)
        flatness = parts.part(instances.measure_flatness, plan, work)
        profile = parts.part(stages.measure, work)
        limits = parts.part(generator.measure, plan.seconds, work)
    wanted = [*targets.speed(results), *targets.instances(callers, starts, memories, growth, flatness)]
    console.print(stages.table(profile))
    console.print(targets.table(wanted))
    if not quick:
        found = report.Findings(
            plan, everybody, missing, results, wanted, starts, memories, callers, growth, flatness, profile, limits
        )
        report.write(found, RESULTS)
        console.print(f"{RESULTS} and the pictures beside it are written.")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
