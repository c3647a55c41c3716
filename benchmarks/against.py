"""Compare this checkout with another commit, its speed and what a start costs: `make bench AGAINST=COMMIT`.

Both are served as real processes with the same saved model. Every round starts them anew, because two processes with
the same code can differ by several percent for as long as they live. Within a round a workload runs old, new, new, old
(or the reverse), which cancels a steady drift of the machine.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks import targets
from benchmarks.comparison import MIN_ROUNDS, Comparison, summary, table
from benchmarks.measurements import Cell
from benchmarks.models import MODELS, saved
from benchmarks.servers import OURS
from benchmarks.startup import compare_starts, measure_plans, plans_table, starts_table
from benchmarks.workloads import NUMERIC, REASONS, STRINGS, WITH_NULL, WORKLOADS
from deploy.sizing.load_generator import UNEXPECTED_REPLY, Exchange, Outcome, generate, http_request
from deploy.sizing.resources import CPU_CLOCK_TICK, cpu_seconds
from launch.function import ROOT, Function
from launch.processes import ProcessError, exit_on_sigterm

WARM_UP = 0.1  # seconds
START_ROUNDS = 15
PLAN_ROUNDS, QUICK_PLAN_ROUNDS = 3, 1  # a process' memory differs by 1% from start to start
OLD, NEW = 0, 1
NAMES = ("old", "new")
OTHERS = [each for each in WORKLOADS[1:] if each is not REASONS]  # older commits don't know on_error = json
CELLS = (
    *(Cell(NUMERIC, rows, targets.CONNECTIONS) for rows in (1, 128, 1_000, 5_000)),
    *(Cell(workload, rows, targets.CONNECTIONS) for workload in OTHERS for rows in (1, 1_000)),
)
QUICK_CELLS = tuple(cell for cell in CELLS if cell.workload in (NUMERIC, WITH_NULL, STRINGS) and cell.rows != 128)


@click.command()
@click.argument("commit")
@click.option("--quick", is_flag=True, help="Compare only numbers, NULLs and strings.")
@click.option(
    "--rounds",
    type=click.IntRange(MIN_ROUNDS),
    default=15,
    show_default=True,
    help="More of them narrow the intervals.",
)
@click.option("--seconds", type=click.FloatRange(0.1), default=0.8, show_default=True, help="Per side and round.")
def main(commit: str, quick: bool, rounds: int, seconds: float) -> None:
    """Compare this checkout with COMMIT: speed, cold start, memory; exit with status 1 if a workload can't be compared.

    \b
    Example:
      python -m benchmarks.against HEAD~1 --quick --rounds 45
    """
    exit_on_sigterm()
    console = Console(width=None if sys.stdout.isatty() else 140)
    cells = QUICK_CELLS if quick else CELLS
    bar = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with (
        checkout(commit) as old,
        Progress(*bar, TextColumn("{task.description}"), console=console, transient=True) as progress,
    ):
        plan_rounds = QUICK_PLAN_ROUNDS if quick else PLAN_ROUNDS
        task = progress.add_task("", total=rounds * len(cells) + 1 + START_ROUNDS + plan_rounds * len(MODELS))

        def advance(text: str) -> None:
            progress.update(task, advance=1, description=text)

        with tempfile.TemporaryDirectory(prefix="against-models-") as folder:
            work = Path(folder)
            compared = compare_checkouts(old, ROOT, cells, rounds, seconds, work, advance)
            console.print(table(compared, commit))
            console.print(summary(compared))
            console.print(starts_table(*compare_starts(old, ROOT, START_ROUNDS, work, advance), commit))
            console.print(plans_table(measure_plans(ROOT, plan_rounds, work, advance)))
    if any(it.error for it in compared):
        sys.exit(1)


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """Check a commit out into a temporary folder for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="against-") as folder:
        path = Path(folder) / "checkout"
        _git("worktree", "add", "--quiet", "--detach", str(path), commit)
        try:
            yield path
        finally:
            _git("worktree", "remove", "--force", str(path))


