"""The verdict says better, worse or no different, and is right about the noise."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from train.data import Task
from train.search import SearchSettings
from train.verdict import Verdict, verdict

COUNT = 600
RANDOM = np.random.default_rng(0)
ROWS = pd.DataFrame(RANDOM.normal(size=(COUNT, 3)), columns=list("abc"))
NOISE = RANDOM.normal(size=COUNT)
LINEAR = pd.Series(ROWS.a * 3 + NOISE)
CURVED = pd.Series(ROWS.a**2 * 3 + ROWS.b + NOISE)
PURE_NOISE = pd.Series(RANDOM.normal(size=COUNT))


def judged(model: BaseEstimator, target: pd.Series, task: Task = "regression", scorer: str | None = None) -> Verdict:
    """Fit on one half and return the verdict on the other."""
    scorer = scorer or ("neg_mean_absolute_error" if task == "regression" else "neg_log_loss")
    settings = SearchSettings(1, None, 2, 0, 1, scorer, "plain", None)
    if task == "regression":
        models = {"model": model, "baseline": DummyRegressor(strategy="median"), "linear": LinearRegression()}
    else:
        models = {"model": model, "baseline": DummyClassifier(strategy="prior"), "linear": LogisticRegression()}
    for each in models.values():
        each.fit(ROWS[:300], target[:300])
    rmse = None
    if task == "regression":
        errors = {name: each.predict(ROWS[300:]) - target[300:] for name, each in models.items()}
        rmse = {name: float(np.sqrt(np.mean(each**2))) for name, each in errors.items()}
    return verdict(models, ROWS[300:], target[300:], task, settings, 1.0, rmse)


def test_better_than_both_is_said_with_shares() -> None:
    """A model that beats both says by how much, and each interval excludes zero."""
    found = judged(HistGradientBoostingRegressor(), CURVED)
    assert re.match(
        r"The model is [\d.]+% better than guessing and [\d.]+% better than the linear model", found.sentence
    )
    assert found.against["linear"].interval[0] > 0
    assert not found.worse_than_guessing


def test_the_linear_model_itself_is_as_good() -> None:
    """A model equal to the linear one is called as good."""
    assert (
        " better than guessing, beyond the noise of the held-out rows, and as good as the linear model"
        in judged(LinearRegression(), LINEAR).sentence
    )


def test_worse_than_linear_is_said() -> None:
    """A model that is worse than the linear one beyond the noise says so, in the RMSE too."""
    found = judged(HistGradientBoostingRegressor(max_iter=10), LINEAR)
    assert re.search(r" better than guessing but [\d.]+% worse than the linear model, beyond", found.sentence)
    assert "; the linear model is ahead in RMSE (" in found.sentence


@pytest.mark.check
def test_worse_than_guessing_is_said() -> None:
    """Noise that was learned by heart is worse than a constant, and than the cross-validated score says."""
    found = judged(DecisionTreeClassifier(), PURE_NOISE > 0, "classification")
    assert found.sentence.startswith("The model is worse than guessing, a constant prediction with log loss ")
    assert "; the held-out rows are worse than cross-validation, beyond the noise" in found.sentence
    assert found.worse_than_guessing


@pytest.mark.check
@pytest.mark.parametrize("scorer", ["roc_auc", "accuracy", "f1", "neg_log_loss"])
def test_other_scorers_have_intervals(scorer: str) -> None:
    """Scorers of classes and of probabilities have a verdict, too."""
    found = judged(LogisticRegression(), LINEAR > 0, "classification", scorer)
    low, high = found.intervals["model"]
    assert low < found.heldout < high
    assert re.match(r"The model is [\d.]+%? better than guessing", found.sentence)


def test_interval_covers_the_difference_of_other_rows() -> None:
    """The interval is about as wide as the differences on other rows of the same kind spread."""
    found = judged(HistGradientBoostingRegressor(), CURVED)
    low, high = found.intervals["model"]
    errors = np.abs(CURVED[300:] - HistGradientBoostingRegressor().fit(ROWS[:300], CURVED[:300]).predict(ROWS[300:]))
    assert (high - low) / 2 == pytest.approx(1.96 * errors.std() / np.sqrt(300), rel=0.3)
