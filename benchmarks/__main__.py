"""`make bench`: measure this function against its baselines; write RESULTS.md and its picture.

With `--quick` it measures only the target figures, prints them and writes nothing.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks import cold_start, instances, plans, report, servers, targets
from benchmarks.measurements import Cell, Plan, compare
from benchmarks.workloads import NUMERIC, WORKLOADS
from launch.processes import exit_on_sigterm

FULL, QUICK = Plan(rounds=5, seconds=0.6), Plan(rounds=3, seconds=0.5)
ROWS, CONNECTIONS = (1, 128, 1_000, 5_000), (1, 4, 16)
RESULTS = Path(__file__).parent / "RESULTS.md"
Found = TypeVar("Found")


class Steps:
    """A progress bar over the parts of a run, with what is being measured."""

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

    def describe(self, text: str) -> None:
        self.progress.update(self._task, description=text)

    def run(self, measure: Callable[..., Found], *arguments: object) -> Found:
        """Run one part, which describes what it does, and advance."""
        found = measure(*arguments, self.describe)
        self.progress.advance(self._task)
        return found


def cells_by_model(quick: bool) -> list[list[Cell]]:
    """Return the cells to measure, a list per model: all combinations for numeric rows, the rest at 4 connections."""
    if quick:
        return _by_model(targets.CELLS)
    cells = [Cell(NUMERIC, rows, connections) for rows in ROWS for connections in CONNECTIONS]
    cells += [Cell(other, rows, targets.CONNECTIONS) for other in WORKLOADS[1:] for rows in (1, instances.BATCH)]
    cells = list(dict.fromkeys([*cells, *targets.CELLS]))
    return _by_model(cells)


def _by_model(cells: Sequence[Cell]) -> list[list[Cell]]:
    models = dict.fromkeys(cell.workload.model for cell in cells)
    in_order = sorted(cells, key=lambda cell: (WORKLOADS.index(cell.workload), cell.rows, cell.connections))
    return [[cell for cell in in_order if cell.workload.model == model] for model in models]


@click.command()
@click.option("--quick", is_flag=True, help="Measure only the target figures, in about five minutes.")
def main(quick: bool) -> None:
    """Measure this function against what a user would pick instead.

    \b
    Example:
      python -m benchmarks --quick
    """
    exit_on_sigterm()
    plan = QUICK if quick else FULL
    compared = [servers.OURS, servers.FASTAPI, servers.MLFLOW]
    missing = {}
    console = Console(width=None if sys.stdout.isatty() else 160)
    cells = cells_by_model(quick)
    steps = Steps(console, len(cells) + 6)
    with TemporaryDirectory(prefix="bench-") as folder, steps.progress:
        work = Path(folder)
        if not quick:
            # These two have no target: MLServer is what MLflow offers for production, and tutorials of remote functions
            # call the model once per row, so without them the report would leave out what many people run.
            compared += [servers.MLSERVER_MLFLOW, servers.PER_ROW]
            steps.describe("installing MLServer")
            if reason := servers.install_mlserver():
                missing[servers.MLSERVER_MLFLOW.name] = reason
                compared.remove(servers.MLSERVER_MLFLOW)
        results = []
        for group in cells:
            # A quick run leaves out the baselines that have no target for a model.
            needed = [it for it in compared if not quick or it is servers.OURS or it.name in targets.baselines(group)]
            results += steps.run(compare, group, needed, plan, work)
        starts = steps.run(cold_start.measure, compared[:2] if quick else compared, plan.rounds, work)
        memories = steps.run(instances.measure_memory, work)
        callers = steps.run(instances.measure_callers, plan, work)
        scaling = steps.run(instances.measure_scaling, plan, work)
        flatness = steps.run(instances.measure_flatness, plan, work)
        gains = steps.run(plans.measure, plan.rounds, work)
    wanted = [*targets.speed(results), *targets.instances(callers, starts, memories, scaling, flatness)]
    console.print(targets.table(wanted))
    console.print(report.gains(gains))
    if not quick:
        found = report.Findings(
            plan, compared, missing, results, wanted, starts, memories, callers, scaling, flatness, gains
        )
        report.write(found, RESULTS)
        console.print(f"Wrote {RESULTS} and the picture beside it.")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
