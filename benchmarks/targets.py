"""The target figures, and whether one run on one machine meets them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from benchmarks import cold_start, workloads
from benchmarks.instances import BATCH, CALLERS, Callers, Scaling
from benchmarks.measurements import BARE, Cell, Ratio, Result
from benchmarks.servers import FASTAPI, MLFLOW, OURS
from deploy.sizing.resources import Memory

CONNECTIONS = 4


@dataclass(frozen=True)
class Speed:
    """How many times as many rows per second as `baseline` this function must score in a cell."""

    workload: workloads.Workload
    rows: int
    baseline: str
    wanted: float
    connections: int = CONNECTIONS

    @property
    def cell(self) -> Cell:
        return Cell(self.workload, self.rows, self.connections)

    @property
    def what(self) -> str:
        """The first column of the table."""
        alone = ", a lone caller" if self.connections == 1 else ""
        return f"rows/s over {self.baseline}: {self.cell.name}{alone}"


SPEEDS = (
    Speed(workloads.NUMERIC, 1, FASTAPI.name, 4.0),
    Speed(workloads.NUMERIC, 1, FASTAPI.name, 4.0, connections=1),
    Speed(workloads.NUMERIC, 128, FASTAPI.name, 6.0),
    Speed(workloads.NUMERIC, 1_000, FASTAPI.name, 12.0),
    Speed(workloads.NUMERIC, 5_000, FASTAPI.name, 12.0),
    *(Speed(workloads.NUMERIC, rows, MLFLOW.name, 12.0) for rows in (1, 128, 1_000, 5_000)),
    Speed(workloads.NUMERIC, 1_000, BARE, 0.65),
    Speed(workloads.NUMERIC, 5_000, BARE, 0.45),
    Speed(workloads.STRINGS, 1, FASTAPI.name, 15.0),
    Speed(workloads.STRINGS, 1_000, FASTAPI.name, 10.0),
    Speed(workloads.STRINGS, 1_000, BARE, 2.5),
    Speed(workloads.IMPUTED_RIDGE, 1, FASTAPI.name, 15.0),
    Speed(workloads.IMPUTED_RIDGE, 1_000, FASTAPI.name, 8.0),
    Speed(workloads.IMPUTED_BOOSTING, 128, FASTAPI.name, 6.0),
    Speed(workloads.TIMESTAMPS, 1_000, BARE, 2.0),
    Speed(workloads.LOGISTIC, 1, FASTAPI.name, 10.0),
    Speed(workloads.LIGHTGBM, 1, FASTAPI.name, 10.0),
    Speed(workloads.LIGHTGBM, 1_000, FASTAPI.name, 2.0),
    Speed(workloads.XGBOOST, 1, FASTAPI.name, 10.0),
    Speed(workloads.XGBOOST, 1_000, FASTAPI.name, 2.0),
    Speed(workloads.WIDE, 1, BARE, 0.9),
    Speed(workloads.WIDE, 1_000, BARE, 0.6),
    Speed(workloads.FOREST, 1, FASTAPI.name, 30.0),
    Speed(workloads.FOREST, 128, FASTAPI.name, 3.0),
    Speed(workloads.BOOSTING, 1, FASTAPI.name, 20.0),
)
CLEAN, DIRTY, EXPLAINED = (
    Cell(it, BATCH, CONNECTIONS) for it in (workloads.NUMERIC, workloads.WITH_NULL, workloads.REASONS)
)
CELLS = tuple(dict.fromkeys([*(speed.cell for speed in SPEEDS), DIRTY, EXPLAINED]))

MIN_NULL_OVER_CLEAN = 0.6
MIN_REASONS_OVER_CLEAN = 0.8
MIN_COALESCING = 5.0
MAX_ADDED_LATENCY = 0.3  # milliseconds
MAX_COLD_START = 0.75
MAX_MEMORY = 0.9
MIN_SCALING = 1.8  # of 2
MAX_FLATNESS = 1.15


@dataclass(frozen=True)
class Target:
    """A target and the measured figure; `met` is None if it was not measured."""

    what: str
    wanted: str
    measured: str
    met: bool | None

    @property
    def verdict(self) -> str:
        """The last column of the table."""
        return {True: "yes", False: "NO", None: "not measured"}[self.met]


def at_least(what: str, wanted: float, ratio: Ratio | None) -> Target:
    """Return a target that a median must reach."""
    return Target(what, f"at least {wanted:g}", str(ratio or ""), None if ratio is None else ratio.median >= wanted)


def at_most(what: str, wanted: float, ratio: Ratio | None) -> Target:
    """Return a target that a median must not exceed."""
    return Target(what, f"at most {wanted:g}", str(ratio or ""), None if ratio is None else ratio.median <= wanted)


def speed(results: Sequence[Result]) -> list[Target]:
    """Return the targets that CELLS answer."""
    by_cell = {result.cell: result for result in results}
    found = []
    for speed in SPEEDS:
        result = by_cell[speed.cell]
        measured = speed.baseline in result.rates and speed.baseline not in result.errors
        ratio = result.ratio(OURS.name, speed.baseline) if measured else None
        found.append(at_least(speed.what, speed.wanted, ratio))
    for what, cell, wanted in [
        ("rows/s with 5% NULL over rows/s without", DIRTY, MIN_NULL_OVER_CLEAN),
        ("rows/s under on_error = json over rows/s under fail", EXPLAINED, MIN_REASONS_OVER_CLEAN),
    ]:
        pairs = zip(by_cell[cell].rates[OURS.name], by_cell[CLEAN].rates[OURS.name], strict=False)
        found.append(at_least(f"{what}, {BATCH} rows", wanted, Ratio([other / plain for other, plain in pairs])))
    return found


def baselines(cells: Sequence[Cell]) -> set[str]:
    """Return the names of the servers that the targets compare with in some cells."""
    return {speed.baseline for speed in SPEEDS if speed.cell in cells}


def instances(
    callers: Callers,
    starts: cold_start.Starts,
    memories: Mapping[str, tuple[Memory, Memory]],
    scaling: Scaling | None,
    flatness: Mapping[int, float],
) -> list[Target]:
    """Return the other targets."""
    pairs = list(zip(memories[OURS.name], memories[FASTAPI.name], strict=True))
    return [
        at_least(f"requests/s of {CALLERS} callers of one row, forest without a plan: with coalescing over without",
                 MIN_COALESCING, callers.throughput()),
        at_most("milliseconds that coalescing adds to a single caller's median latency",
                MAX_ADDED_LATENCY, callers.added_latency()),
        at_most(f"start to first correct reply, from a bucket, over {FASTAPI.name} from disk",
                MAX_COLD_START, cold_start.ratio(starts, cold_start.FROM_BUCKET, FASTAPI.name)),
        at_most(f"resident memory of the serving process over {FASTAPI.name}, at first and 10,000 requests later",
                MAX_MEMORY, Ratio([ours.largest / other.largest for ours, other in pairs])),
        at_most(f"memory of all processes over {FASTAPI.name}, likewise",
                MAX_MEMORY, Ratio([ours.total / other.total for ours, other in pairs])),
        at_least("rows/s of two processes over one", MIN_SCALING, scaling.ratio if scaling else None),
        at_most("time per row from 1,000 to 1,000,000 rows, largest over smallest",
                MAX_FLATNESS, Ratio([max(flatness.values()) / min(flatness.values())])),
    ]  # fmt: skip


def table(targets: Sequence[Target]) -> Table:
    """Return the targets for a terminal."""
    shown = Table("what", "wanted", "measured", "met")
    for target in targets:
        style = {True: "green", False: "red", None: "yellow"}[target.met]
        shown.add_row(target.what, target.wanted, target.measured, f"[{style}]{target.verdict}[/]")
    return shown