def _git(*arguments: str) -> None:
    ended = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise click.ClickException(f"git {arguments[0]} failed: {ended.stderr.strip()}")


def compare_checkouts(
    old: Path,
    new: Path,
    cells: Sequence[Cell],
    rounds: int,
    seconds: float,
    work: Path,
    advance: Callable[[str], None],
) -> list[Comparison]:
    """Measure every cell once per round, for `seconds` on each side; `advance` is called before each cell."""
    comparisons = [Comparison(cell) for cell in cells]
    exchanges: dict[Cell, Sequence[Exchange]] = {}
    for number in range(rounds):
        for model, group in groupby(comparisons, lambda comparison: comparison.cell.workload.model):
            with _both(old, new, str(saved(model, work))) as functions:
                for comparison in group:
                    advance(f"round {number + 1} of {rounds}: {comparison.name}")
                    if comparison.error is None:
                        _measure(comparison, functions, exchanges, seconds, old_first=number % 2 == 0)
    return comparisons


@contextmanager
def _both(old: Path, new: Path, uri: str) -> Iterator[tuple[Function, Function]]:
    """Serve the model from both checkouts."""
    functions = Function(uri, {"PYTHONPATH": ""}, source=old), Function(uri, {"PYTHONPATH": ""}, source=new)
    with ExitStack() as stack, ThreadPoolExecutor(2) as threads:
        starting = [threads.submit(stack.enter_context, function) for function in functions]
        for start, name in zip(starting, NAMES, strict=True):
            try:
                start.result()
            except ProcessError as error:
                raise ProcessError(f"The {name} checkout: {error.message}") from error
        yield functions


def _measure(
    comparison: Comparison,
    functions: tuple[Function, Function],
    exchanges: dict[Cell, Sequence[Exchange]],
    seconds: float,
    *,
    old_first: bool,
) -> None:
    """Add one round to a comparison, or the reason why it cannot be measured."""
    cell = comparison.cell
    rows, elapsed, cpu = [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]
    try:
        if cell not in exchanges:
            exchanges[cell] = _old_replies(cell, functions[OLD])
        for side in (OLD, NEW):
            _run(side, functions, exchanges[cell], cell.connections, WARM_UP)
        for side in (OLD, NEW, NEW, OLD) if old_first else (NEW, OLD, OLD, NEW):
            cpu_before = cpu_seconds(functions[side].pid)
            run = _run(side, functions, exchanges[cell], cell.connections, seconds / 2)
            cpu[side] += max(cpu_seconds(functions[side].pid) - cpu_before, CPU_CLOCK_TICK)
            rows[side] += run.requests * cell.rows
            elapsed[side] += run.seconds
    except ProcessError as error:
        comparison.error = error.message
        return
    for side, speed in ((OLD, comparison.old), (NEW, comparison.new)):
        speed.rates.append(rows[side] / elapsed[side])
        speed.cpu_rates.append(rows[side] / cpu[side])


def _old_replies(cell: Cell, function: Function) -> Sequence[Exchange]:
    """Return the requests of a cell with the old checkout's replies, which both must repeat."""
    requests = [http_request("/", OURS.body(cell.workload, batch)) for batch in cell.workload.slices(cell.rows)]
    first = generate(function.port, list(map(Exchange, requests)), requests=len(requests))
    if first.error:
        raise ProcessError(f"the old checkout fails: {first.error}")
    return [Exchange(*pair, cell.workload.tolerance) for pair in zip(requests, first.bodies, strict=True)]


def _run(
    side: int, functions: tuple[Function, Function], exchanges: Sequence[Exchange], connections: int, seconds: float
) -> Outcome:
    run = generate(functions[side].port, exchanges, connections, seconds=seconds)
    if run.error == UNEXPECTED_REPLY:
        raise ProcessError(f"the {NAMES[side]} checkout's replies differ from the old checkout's first ones")
    if run.error:
        raise ProcessError(f"the {NAMES[side]} checkout fails: {run.error}")
    return run


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.against")
