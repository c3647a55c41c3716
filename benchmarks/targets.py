"""The target figures, and whether one run on one machine meets them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from benchmarks import cold_start
from benchmarks.instances import BATCH, CALLERS, Callers, Scaling
from benchmarks.measurements import BARE, Cell, Ratio, Result
from benchmarks.servers import FASTAPI, MLFLOW, OURS
from benchmarks.workloads import WORKLOADS
from deploy.sizing.resources import Memory

NUMERIC, WITH_NULL = WORKLOADS[:2]
CONNECTIONS = 4
CELLS = (*(Cell(NUMERIC, rows, CONNECTIONS) for rows in (1, 128, 1_000, 5_000)), Cell(WITH_NULL, BATCH, CONNECTIONS))

MIN_OVER_FASTAPI = {1: 4.0, 128: 6.0, 1_000: 12.0, 5_000: 12.0}  # by rows per request
MIN_OVER_MLFLOW = dict.fromkeys(MIN_OVER_FASTAPI, 12.0)
MIN_OVER_BARE = 0.5
MIN_NULL_OVER_CLEAN = 0.6
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
    for baseline, minimums in ((FASTAPI, MIN_OVER_FASTAPI), (MLFLOW, MIN_OVER_MLFLOW)):
        for rows, wanted in minimums.items():
            result = by_cell[Cell(NUMERIC, rows, CONNECTIONS)]
            ratio = None if baseline.name in result.errors else result.ratio(OURS.name, baseline.name)
            what = f"rows/s over {baseline.name}, {rows} row{'s' * (rows > 1)} per request"
            found.append(at_least(what, wanted, ratio))
    clean, nulls = by_cell[Cell(NUMERIC, BATCH, CONNECTIONS)], by_cell[Cell(WITH_NULL, BATCH, CONNECTIONS)]
    found.append(at_least(f"rows/s over the bare predict, {BATCH} rows", MIN_OVER_BARE, clean.ratio(OURS.name, BARE)))
    pairs = zip(nulls.rates[OURS.name], clean.rates[OURS.name], strict=False)
    share = Ratio([dirty / plain for dirty, plain in pairs])
    found.append(at_least(f"rows/s with 5% NULL over rows/s without, {BATCH} rows", MIN_NULL_OVER_CLEAN, share))
    return found


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
        at_least(f"requests/s of {CALLERS} callers of one row, forest: with coalescing over without",
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
