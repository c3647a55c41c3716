"""The speed of two checkouts side by side: ratios by round, their interval, and a verdict.

The interval is the exact 95% confidence interval of the median of the rounds' ratios, from order statistics: it assumes
nothing about how the noise is distributed. On a busy machine it gets wide. The ratio per CPU time, which does not count
the time that the server waits for a CPU, stays narrow; it says nothing about idle waiting.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from rich.table import Table
from scipy.stats import quantile_test

from benchmarks.measurements import Cell

MIN_ROUNDS = 6  # the fewest with a 95% interval
SLOWER = 0.97  # a workload is slower if its whole interval lies below this ratio


@dataclass
class Speed:
    """Rows per second of one checkout, and rows per second of its CPU time, by round."""

    rates: list[float] = field(default_factory=list)
    cpu_rates: list[float] = field(default_factory=list)


@dataclass
class Comparison:
    """The speed of both checkouts in one cell, or why they cannot be compared."""

    cell: Cell
    old: Speed = field(default_factory=Speed)
    new: Speed = field(default_factory=Speed)
    error: str | None = None

    @property
    def name(self) -> str:
        return self.cell.name

    @property
    def ratios(self) -> list[float]:
        """New rows per second over old, by round."""
        return [new / old for old, new in zip(self.old.rates, self.new.rates, strict=True)]

    @property
    def cpu_ratios(self) -> list[float]:
        """The same for rows per second of CPU time."""
        return [new / old for old, new in zip(self.old.cpu_rates, self.new.cpu_rates, strict=True)]

    @property
    def verdict(self) -> str:
        if self.error:
            return "not measured"
        return "SLOWER" if interval(self.ratios)[1] < SLOWER else "not slower"


def interval(ratios: Sequence[float]) -> tuple[float, float]:
    """Return the 95% interval of the median ratio; NaN for fewer than MIN_ROUNDS."""
    found = quantile_test(ratios, p=0.5).confidence_interval(0.95)
    return float(found.low), float(found.high)


def table(comparisons: Sequence[Comparison], commit: str) -> Table:
    """Return the comparisons for a terminal."""
    shown = Table("workload", f"rows/s of {commit}", "of this checkout", "new/old", "per CPU time", "verdict")
    for it in comparisons:
        if it.error:
            shown.add_row(it.name, "", "", "", "", f"[red]{it.verdict}[/]: {it.error}")
            continue
        style = "red" if it.verdict == "SLOWER" else "green"
        shown.add_row(
            it.name,
            f"{median(it.old.rates):,.0f}",
            f"{median(it.new.rates):,.0f}",
            _with_interval(it.ratios),
            _with_interval(it.cpu_ratios),
            f"[{style}]{it.verdict}[/]",
        )
    return shown


def _with_interval(ratios: Sequence[float]) -> str:
    low, high = interval(ratios)
    return f"{median(ratios):.3f} ({low:.3f} to {high:.3f})"


def summary(comparisons: Sequence[Comparison]) -> str:
    """Return one sentence: which workloads got slower."""
    slower = [it.name for it in comparisons if it.verdict == "SLOWER"]
    if slower:
        return f"The whole interval lies below {SLOWER} for: {'; '.join(slower)}."
    return f"No interval lies wholly below {SLOWER}."
