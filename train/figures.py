"""The figures of the report, as PNG bytes by title.

A figure shows held-out rows only, at most MAX_ROWS of them, and makes sense without the other figures.
"""

import io
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.calibration import CalibrationDisplay
from sklearn.inspection import permutation_importance
from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay
from sklearn.pipeline import Pipeline

from train.data import Task
from train.search import SearchSettings
from train.split import Split

MAX_ROWS = 3000
MAX_COLUMNS = 20  # of the importance figure
MAX_CLASSES = 10  # of one figure
SHUFFLES = 5  # of each column
BLUE, GREY, ORANGE = "#1a66d0", "#9aa5b1", "#e07b00"

Draw = Callable[[Axes], None]


def figures(
    model: Pipeline, split: Split, task: Task, history: list[float], settings: SearchSettings
) -> dict[str, bytes]:
    """Return the figures for a fitted model of this task; `history` is the best score of each generation."""
    features = split.test_features[:MAX_ROWS]
    target = split.test_target[:MAX_ROWS]
    task_figures = _regression if task == "regression" else _classification
    drawings = task_figures(model, features, target)
    drawings["Permutation importance"] = _importance(model, features, target, settings)
    if history:
        drawings["Score by generation"] = lambda axes: _history(axes, history, settings.metric)
    return {title: _png(draw) for title, draw in drawings.items()}


def _png(draw: Draw) -> bytes:
    figure = Figure(figsize=(5.6, 4.4), dpi=144, layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about letters that the font lacks
        draw(axes)
        file = io.BytesIO()
        figure.savefig(file)
    return file.getvalue()


def _regression(model: Pipeline, features: pd.DataFrame, target: pd.Series) -> dict[str, Draw]:
    actual = target.to_numpy(np.float64)
    predicted = np.asarray(model.predict(features), np.float64)

    def against(axes: Axes) -> None:
        ends = [min(actual.min(), predicted.min()), max(actual.max(), predicted.max())]
        axes.plot(ends, ends, color=GREY, linewidth=1, zorder=3)
        axes.scatter(actual, predicted, s=_size(actual), alpha=0.35, color=BLUE, linewidths=0)
        axes.set(xlabel=f"actual {target.name}", ylabel="predicted")

    def residuals(axes: Axes) -> None:
        axes.axhline(0, color=GREY, linewidth=1, zorder=3)
        axes.scatter(predicted, actual - predicted, s=_size(actual), alpha=0.35, color=BLUE, linewidths=0)
        axes.set(xlabel="predicted", ylabel="actual minus predicted")

    return {"Predicted against actual": against, "Residuals": residuals}


def _size(points: np.ndarray) -> float:
    """Return the marker size, smaller for many points so that they do not hide each other."""
    return 20.0 if len(points) < 500 else 7.0


def _classification(model: Pipeline, features: pd.DataFrame, target: pd.Series) -> dict[str, Draw]:
    classes = list(model.classes_)
    curves = classes[-1:] if len(classes) == 2 else classes[:MAX_CLASSES]

    def confusion(axes: Axes) -> None:
        ConfusionMatrixDisplay.from_predictions(
            target, model.predict(features), labels=classes, include_values=len(classes) <= MAX_CLASSES,
            xticks_rotation="vertical" if len(classes) > 4 else "horizontal", cmap="Blues", colorbar=False, ax=axes,
        )  # fmt: skip

    drawings: dict[str, Draw] = {"Confusion matrix": confusion}
    if not hasattr(model, "predict_proba"):
        return drawings
    probabilities = model.predict_proba(features)

    def roc(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
        for label in curves:
            RocCurveDisplay.from_predictions(
                target == label, probabilities[:, classes.index(label)], name=str(label), ax=axes
            )
        axes.set(xlabel="false positive rate", ylabel="true positive rate")

    def calibration(axes: Axes) -> None:
        for label in curves:
            CalibrationDisplay.from_predictions(
                target == label, probabilities[:, classes.index(label)], n_bins=8, name=str(label), ax=axes
            )
        axes.set(xlabel="predicted probability", ylabel="observed frequency")

    return drawings | {"ROC curve": roc, "Calibration": calibration}


def _importance(model: Pipeline, features: pd.DataFrame, target: pd.Series, settings: SearchSettings) -> Draw:
    importance = permutation_importance(
        model, features, target, scoring=settings.scorer, n_repeats=SHUFFLES, random_state=settings.seed
    )
    order = np.argsort(importance.importances_mean)[-MAX_COLUMNS:]

    def draw(axes: Axes) -> None:
        names = [str(features.columns[i]) for i in order]
        means, deviations = importance.importances_mean[order], importance.importances_std[order]
        axes.barh(names, means, xerr=deviations, color=BLUE, ecolor=ORANGE)
        change = "increase" if settings.is_error else "decrease"
        axes.set_xlabel(f"{change} in {settings.metric} when the column is shuffled")
        axes.tick_params(axis="y", labelsize=8)

    return draw


def _history(axes: Axes, history: list[float], metric: str) -> None:
    axes.plot(range(1, len(history) + 1), history, color=BLUE, marker="o", drawstyle="steps-post")
    axes.set(xlabel="generation", ylabel=f"best {metric} so far, cross-validated")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
