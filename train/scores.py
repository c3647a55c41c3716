"""How good a model is on held-out rows, beside what needs no model at all.

Rule: the same measures for the model and for the baseline, so that each number can be read against its
neighbour.
"""

import pandas as pd
from sklearn import metrics
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor

from train.data import Split, Task

Scores = dict[str, float]


def measure(model: BaseEstimator, features: pd.DataFrame, target: pd.Series, task: Task) -> Scores:
    """Return the measures of a fitted model on these rows, by name."""
    predicted = model.predict(features)
    if task == "regression":
        return {
            "MAE": float(metrics.mean_absolute_error(target, predicted)),
            "RMSE": float(metrics.root_mean_squared_error(target, predicted)),
            "R2": float(metrics.r2_score(target, predicted)),
        }
    probabilities = model.predict_proba(features)
    return {
        "accuracy": float(metrics.accuracy_score(target, predicted)),
        "balanced accuracy": float(metrics.balanced_accuracy_score(target, predicted)),
        "log loss": float(metrics.log_loss(target, probabilities, labels=model.classes_)),
    }


def baseline(split: Split, task: Task) -> Scores:
    """Return the measures of always answering with the median, or with each class's share."""
    dummy = DummyRegressor(strategy="median") if task == "regression" else DummyClassifier(strategy="prior")
    dummy.fit(split.train_features, split.train_target)
    return measure(dummy, split.test_features, split.test_target, task)


def table(model: Scores, base: Scores) -> str:
    """Return the measures as a small text table."""
    width = max(len("held-out rows"), *map(len, model))
    lines = [f"{'held-out rows':<{width}}  {'model':>12}  {'baseline':>12}"]
    lines += [f"{name:<{width}}  {value:>12.5g}  {base[name]:>12.5g}" for name, value in model.items()]
    return "\n".join(lines)
