"""Plans of models that answer by another method than predict, or whose methods somebody replaced."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from loading.plan.attach import attach
from tests.loading.plan.grammar import as_model, rows_of, table
from tests.loading.plan.test_equality import compare

FRAME = table(np.random.default_rng(10), 100, "fff")
CLASSES = FRAME.f0 > FRAME.f0.median()


@pytest.mark.parametrize(
    ("method", "answers"),
    [
        ("predict_proba", "the plan"),
        ("predict_log_proba", "the model, since a plan doesn't cover it: it answers by predict_log_proba"),
    ],
)
def test_other_method(method: str, answers: str) -> None:
    """A model whose predict_fn is predict_proba has a plan of that; any other method has none."""
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, CLASSES)
    model = as_model(estimator, FRAME, getattr(estimator, method))
    model.method = method
    attach(model, load_seconds=1_000)
    assert model.info.answers == answers
    if model.plan:
        compare(model, rows_of(model, FRAME))


def _inner(forest: Any) -> tuple[Any, str]:
    return forest.estimators_[2], "predict"


@pytest.mark.parametrize(
    ("estimator", "replaced"),
    [
        (RandomForestRegressor(5), _inner),
        (LogisticRegression(), lambda model: (model, "decision_function")),
        (make_pipeline(StandardScaler(), LogisticRegression()), lambda model: (model, "predict")),
        (make_pipeline(StandardScaler(), LogisticRegression()), lambda model: (model[0], "transform")),
    ],
    ids=["a forest's tree", "decision_function", "a pipeline's predict", "a step's transform"],
)
def test_replaced_method(estimator: Any, replaced: Callable[[Any], tuple[Any, str]]) -> None:
    """A model with a method that was replaced on an instance has no plan, however seldom that changes an answer."""
    estimator.fit(FRAME, CLASSES)
    step, name = replaced(estimator)
    setattr(step, name, getattr(step, name))
    model = as_model(estimator, FRAME)
    attach(model, load_seconds=1_000)
    assert f"{type(step).__name__} has a {name} of its own" in model.info.answers


def test_early_stop() -> None:
    """A LightGBM model that skips trees for some rows, by a parameter that only its wrapper passes, does so."""
    estimator = LGBMClassifier(
        n_estimators=9, pred_early_stop=True, pred_early_stop_freq=2, pred_early_stop_margin=0.1, verbose=-1, n_jobs=1
    )
    model = as_model(estimator.fit(FRAME, CLASSES), FRAME)
    attach(model, load_seconds=1_000)
    assert model.info.answers == "the plan"
    compare(model, rows_of(model, FRAME))
