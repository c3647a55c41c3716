"""The figures of the report, as SVG by title.

matplotlib draws them. Their colors become CSS variables, which the page sets for light and dark windows; the colors
that matplotlib was given remain as the variables' defaults, so a figure also stands alone. Figures show held-out rows,
at most MAX_POINTS of them, and each makes sense without the others. One with a single point is left out.
"""

import io
import re
import warnings
from collections.abc import Callable
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve

from train.diagnosis import Diagnosis, HeldOut, positive_class
from train.numbers import number
from train.search import SearchSettings

MAX_POINTS = 1000
MAX_COLUMNS = 20  # of the importance figure
MAX_CLASSES = 8  # of one figure
MAX_NAME = 28  # characters of a column's name
BLUE, GREY, ORANGE, INK = "#1a66d0", "#8a96a3", "#d46a00", "#1c2734"
VARIABLES = {BLUE: "blue", GREY: "grey", ORANGE: "orange", INK: "ink"}
# Of the further classes of a figure; light enough for a dark page and dark enough for a light one.
COLORS = (BLUE, ORANGE, "#1a9850", "#b05cc6", "#c0392b", "#0f8f9e", "#8d6e3f", GREY)

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    "savefig.transparent": True,
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}

Draw = Callable[[Axes], None]


def figures(rows: HeldOut, found: Diagnosis, history: list[float], settings: SearchSettings) -> dict[str, str]:
    """Return the figures for a model's answers; `history` is the best score of each generation."""
    drawings = _regression(rows) if rows.task == "regression" else _classification(rows, found)
    if len(found.importance) > 1:
        drawings["Permutation importance"] = lambda axes: _importance(axes, found, settings)
    if found.periods:
        drawings["Error over time"] = lambda axes: _over_time(axes, found, rows.loss_name)
    if len(set(history)) > 1:
        drawings["Score by generation"] = lambda axes: _history(axes, history, settings.metric)
    return {title: _svg(title, draw) for title, draw in drawings.items()}


def _svg(title: str, draw: Draw) -> str:
    # The salt keeps the ids of several figures in one page apart.
    with mpl.rc_context({**STYLE, "svg.hashsalt": title}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about letters that the font lacks
        figure = Figure(figsize=(5.2, 3.9), layout="constrained")
        draw(figure.subplots())
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r' width="[\d.]+pt" height="[\d.]+pt"', "", text, count=1)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for color, name in VARIABLES.items():
        text = text.replace(color, f"var(--{name}, {color})")
    return text


def _sample(rows: HeldOut) -> np.ndarray:
    """Return the positions of the rows to draw."""
    count = len(rows.target)
    return np.random.default_rng(0).permutation(count)[:MAX_POINTS] if count > MAX_POINTS else np.arange(count)


def _tick(value: float, _: object) -> str:
    return number(value)


def _ticks(limits: tuple[float, float]) -> int:
    """Return how many ticks a horizontal axis has room for."""
    return 5 if max(len(number(limit)) for limit in limits) < len("100,000") else 3


def _numbers(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(_ticks(axes.get_xlim())))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(_tick))


def _regression(rows: HeldOut) -> dict[str, Draw]:
    drawn = _sample(rows)
    actual = rows.target.to_numpy(np.float64)[drawn]
    predicted = rows.predicted.astype(np.float64)[drawn]
    size = 18 if len(drawn) < 500 else 8

    def against(axes: Axes) -> None:
        ends = [min(actual.min(), predicted.min()), max(actual.max(), predicted.max())]
        axes.plot(ends, ends, color=GREY, linewidth=1, zorder=3)
        axes.scatter(actual, predicted, s=size, alpha=0.45, color=BLUE, linewidths=0)
        axes.set(xlabel=f"actual {rows.target.name}", ylabel="predicted")
        _numbers(axes)

    def residuals(axes: Axes) -> None:
        axes.axhline(0, color=GREY, linewidth=1, zorder=3)
        axes.scatter(predicted, actual - predicted, s=size, alpha=0.45, color=BLUE, linewidths=0)
        axes.set(xlabel="predicted", ylabel="actual minus predicted")
        _numbers(axes)

    return {"Predicted against actual": against, "Residuals": residuals}


