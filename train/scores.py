"""How good a model is on held-out rows, beside what needs no model at all and beside a straight line.

Rule: the same measures for all three, so that each number can be read against its neighbours.
"""

import warnings
from collections.abc import Collection

import pandas as pd
from sklearn import metrics
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from train.data import Data, Split, Task
from train.errors import TrainError
from train.features import preparation

Scores = dict[str, float]

SCORERS = {"regression": "neg_mean_absolute_error", "classification": "neg_log_loss"}


def measure(model: BaseEstimator, features: pd.DataFrame, target: pd.Series, task: Task) -> Scores:
    """Return the measures of a fitted model on these rows, by name."""
    predicted = model.predict(features)
    if task == "regression":
        return {
            "MAE": float(metrics.mean_absolute_error(target, predicted)),
            "RMSE": float(metrics.root_mean_squared_error(target, predicted)),
            "R2": float(metrics.r2_score(target, predicted)),
        }
    scores = {
        "accuracy": float(metrics.accuracy_score(target, predicted)),
        "balanced accuracy": float(metrics.balanced_accuracy_score(target, predicted)),
    }
    if hasattr(model, "predict_proba"):
        scores["log loss"] = float(metrics.log_loss(target, model.predict_proba(features), labels=model.classes_))
    return scores


def scorer_for(data: Data, name: str | None) -> str:
    """Return the name of the scorer that the search shall use; raise when it cannot score such a target."""
    if name is None:
        return SCORERS[data.task]
    if name not in metrics.get_scorer_names():
        raise TrainError(f"--scorer {name!r} is none of scikit-learn's; a common one is {SCORERS[data.task]!r}.")
    dummy = DummyRegressor() if data.task == "regression" else DummyClassifier(strategy="stratified", random_state=0)
    dummy.fit(data.features, data.target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            metrics.get_scorer(name)(dummy, data.features, data.target)
        except (ValueError, TypeError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            raise TrainError(f"--scorer {name!r} cannot score {data.target.name!r}, a {data.task}: {reason}") from error
    return name


def beside(split: Split, task: Task, optional: Collection[str]) -> dict[str, Scores]:
    """Return the measures of always answering the median, or each class's share, and of a linear model."""
    baseline = DummyRegressor(strategy="median") if task == "regression" else DummyClassifier(strategy="prior")
    linear = RidgeCV() if task == "regression" else LogisticRegression(max_iter=1000)
    prepared = preparation(split.train_features, optional)
    found = {}
    for name, model in (
        ("baseline", baseline),
        ("linear", make_pipeline(prepared or "passthrough", StandardScaler(), linear)),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a line that does not fit
            model.fit(split.train_features, split.train_target)
        found[name] = measure(model, split.test_features, split.test_target, task)
    return found


def table(scores: dict[str, Scores]) -> str:
    """Return the measures as a small text table, a column for each model."""
    rows = list(scores["model"])
    width = max(len("held-out rows"), *map(len, rows))
    lines = [f"{'held-out rows':<{width}}" + "".join(f"  {name:>12}" for name in scores)]
    for row in rows:
        lines.append(f"{row:<{width}}" + "".join(f"  {found[row]:>12.5g}" for found in scores.values()))
    return "\n".join(lines)
