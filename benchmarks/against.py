"""Compare the speed of this checkout with another commit's: `make bench AGAINST=COMMIT`.

Both are served as real processes with the same saved model. Every round starts them anew, because two processes with
the same code can differ by several percent for as long as they live. Within a round a workload runs old, new, new, old
(or the reverse), which cancels a steady drift of the machine.

The interval is the exact 95% confidence interval of the median of the rounds' ratios, from order statistics: it assumes
nothing about how the noise is distributed.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from statistics import median

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from scipy.stats import quantile_test

from benchmarks import targets
from benchmarks.measurements import Cell
from benchmarks.servers import OURS
from benchmarks.workloads import WORKLOADS, saved, slices
from deploy.sizing.load_generator import UNEXPECTED_REPLY, Exchange, Outcome, generate, http_request
from launch.function import ROOT, Function
from launch.processes import ProcessError, exit_on_sigterm

MIN_ROUNDS = 6  # the fewest with a 95% interval
SLOWER = 0.97  # a workload is slower when its whole interval lies below this ratio
WARM_UP = 0.1  # seconds
OLD, NEW = 0, 1
NAMES = ("old", "new")
CELLS = (
    *(Cell(WORKLOADS[0], rows, targets.CONNECTIONS) for rows in (1, 128, 1_000, 5_000)),
    *(Cell(workload, rows, targets.CONNECTIONS) for workload in WORKLOADS[1:] for rows in (1, 1_000)),
)


@click.command()
@click.argument("commit")
@click.option("--quick", is_flag=True, help="Compare only the workloads that have a target.")
@click.option("--rounds", type=click.IntRange(MIN_ROUNDS), default=15, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.1), default=0.8, show_default=True, help="Per side and round.")
def main(commit: str, quick: bool, rounds: int, seconds: float) -> None:
    """Compare the speed of this checkout with COMMIT's; exit with status 1 when a workload cannot be compared."""
    exit_on_sigterm()
    console = Console(width=None if sys.stdout.isatty() else 140)
    cells = targets.CELLS if quick else CELLS
    bar = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with checkout(commit) as old, Progress(*bar, TextColumn("{task.description}"), transient=True) as progress:
        task = progress.add_task("", total=rounds * len(cells))
        compared = compare_checkouts(
            *(old, ROOT, cells, rounds, seconds),
            lambda text: progress.update(task, advance=1, description=text),
        )
    console.print(table(compared, commit))
    console.print(summary(compared))
    if any(it.error for it in compared):
        sys.exit(1)


