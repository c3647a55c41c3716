"""Measures a pipeline: fits it in each fold, scores it on the other rows, and takes the time.

Every fit has a limit in seconds, the final one included: what a fit costs isn't known before, and boosting for 20
classes grows 20 trees where a regression grows one.
"""

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from func_timeout import FunctionTimedOut, func_timeout
from sklearn import metrics
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from train.split import Folds

FEW_ROWS = 1000  # always fitted, without a limit


@dataclasses.dataclass(frozen=True)
class Measured:
    pipeline: Pipeline  # unfitted
    score: float  # the mean over the folds, of a scikit-learn scorer
    seconds: float  # of all fits and scores
    fit_seconds: float  # of the longest fit
    generation: int = 1


def best_of(tried: Sequence[Measured]) -> Measured:
    """Return the pipeline with the best score, the first of several."""
    return max(tried, key=lambda each: each.score)


def measure(pipeline: Pipeline, features: pd.DataFrame, target: pd.Series, folds: Folds, scorer: str) -> Measured:
    """Return the cross-validated score of an unfitted pipeline, and how long that took."""
    started, scores, fits = time.monotonic(), [], []
    for fitted_rows, scored_rows in folds:
        begin = time.monotonic()
        model = clone(pipeline).fit(features.iloc[fitted_rows], target.iloc[fitted_rows])
        fits.append(time.monotonic() - begin)
        scores.append(score(model, features.iloc[scored_rows], target.iloc[scored_rows], scorer))
    return Measured(pipeline, float(np.mean(scores)), time.monotonic() - started, max(fits))


def measure_alone(*arguments: Any) -> Measured:
    """Do the same with one thread and without warnings."""
    with _alone():
        return measure(*arguments)


def score(model: BaseEstimator, features: pd.DataFrame, target: pd.Series, scorer: str) -> float:
    """Return the score of a fitted model by a scikit-learn scorer.

    For the log loss, the classes of the model and of the target may differ, where scikit-learn raises an error.
    """
    if scorer == "neg_log_loss":
        return -float(np.mean(log_losses(target, model.predict_proba(features), model.classes_)))
    return float(metrics.get_scorer(scorer)(model, features, target))


def log_losses(target: pd.Series, probabilities: np.ndarray, classes: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Return the log loss of each row, given a column of probabilities for each class that the model knows."""
    of_actual = probability_of(target, probabilities, classes)
    return np.asarray(-np.log(np.maximum(of_actual, np.finfo(probabilities.dtype).eps)))


def probability_of(target: pd.Series, probabilities: np.ndarray, classes: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Return the probability that a model gave to the class of each row; 0 for a class that it doesn't know."""
    at = pd.Index(classes).get_indexer(pd.Index(target))
    return np.where(at < 0, 0.0, probabilities[np.arange(len(at)), at])


def fit_in_time(
    pipeline: Pipeline, features: pd.DataFrame, target: pd.Series, rows: int, seconds: float, seed: int
) -> tuple[Pipeline, int]:
    """Return the pipeline, fitted on `rows` random rows or on fewer if that takes longer, and the number of rows."""
    while True:
        rows = min(rows, len(features))
        part = features if rows == len(features) else features.sample(rows, random_state=seed)
        arguments = (clone(pipeline), part, target[part.index])
        if rows <= FEW_ROWS:
            return _fit(*arguments), rows
        try:
            return func_timeout(seconds, _fit, arguments), rows
        except FunctionTimedOut:
            rows = max(FEW_ROWS, rows // 4)


def _fit(pipeline: Pipeline, features: pd.DataFrame, target: pd.Series) -> Pipeline:
    with _alone():
        return pipeline.fit(features, target)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Let the block fit with one thread and without warnings; OpenMP reads the limit of the thread that fits."""
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        yield


def fit_on_all(
    pipeline: Pipeline, features: pd.DataFrame, target: pd.Series, seconds: float, seed: int
) -> Pipeline | None:
    """Return a copy of the pipeline, fitted on all of these rows; None if that takes too long."""
    fitted, rows = fit_in_time(pipeline, features, target, len(target), seconds, seed)
    return fitted if rows == len(target) else None
