"""Every fit has a limit in seconds, and a score counts classes that a model never saw."""

import time

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression
from sklearn.metrics import get_scorer
from sklearn.pipeline import make_pipeline

from train.measure import FEW_ROWS, fit_in_time, measure, score
from train.split import Folding

ROWS = pd.DataFrame({"x": np.arange(5000.0)})
TARGET = pd.Series(np.arange(5000.0) * 2)


class Slow(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Never ends for more than a thousand rows."""

    def fit(self, X: pd.DataFrame, y: pd.Series) -> "Slow":
        while len(X) > FEW_ROWS:
            time.sleep(0.01)
        self.fitted_ = True
        return self


def test_fit_that_takes_too_long_gets_fewer_rows() -> None:
    """A fit that exceeds its limit is tried on fewer rows, down to those that are always fitted."""
    pipeline, rows = fit_in_time(make_pipeline(Slow()), ROWS, TARGET, 10_000, 0.05, seed=1)
    assert rows == FEW_ROWS
    assert pipeline[-1].fitted_


def test_fit_within_its_limit_gets_all_rows() -> None:
    """A quick fit gets the rows that it asks for, and the pipeline given stays unfitted."""
    given = make_pipeline(LinearRegression())
    pipeline, rows = fit_in_time(given, ROWS, TARGET, 10_000, 60, seed=1)
    assert rows == len(ROWS)
    assert pipeline.predict(ROWS[:1]) == pytest.approx(0, abs=1e-6)
    assert not hasattr(given[-1], "coef_")


def test_measure_is_the_mean_over_folds() -> None:
    """A perfect model has no error, and the times are taken."""
    folds = Folding("random", None, "regression", 0).folds(TARGET)
    found = measure(make_pipeline(LinearRegression()), ROWS, TARGET, folds, "neg_mean_absolute_error")
    assert found.score == pytest.approx(0, abs=1e-6)
    assert 0 < found.fit_seconds <= found.seconds


def test_class_that_a_model_never_saw_costs() -> None:
    """A class that the model never saw has a probability of zero, and one without rows is no error."""
    rows, model = pd.DataFrame([[0]] * 2), DummyClassifier(strategy="prior").fit([[0]] * 4, ["a", "a", "b", "b"])
    for labels, lowest, highest in [("ab", -0.7, -0.69), ("aa", -0.7, -0.69), ("ac", -np.inf, -10)]:
        assert lowest < score(model, rows, pd.Series(list(labels)), "neg_log_loss") < highest
    by_sklearn = get_scorer("neg_log_loss")(model, rows, pd.Series(["a", "b"]))
    assert score(model, rows, pd.Series(["a", "b"]), "neg_log_loss") == pytest.approx(by_sklearn)
