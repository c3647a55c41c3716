"""The report's pictures, as PNG bytes by their title.

Rule: a picture shows held-out rows only, at most ROWS of them, and can be read without its neighbours.
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

from train.data import Split, Task
from train.search import Settings

ROWS = 3000
REPEATS = 5  # shuffles of each column
SHOWN = 20  # columns
CLASSES = 10  # curves in one picture
BLUE, GREY, ORANGE = "#1a66d0", "#9aa5b1", "#e07b00"

Draw = Callable[[Axes], None]


def figures(model: Pipeline, split: Split, task: Task, history: list[float], settings: Settings) -> dict[str, bytes]:
    """Return every picture that this kind of model has."""
    features = split.test_features[:ROWS]
    target = split.test_target[:ROWS]
    drawn = _regression(model, features, target) if task == "regression" else _classification(model, features, target)
    drawn["Permutation importance"] = _importance(model, features, target, settings)
    if history:
        drawn["Score by generation"] = lambda axes: _history(axes, history, settings.metric)
    return {title: _png(draw) for title, draw in drawn.items()}


def _png(draw: Draw) -> bytes:
    figure = Figure(figsize=(5.6, 4.4), dpi=144, layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that the font lacks is a box
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
    """Return how large a point may be, so that many of them do not hide each other."""
    return 20.0 if len(points) < 500 else 7.0


def _classification(model: Pipeline, features: pd.DataFrame, target: pd.Series) -> dict[str, Draw]:
    classes = list(model.classes_)
    shown = classes[-1:] if len(classes) == 2 else classes[:CLASSES]

    def confusion(axes: Axes) -> None:
        ConfusionMatrixDisplay.from_predictions(
            target, model.predict(features), labels=classes, cmap="Blues", colorbar=False, ax=axes,
            include_values=len(classes) <= CLASSES, xticks_rotation="vertical" if len(classes) > 4 else "horizontal",
        )  # fmt: skip

    drawn: dict[str, Draw] = {"Confusion matrix": confusion}
    if not hasattr(model, "predict_proba"):
        return drawn
    probabilities = model.predict_proba(features)

    def roc(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
        for label in shown:
            RocCurveDisplay.from_predictions(
                target == label, probabilities[:, classes.index(label)], name=str(label), ax=axes
            )
        axes.set(xlabel="share of other rows taken for the class", ylabel="share of the class's rows found")

    def calibration(axes: Axes) -> None:
        for label in shown:
            CalibrationDisplay.from_predictions(
                target == label, probabilities[:, classes.index(label)], n_bins=8, name=str(label), ax=axes
            )
        axes.set(xlabel="predicted probability", ylabel="share of rows that are of the class")

    return drawn | {"ROC curve": roc, "Calibration": calibration}


def _importance(model: Pipeline, features: pd.DataFrame, target: pd.Series, settings: Settings) -> Draw:
    found = permutation_importance(
        model, features, target, scoring=settings.scorer, n_repeats=REPEATS, random_state=settings.seed
    )
    order = np.argsort(found.importances_mean)[-SHOWN:]

    def draw(axes: Axes) -> None:
        names = [str(features.columns[i]) for i in order]
        axes.barh(names, found.importances_mean[order], xerr=found.importances_std[order], color=BLUE, ecolor=ORANGE)
        axes.set_xlabel(f"loss in {settings.metric} when the column is shuffled")
        axes.tick_params(axis="y", labelsize=8)

    return draw


def _history(axes: Axes, history: list[float], metric: str) -> None:
    axes.plot(range(1, len(history) + 1), history, color=BLUE, marker="o", drawstyle="steps-post")
    axes.set(xlabel="generation", ylabel=f"best {metric} so far, cross-validated")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
