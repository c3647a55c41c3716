"""What the report says about a model beyond its scores: where it errs, and what it relies on.

Everything here is about held-out rows. The loss of a row is the absolute error of a regression; for a classification it
is the log loss of the row's class, or 1 for a wrong class where the model has no probabilities.
"""

import dataclasses
import functools
import time
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.metrics import precision_recall_curve
from sklearn.pipeline import Pipeline

from train.data import Task
from train.measure import log_losses, probability_of, score
from train.numbers import number
from train.search import SearchSettings
from train.split import Split

MAX_ROWS = 3000  # for the importance, which predicts them many times
SHUFFLES = 5  # of each column
IMPORTANCE_SECONDS = 5.0
MIN_IMPORTANCE_ROWS = 300
SEGMENTED = 4  # columns
SEGMENTS = 6  # of a column with categories
MIN_ROWS = 10  # of a segment or period; the mean of fewer says little
PERIODS = 12
WORST = 10
TINY = 1e-15
SHOWN_COLUMNS = 6  # of the worst rows


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Held-out rows with the model's answers; `probabilities` has a column for each class, in `classes`' order."""

    features: pd.DataFrame
    target: pd.Series
    task: Task
    predicted: np.ndarray
    probabilities: np.ndarray | None
    classes: list[Any]

    @classmethod
    def of(cls, model: Pipeline, split: Split, task: Task) -> Self:
        """Ask a fitted model about the held-out rows."""
        features, target = split.test_features, split.test_target
        probabilities = model.predict_proba(features) if hasattr(model, "predict_proba") else None
        classes = list(getattr(model, "classes_", ()))
        return cls(features, target, task, np.asarray(model.predict(features)), probabilities, classes)

    @property
    def loss(self) -> np.ndarray:
        """The loss of each row."""
        if self.task == "regression":
            loss = np.abs(self.predicted.astype(np.float64) - self.target.to_numpy(np.float64))
        elif self.probabilities is None:
            loss = self.predicted != self.target.to_numpy()
        else:
            loss = log_losses(self.target, self.probabilities, self.classes)
        return np.asarray(loss, np.float64)

    @property
    def loss_name(self) -> str:
        if self.task == "regression":
            return "mean absolute error"
        return "log loss" if self.probabilities is not None else "share of wrong classes"


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """Tables for the report, one row per entry; an empty one is left out."""

    importance: pd.DataFrame  # column, mean, spread; the most important first
    segments: list[dict[str, Any]]
    periods: list[dict[str, Any]]
    worst: list[dict[str, Any]]
    thresholds: list[dict[str, Any]]
    confusions: list[dict[str, Any]]


def diagnose(model: Pipeline, rows: HeldOut, settings: SearchSettings) -> Diagnosis:
    """Look at the answers of a fitted model."""
    importance = _importance(model, rows, settings)
    order = list(importance["column"])
    return Diagnosis(
        importance,
        [entry for name in order[:SEGMENTED] for entry in _segments(rows, name)],
        _periods(rows),
        _worst(rows, order[:SHOWN_COLUMNS]),
        _thresholds(rows),
        _confusions(rows),
    )


def positive_class(rows: HeldOut) -> Any:
    """Return the rarer of two classes, which is usually the one that people look for."""
    return rows.target.value_counts().reindex(rows.classes, fill_value=0).idxmin()


def _importance(model: Pipeline, rows: HeldOut, settings: SearchSettings) -> pd.DataFrame:
    """Return how much worse the score gets when a column is shuffled, on fewer rows if that would take long."""
    features = rows.features.sample(min(MAX_ROWS, len(rows.features)), random_state=settings.seed)
    scoring = functools.partial(score, scorer=settings.scorer)
    begin = time.monotonic()
    scoring(model, features, rows.target[features.index])
    affordable = IMPORTANCE_SECONDS / max(time.monotonic() - begin, 1e-6) / len(features.columns)  # shuffles of each
    shuffles = max(1, min(SHUFFLES, int(affordable)))
    features = features[: max(MIN_IMPORTANCE_ROWS, int(len(features) * affordable))]
    target = rows.target[features.index]
    found = permutation_importance(
        model, features, target, scoring=scoring, n_repeats=shuffles, random_state=settings.seed
    )
    table = pd.DataFrame(
        {
            "column": [str(name) for name in features],
            "mean": found.importances_mean,
            "spread": found.importances_std,
        }
    )
    return table.sort_values("mean", ascending=False, kind="stable", ignore_index=True)


def _segments(rows: HeldOut, name: str) -> list[dict[str, Any]]:
    """Return the mean loss by quarters of a number, or by the most frequent values of another column."""
    values = rows.features[name]
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return []
    if pd.api.types.is_numeric_dtype(values.dtype) and values.nunique() > SEGMENTS:
        numbers = values.astype(np.float64)
        quarters = numbers.groupby(pd.qcut(numbers, 4, duplicates="drop", labels=False))
        first, last = quarters.transform("min"), quarters.transform("max")
        labels = first.map(number).str.cat(last.map(number), sep=" to ").astype(object)
    else:
        frequent = values.value_counts().index[:SEGMENTS]
        labels = values.astype(object).where(values.isin(frequent) | values.isna(), "other values")
    labels = labels.where(values.notna(), "NULL")
    frame = pd.DataFrame({"loss": rows.loss, "label": labels.astype(str).to_numpy()})
    if rows.task == "regression":
        frame["bias"] = rows.predicted.astype(np.float64) - rows.target.to_numpy(np.float64)
    found = []
    for label, part in frame.groupby("label", sort=False):
        if len(part) >= MIN_ROWS:
            bias = float(part["bias"].mean()) if "bias" in part else None
            found.append(
                {"column": name, "values": label, "rows": len(part), "loss": float(part["loss"].mean()), "bias": bias}
            )
    return sorted(found, key=lambda entry: -entry["loss"]) if len(found) > 1 else []


def _periods(rows: HeldOut) -> list[dict[str, Any]]:
    """Return the mean loss by periods of equal length, if a column has dates."""
    dates = rows.features.select_dtypes(["datetime", "datetimetz"])
    if dates.empty:
        return []
    name = dates.columns[0]
    values = dates[name]
    if values.nunique() < PERIODS:
        return []
    starts = pd.cut(values, PERIODS).cat.rename_categories(lambda part: part.left).astype(object)
    frame = pd.DataFrame({"start": starts.to_numpy(), "loss": rows.loss}).dropna()
    found = [
        {"column": str(name), "start": start, "rows": len(part), "loss": float(part["loss"].mean())}
        for start, part in frame.groupby("start")
        if len(part) >= MIN_ROWS
    ]
    return found if len(found) > 1 else []


def _worst(rows: HeldOut, columns: list[str]) -> list[dict[str, Any]]:
    found = []
    loss = rows.loss
    actual_share = None
    if rows.probabilities is not None:
        actual_share = probability_of(rows.target, rows.probabilities, rows.classes)
    for at in np.argsort(-loss, kind="stable")[:WORST]:
        entry = {"row": rows.target.index[at], "actual": rows.target.iloc[at], "predicted": rows.predicted[at]}
        if rows.task == "regression":
            entry["error"] = float(entry["predicted"]) - float(entry["actual"])
        elif actual_share is not None:
            entry["probability of the actual class"] = float(actual_share[at])
        found.append(entry | {"columns": {name: rows.features[name].iloc[at] for name in columns}})
    return found


def _thresholds(rows: HeldOut) -> list[dict[str, Any]]:
    """Return what 0.5 and the threshold with the best F1 would find of the rarer of two classes."""
    if len(rows.classes) != 2 or rows.probabilities is None:
        return []
    positive = positive_class(rows)
    probability = rows.probabilities[:, rows.classes.index(positive)]
    is_positive = rows.target.to_numpy() == positive
    if not is_positive.any():
        return []
    precision, recall, thresholds = precision_recall_curve(is_positive, probability)
    f1 = 2 * precision * recall / np.maximum(precision + recall, TINY)
    best = float(thresholds[int(np.argmax(f1[:-1]))])
    found = []
    for name, threshold in (("the default", 0.5), ("the best F1 of these rows", best)):
        flagged = probability >= threshold
        hits = int((flagged & is_positive).sum())
        found.append(
            {
                "name": name,
                "class": positive,
                "threshold": threshold,
                "precision": hits / int(flagged.sum()) if flagged.any() else None,
                "recall": hits / int(is_positive.sum()),
                "flagged": int(flagged.sum()),
            }
        )
    return found


def _confusions(rows: HeldOut) -> list[dict[str, Any]]:
    """Return how many rows of a class got which prediction, the most frequent mistakes first."""
    if rows.task == "regression":
        return []
    pairs = pd.DataFrame({"actual": rows.target.to_numpy(), "predicted": rows.predicted}).value_counts()
    of_class = rows.target.value_counts()
    wrong = [(pair, int(count)) for pair, count in pairs.items() if pair[0] != pair[1]]
    return [
        {"actual": actual, "predicted": predicted, "rows": count, "share": count / int(of_class[actual])}
        for (actual, predicted), count in wrong[:WORST]
    ]
