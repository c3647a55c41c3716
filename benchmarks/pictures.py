"""The report's pictures, as SVG files beside it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.cold_start import Starts, median
from benchmarks.instances import Memory
from benchmarks.measurements import BARE, Result

matplotlib.rcParams["svg.hashsalt"] = "benchmarks"  # the same data gives the same file
MEGABYTE = 1e6


def write(folder: Path, name: str, draw: Callable[[Axes], None], width: float = 7.0, height: float = 4.0) -> str:
    """Draw one picture; return the name of its file."""
    folder.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    draw(axes)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    return f"{name}.svg"


def throughput(results: Sequence[Result], names: Sequence[str]) -> Callable[[Axes], None]:
    """Rows per second over the rows of a request, one line each."""

    def draw(axes: Axes) -> None:
        for name in [*names, BARE]:
            points = [(it.cell.rows, it.rate(name)) for it in results if name in it.rates and name not in it.faults]
            if points:
                style: dict[str, Any] = {"linestyle": "--", "color": "grey"} if name == BARE else {"marker": "o"}
                axes.plot(*zip(*points, strict=True), label=name, **style)
        axes.set(xscale="log", yscale="log", xlabel="rows per request", ylabel="rows per second")
        axes.grid(alpha=0.3)
        axes.legend()

    return draw


def latencies(result: Result, names: Sequence[str], shares: Sequence[float]) -> Callable[[Axes], None]:
    """Percentiles of one cell, a group of bars for each contestant."""

    def draw(axes: Axes) -> None:
        there = [name for name in names if name in result.runs and name not in result.faults]
        for at, share in enumerate(shares):
            heights = [result.latency(name, share) * 1000 for name in there]
            axes.bar([place + (at - 1) * 0.27 for place in range(len(there))], heights, 0.25, label=f"p{share * 100:g}")
        axes.set(ylabel="milliseconds, one row per request, 4 connections")
        axes.set_xticks(range(len(there)), [name.replace(" ", "\n") for name in there])
        axes.legend()

    return draw


def cold_starts(starts: Starts) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        bars = axes.barh(list(starts), [median(starts, name) for name in starts])
        axes.bar_label(bars, fmt="%.1f s", padding=3)
        axes.invert_yaxis()
        axes.set(xlabel="seconds from process start to first right reply")

    return draw


def memory(memories: Mapping[str, tuple[Memory, Memory]]) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        for at, when in enumerate(("after the first request", "after 10,000 more")):
            heights = [found[at].largest / MEGABYTE for found in memories.values()]
            bars = axes.bar([place + (at - 0.5) * 0.35 for place in range(len(memories))], heights, 0.33, label=when)
            axes.bar_label(bars, fmt="%.0f")
        axes.set_xticks(range(len(memories)), list(memories))
        axes.set(ylabel="MB resident in the serving process")
        axes.legend(loc="lower center")

    return draw
