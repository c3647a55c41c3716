"""Plans of one-hots of thousands of categories, for which a table of all outputs would take too much memory."""

import tracemalloc
from typing import Any

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import settings
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, OrdinalEncoder, StandardScaler

from loading.plan import lookup
from loading.plan.attach import attach
from tests.loading.plan.grammar import as_model, fitted
from tests.loading.plan.test_equality import COMMON, Fitted, check_equality

CATEGORIES = 1_100  # squared, more than a table may have


def table(seed: int, rows: int) -> pd.DataFrame:
    """Return two columns of numbers and two of texts, of which the first has each category."""
    random = np.random.default_rng(seed)
    many = np.append(np.arange(CATEGORIES), random.integers(0, CATEGORIES, rows))[-rows:]
    texts = {"many": many, "few": random.integers(0, 4, rows)}
    columns = {name: pd.Series([f"c{value}" for value in values], dtype=object) for name, values in texts.items()}
    return pd.DataFrame({**columns, **{name: random.normal(size=rows) for name in "xy"}})


def check(encoder: Any, *steps: Any, sparse_threshold: float) -> None:
    """Assert that a model of the encoder and these steps has a plan that equals it to the last bit."""
    frame = table(1, 2 * CATEGORIES)
    encode = ColumnTransformer(
        [("texts", encoder, ["many", "few"]), ("numbers", StandardScaler(), ["x", "y"])],
        sparse_threshold=sparse_threshold,
    )
    y = frame["x"] + np.arange(len(frame)) % 7 > 3
    estimator = make_pipeline(encode, *steps).fit(frame, y.map({False: "no", True: "yes"}) if _classifies(steps) else y)
    check_equality((estimator, frame, table(2, 40)))


def _classifies(steps: Any) -> bool:
    return hasattr(steps[-1], "predict_proba")


@pytest.mark.parametrize(
    "last",
    [
        SGDRegressor(max_iter=5, tol=None),
        LogisticRegression(max_iter=50),
        RandomForestClassifier(5, max_depth=6, random_state=0),
        GradientBoostingRegressor(n_estimators=3, random_state=0),
    ],
    ids=lambda last: type(last).__name__,
)
@pytest.mark.parametrize("sparse_threshold", [0.0, 0.3], ids=["dense", "sparse"])
def test_wide_one_hot(last: Any, sparse_threshold: float) -> None:
    """A one-hot of more than a thousand categories has a plan, before each kind of last step."""
    check(OneHotEncoder(handle_unknown="ignore"), last, sparse_threshold=sparse_threshold)


@pytest.mark.parametrize(
    ("encoder", "steps"),
    [
        (OneHotEncoder(drop="first"), [SGDRegressor(max_iter=5, tol=None)]),
        (OneHotEncoder(min_frequency=2, handle_unknown="infrequent_if_exist"), [SGDRegressor(max_iter=5, tol=None)]),
        (OneHotEncoder(handle_unknown="ignore"), [MaxAbsScaler(), SGDRegressor(max_iter=5, tol=None)]),
        (OneHotEncoder(sparse_output=False), [HistGradientBoostingRegressor(max_iter=3)]),
        (OrdinalEncoder(), [HistGradientBoostingRegressor(max_iter=3)]),
    ],
    ids=["drop", "infrequent", "scaled", "boosting", "ordinal"],
)
def test_wide_encoder(encoder: Any, steps: list[Any]) -> None:
    """So do other encoders and other steps after it."""
    check(encoder, *steps, sparse_threshold=0.3)


def test_wide_one_hot_memory() -> None:
    """Neither the plan nor making and checking it takes the memory of categories times outputs."""
    texts = pd.Series([f"c{value}" for value in range(10_000)], dtype=object)
    frame = pd.DataFrame({"t": texts, "x": np.arange(10_000.0)})
    encode = ColumnTransformer([("texts", OneHotEncoder(), ["t"])], remainder="passthrough")
    model = as_model(make_pipeline(encode, SGDRegressor(max_iter=2, tol=None)).fit(frame, frame["x"] % 2), frame)
    tracemalloc.start()
    try:
        attach(model)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert model.plan
    assert kept < 5e6
    assert peak < 50e6  # a table would have 800 MB


@pytest.fixture
def _always_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each one-hot the places of its ones in place of a table, and sparse matrices from the first row on."""
    monkeypatch.setattr(lookup, "_is_wide", lambda *_: True)
    monkeypatch.setattr(lookup, "MAX_FILLED", 0)


@pytest.mark.usefixtures("_always_wide")
@hypothesis.given(fitted())
@settings(max_examples=10, derandomize=True, **COMMON)
def test_plans_of_places_equal_models(drawn: Fitted) -> None:
    """Every drawn model has a plan that equals it to the last bit, also where each one-hot counts as wide."""
    check_equality(drawn)


@pytest.mark.slow
@pytest.mark.usefixtures("_always_wide")
@hypothesis.given(fitted())
@settings(max_examples=1_000, **COMMON)
def test_thousand_plans_of_places(drawn: Fitted) -> None:
    """As above, for a thousand models."""
    check_equality(drawn)