def _classification(rows: HeldOut, found: Diagnosis) -> dict[str, Draw]:
    probabilities = rows.probabilities
    if probabilities is None:
        return {}
    frequent = [label for label in rows.target.value_counts().index if label in rows.classes]
    labels = [positive_class(rows)] if len(rows.classes) == 2 else frequent[:MAX_CLASSES]
    curves = [(label, rows.target.to_numpy() == label, probabilities[:, rows.classes.index(label)]) for label in labels]
    curves = [curve for curve in curves if curve[1].any()]

    def precision_recall(axes: Axes) -> None:
        for color, (label, is_label, probability) in zip(COLORS, curves, strict=False):
            precision, recall, _ = precision_recall_curve(is_label, probability, drop_intermediate=True)
            axes.plot(recall, precision, color=color, drawstyle="steps-post", label=str(label)[:MAX_NAME])
        if len(curves) == 1:
            axes.axhline(curves[0][1].mean(), color=GREY, linewidth=1)
        for marker, entry in zip("os", found.thresholds, strict=False):
            if entry["precision"] is not None:
                point = (entry["recall"], entry["precision"])
                text = f"threshold {number(entry['threshold'])}"
                axes.plot(*point, color=ORANGE, marker=marker, markersize=6, linestyle="", label=text)
        axes.set(xlabel="recall", ylabel="precision", ylim=(0, 1.03), xlim=(0, 1.03))
        _legend(axes, "lower left", len(frequent))

    def calibration(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
        for color, (label, is_label, probability) in zip(COLORS, curves, strict=False):
            bins = min(8, max(2, len(is_label) // 20))
            observed, expected = calibration_curve(is_label, probability, n_bins=bins, strategy="quantile")
            axes.plot(expected, observed, color=color, marker="o", markersize=4, label=str(label)[:MAX_NAME])
        axes.set(xlabel="predicted probability", ylabel="observed frequency", ylim=(-0.03, 1.03), xlim=(-0.03, 1.03))
        _legend(axes, "upper left", len(frequent))

    return {"Precision and recall": precision_recall, "Calibration": calibration} if curves else {}


def _legend(axes: Axes, place: Literal["lower left", "upper left"], classes: int) -> None:
    """Name the curves: inside the axes for two classes, else below them, where no curve is covered."""
    handles, names = axes.get_legend_handles_labels()
    if classes <= 2:
        axes.legend(loc=place)
        return
    figure = axes.get_figure(root=True)
    assert figure is not None
    columns = 4 if max(map(len, names)) <= MAX_NAME // 2 else 2
    title = f"the {len(names)} most frequent of {classes} classes" if len(names) < classes else None
    figure.legend(handles, names, loc="outside lower center", ncols=columns, fontsize=9, title=title, title_fontsize=9)


def _importance(axes: Axes, found: Diagnosis, settings: SearchSettings) -> None:
    table = found.importance[:MAX_COLUMNS][::-1]
    names = [name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…" for name in table["column"]]
    axes.barh(range(len(names)), table["mean"], xerr=table["spread"], color=BLUE, ecolor=ORANGE)
    axes.set_yticks(range(len(names)), names, fontsize=9)
    change = "increase" if settings.is_error else "decrease"
    axes.set_xlabel(f"{change} in {settings.metric} when shuffled")
    axes.xaxis.set_major_locator(MaxNLocator(_ticks(axes.get_xlim())))
    axes.xaxis.set_major_formatter(FuncFormatter(_tick))


def _over_time(axes: Axes, found: Diagnosis, loss_name: str) -> None:
    starts = [entry["start"] for entry in found.periods]
    axes.plot(starts, [entry["loss"] for entry in found.periods], color=BLUE, marker="o", markersize=4)
    axes.set(xlabel=found.periods[0]["column"], ylabel=loss_name)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(DateFormatter("%Y-%m-%d"))  # type: ignore[no-untyped-call]
    axes.yaxis.set_major_formatter(FuncFormatter(_tick))


def _history(axes: Axes, history: list[float], metric: str) -> None:
    axes.plot(range(1, len(history) + 1), history, color=BLUE, marker="o", markersize=4, drawstyle="steps-post")
    axes.set(xlabel="generation", ylabel=f"best {metric} so far, cross-validated")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(_tick))
