"""Scores on held-out rows: the model compared with a baseline without features and a linear model.

All three get the same measures, so each number can be read against its neighbors.
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

from train.data import Data, Task
from train.errors import OptionError
from train.features import Columns, encoder
from train.measure import fit_in_time, score
from train.split import Split

Scores = dict[str, float]  # measure -> value

BASELINE_SECONDS = 5.0  # for one fit
# Of the linear model, which is also the first pipeline that a search measures.
LINEAR_RARE = 0.002  # share of the rows from which a category has a column
LINEAR_ITERATIONS = 300  # of logistic regression
DEFAULT_SCORERS = {"regression": "neg_mean_absolute_error", "classification": "neg_log_loss"}


def evaluate(model: BaseEstimator, features: pd.DataFrame, target: pd.Series, task: Task) -> Scores:
    """Return the measures of a fitted model on these rows."""
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
        scores["log loss"] = -score(model, features, target, "neg_log_loss")
    return scores


def fit_baselines(split: Split, task: Task, optional: Collection[str]) -> dict[str, BaseEstimator]:
    """Return a constant prediction (the median, or each class's share) and a linear model, fitted."""
    constant = DummyRegressor(strategy="median") if task == "regression" else DummyClassifier(strategy="prior")
    linear = RidgeCV() if task == "regression" else LogisticRegression(max_iter=LINEAR_ITERATIONS)
    prepare = encoder(Columns.of(split.train_features, optional), rare=LINEAR_RARE)
    models = {"baseline": constant, "linear": make_pipeline(prepare, StandardScaler(), linear)}
    features, target = split.train_features, split.train_target
    # A linear model that doesn't converge, or sees a part of the rows only, is a baseline all the same.
    return {
        name: fit_in_time(model, features, target, len(target), BASELINE_SECONDS, seed=0)[0]
        for name, model in models.items()
    }


def choose_scorer(data: Data, name: str | None) -> str:
    """Return the scikit-learn scorer to optimize: the named one, or the default of the task.

    Raise OptionError when the scorer does not exist or cannot score this target.
    """
    default = DEFAULT_SCORERS[data.task]
    if name is None:
        return default
    if name not in metrics.get_scorer_names():
        raise OptionError(f"--scorer {name!r} is not a scikit-learn scorer; expected a name such as {default!r}.")
    dummy = DummyRegressor() if data.task == "regression" else DummyClassifier(strategy="stratified", random_state=0)
    dummy.fit(data.features, data.target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            metrics.get_scorer(name)(dummy, data.features, data.target)
        except (ValueError, TypeError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            raise OptionError(
                f"--scorer {name!r} cannot score {data.target.name!r}, a {data.task} target: {reason}"
            ) from error
    return name


def table(scores: dict[str, Scores]) -> str:
    """Return the measures as a text table with a column for each model."""
    measures = list(scores["model"])
    width = max(len("held-out rows"), *map(len, measures))
    lines = [f"{'held-out rows':<{width}}" + "".join(f"  {name:>12}" for name in scores)]
    for measure in measures:
        lines.append(f"{measure:<{width}}" + "".join(f"  {values[measure]:>12.5g}" for values in scores.values()))
    return "\n".join(lines)