@dataclass
class Comparison:
    """Rows per second of both checkouts in one cell, by round; or why they cannot be compared."""

    cell: Cell
    old: list[float] = field(default_factory=list)
    new: list[float] = field(default_factory=list)
    error: str | None = None

    @property
    def name(self) -> str:
        return f"{self.cell.workload.name}, {self.cell.rows:,} row{'s' * (self.cell.rows > 1)}"

    @property
    def ratios(self) -> list[float]:
        """New rows per second over old, by round."""
        return [new / old for old, new in zip(self.old, self.new, strict=True)]

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the median ratio; NaN with fewer than MIN_ROUNDS rounds."""
        found = quantile_test(self.ratios, p=0.5).confidence_interval(0.95)
        return float(found.low), float(found.high)

    @property
    def verdict(self) -> str:
        if self.error:
            return "not measured"
        return "SLOWER" if self.interval[1] < SLOWER else "not slower"


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
    old: Path, new: Path, cells: Sequence[Cell], rounds: int, seconds: float, advance: Callable[[str], None]
) -> list[Comparison]:
    """Measure every cell once per round, for `seconds` on each side; `advance` is called before each cell."""
    comparisons = [Comparison(cell) for cell in cells]
    replies: dict[Cell, Sequence[Exchange]] = {}
    with tempfile.TemporaryDirectory(prefix="against-models-") as folder:
        for number in range(rounds):
            for model, group in groupby(comparisons, lambda comparison: comparison.cell.workload.model):
                with _both(old, new, str(saved(model, Path(folder)))) as ports:
                    for comparison in group:
                        advance(f"round {number + 1} of {rounds}: {comparison.name}")
                        if comparison.error is None:
                            _measure(comparison, ports, replies, seconds, old_first=number % 2 == 0)
    return comparisons


@contextmanager
def _both(old: Path, new: Path, uri: str) -> Iterator[tuple[int, int]]:
    """Serve the model from both checkouts; yield their ports."""
    functions = [Function(uri, {"PYTHONPATH": ""}, source=source) for source in (old, new)]
    with ExitStack() as stack, ThreadPoolExecutor(2) as threads:
        starting = [threads.submit(stack.enter_context, function) for function in functions]
        for start, name in zip(starting, NAMES, strict=True):
            try:
                start.result()
            except ProcessError as error:
                raise ProcessError(f"The {name} checkout: {error.message}") from error
        yield functions[0].port, functions[1].port


def _measure(
    comparison: Comparison,
    ports: tuple[int, int],
    exchanges: dict[Cell, Sequence[Exchange]],
    seconds: float,
    *,
    old_first: bool,
) -> None:
    """Add one round to a comparison, or the reason why it cannot be measured."""
    cell = comparison.cell
    done, spent = [0.0, 0.0], [0.0, 0.0]
    try:
        if cell not in exchanges:
            exchanges[cell] = _old_replies(cell, ports[OLD])
        for side in (OLD, NEW):
            _run(side, ports, exchanges[cell], cell.connections, WARM_UP)
        for side in (OLD, NEW, NEW, OLD) if old_first else (NEW, OLD, OLD, NEW):
            run = _run(side, ports, exchanges[cell], cell.connections, seconds / 2)
            done[side] += run.requests * cell.rows
            spent[side] += run.seconds
    except ProcessError as error:
        comparison.error = error.message
    else:
        comparison.old.append(done[OLD] / spent[OLD])
        comparison.new.append(done[NEW] / spent[NEW])


def _old_replies(cell: Cell, port: int) -> Sequence[Exchange]:
    """Return the requests of a cell with the old checkout's replies, which the new one must give byte by byte."""
    requests = [http_request("/", OURS.body(cell.workload.calls[place])) for place in slices(cell.rows)]
    first = generate(port, list(map(Exchange, requests)), requests=len(requests))
    if first.error:
        raise ProcessError(f"the old checkout fails: {first.error}")
    return list(map(Exchange, requests, first.bodies))


def _run(side: int, ports: tuple[int, int], exchanges: Sequence[Exchange], connections: int, seconds: float) -> Outcome:
    run = generate(ports[side], exchanges, connections, seconds=seconds)
    if run.error == UNEXPECTED_REPLY:
        raise ProcessError(f"the {NAMES[side]} checkout's replies differ from the old checkout's first ones")
    if run.error:
        raise ProcessError(f"the {NAMES[side]} checkout fails: {run.error}")
    return run


def table(comparisons: Sequence[Comparison], commit: str) -> Table:
    """Return the comparisons for a terminal."""
    shown = Table("workload", f"rows/s of {commit}", "of this checkout", "new/old", "95% interval", "verdict")
    for it in comparisons:
        if it.error:
            shown.add_row(it.name, "", "", "", "", f"[red]{it.verdict}[/]: {it.error}")
            continue
        low, high = it.interval
        style = "red" if it.verdict == "SLOWER" else "green"
        shown.add_row(
            it.name,
            *(f"{median(rates):,.0f}" for rates in (it.old, it.new)),
            f"{median(it.ratios):.3f}",
            f"{low:.3f} to {high:.3f}",
            f"[{style}]{it.verdict}[/]",
        )
    return shown


def summary(comparisons: Sequence[Comparison]) -> str:
    """Return one sentence: which workloads got slower."""
    slower = [it.name for it in comparisons if it.verdict == "SLOWER"]
    if slower:
        return f"The whole interval lies below {SLOWER} for: {'; '.join(slower)}."
    return f"No interval lies wholly below {SLOWER}."


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.against")
