"""What the figures are wanted to be, and whether they are: one row for each, from one run on one machine."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from benchmarks import cold_start
from benchmarks.contestants import FASTAPI, MLFLOW, OURS
from benchmarks.instances import BATCH, CALLERS, Callers, Growth, Memory
from benchmarks.measurements import BARE, Cell, Ratio, Result
from benchmarks.workloads import WORKLOADS

NUMERIC, WITH_NULL = WORKLOADS[:2]
CONNECTIONS = 4
CELLS = (*(Cell(NUMERIC, rows, CONNECTIONS) for rows in (1, 128, 1_000, 5_000)), Cell(WITH_NULL, BATCH, CONNECTIONS))
AGAINST_FASTAPI = {1: 4.0, 128: 6.0, 1_000: 12.0, 5_000: 12.0}  # at least
AGAINST_MLFLOW = 12.0
OF_BARE = 0.5
OF_CLEAN = 0.6
COALESCED = 5.0
LONE_GROWTH = 0.3  # milliseconds at most
COLD_START = 0.75  # at most
MEMORY = 0.9
GROWTH = 1.8  # of 2
FLAT = 1.15


@dataclass(frozen=True)
class Target:
    """One wanted figure; `measured` is None where it could not be had."""

    what: str
    wanted: str
    measured: str
    met: bool | None

    @property
    def verdict(self) -> str:
        return {True: "yes", False: "NO", None: "not measured"}[self.met]


def at_least(what: str, wanted: float, ratio: Ratio | None) -> Target:
    return Target(what, f"at least {wanted:g}", str(ratio or ""), None if ratio is None else ratio.median >= wanted)


def at_most(what: str, wanted: float, ratio: Ratio | None) -> Target:
    return Target(what, f"at most {wanted:g}", str(ratio or ""), None if ratio is None else ratio.median <= wanted)


def speed(results: Sequence[Result]) -> list[Target]:
    """Return the targets that CELLS answer."""
    by_cell = {result.cell: result for result in results}
    found = []
    for rival, least in ((FASTAPI, AGAINST_FASTAPI), (MLFLOW, dict.fromkeys(AGAINST_FASTAPI, AGAINST_MLFLOW))):
        for rows, wanted in least.items():
            result = by_cell[Cell(NUMERIC, rows, CONNECTIONS)]
            ratio = None if rival.name in result.faults else result.ratio(OURS.name, rival.name)
            found.append(
                at_least(f"rows/s against {rival.name}, {rows} row{'s' * (rows > 1)} per request", wanted, ratio)
            )
    clean, nulls = by_cell[Cell(NUMERIC, BATCH, CONNECTIONS)], by_cell[Cell(WITH_NULL, BATCH, CONNECTIONS)]
    found.append(at_least(f"rows/s of the bare predict's, {BATCH} rows", OF_BARE, clean.ratio(OURS.name, BARE)))
    pairs = zip(nulls.rates[OURS.name], clean.rates[OURS.name], strict=False)
    share = Ratio([dirty / plain for dirty, plain in pairs])
    found.append(at_least(f"rows/s with 5% NULL of those without, {BATCH} rows", OF_CLEAN, share))
    return found


def instances(
    callers: Callers,
    starts: cold_start.Starts,
    memories: dict[str, tuple[Memory, Memory]],
    growth: Growth | None,
    flatness: dict[int, float],
) -> list[Target]:
    """Return the other targets."""
    mine, other = memories[OURS.name], memories[FASTAPI.name]
    flat = max(flatness.values()) / min(flatness.values())
    return [
        at_least(
            f"{CALLERS} callers of one row, forest: with coalescing against without", COALESCED, callers.throughput()
        ),
        at_most("a lone caller's median latency, ms more with coalescing", LONE_GROWTH, callers.lone_growth()),
        at_most(
            f"start to first right reply, from a bucket, against {FASTAPI.name} from disk",
            COLD_START,
            cold_start.ratio(starts, cold_start.FROM_BUCKET, FASTAPI.name),
        ),
        at_most(
            f"resident memory of the serving process against {FASTAPI.name}, after load and 10,000 requests",
            MEMORY,
            Ratio([one.largest / two.largest for one, two in zip(mine, other, strict=True)]),
        ),
        at_most(
            f"the same over all of its processes against {FASTAPI.name}",
            MEMORY,
            Ratio([one.total / two.total for one, two in zip(mine, other, strict=True)]),
        ),
        at_least("rows/s of two processes against one", GROWTH, growth.ratio if growth else None),
        at_most("time per row from 1,000 to 1,000,000 rows, largest of smallest", FLAT, Ratio([flat])),
    ]


def table(targets: Sequence[Target]) -> Table:
    """Return the targets for a terminal."""
    shown = Table("what", "wanted", "measured", "met")
    for target in targets:
        style = {True: "green", False: "red", None: "yellow"}[target.met]
        shown.add_row(target.what, target.wanted, target.measured, f"[{style}]{target.verdict}[/]")
    return shown
