"""The picture of RESULTS.md and the README: rows per second compared with the baselines."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from benchmarks.measurements import BARE
from benchmarks.servers import FASTAPI, MLFLOW, MLSERVER_MLFLOW, OURS, PER_ROW

TITLE = "Rows per second of a tree pipeline with 8 numbers per row"
# A server keeps its color from one picture to the next, whichever servers are measured.
COLORS = {
    OURS.name: "#1a66d0",
    FASTAPI.name: "#2ca02c",
    MLFLOW.name: "#d62728",
    MLSERVER_MLFLOW.name: "#ff7f0e",
    PER_ROW.name: "#9467bd",
    BARE: "#7f7f7f",
}

Curve = Sequence[tuple[int, float]]  # rows per request, rows per second


def draw_throughput(curves: Mapping[str, Curve], file: Path) -> None:
    """Write a small PNG with one curve per server, the fastest first in the legend."""
    figure = Figure(figsize=(7, 4), dpi=150, layout="constrained")
    axes = figure.subplots()
    for name, curve in sorted(curves.items(), key=lambda it: it[1][-1][1], reverse=True):
        style: dict[str, Any] = {"marker": "o", "color": COLORS[name]}
        if name == BARE:
            style |= {"marker": "", "linestyle": "--"}
        elif name == OURS.name:
            style |= {"linewidth": 3, "zorder": 3}
        axes.plot(*zip(*curve, strict=True), label=name, **style)
    figure.suptitle(TITLE, fontweight="bold", x=0.01, horizontalalignment="left")
    axes.set(xscale="log", yscale="log", xlabel="rows per request", ylabel="rows per second")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", frameon=False)
    drawn = io.BytesIO()
    figure.savefig(drawn)
    Image.open(drawn).convert("RGB").quantize(64).save(file, optimize=True)  # a quarter of the size
