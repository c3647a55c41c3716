"""Arrays have the memory layout that the model's own steps give: a product of matrices differs by it in the last bit."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import decomposition, linear_model, preprocessing
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline, make_union

from loading.plan.attach import attach
from tests.loading.plan.grammar import as_model, rows_of, table, target
from tests.loading.plan.test_equality import compare

RANDOM = np.random.default_rng(7)
FRAME = table(RANDOM, 200, "ffffff")
MIXED = table(RANDOM, 200, "ffffitt")


def _mixed() -> ColumnTransformer:
    encoder = preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    numbers = [name for name in MIXED if name[0] != "t"]
    return ColumnTransformer([("t", encoder, ["t5", "t6"]), ("n", preprocessing.StandardScaler(), numbers)])


def _frames(*steps: Any) -> Any:
    return make_pipeline(*steps).set_output(transform="pandas")


def _union() -> Any:
    return make_union(preprocessing.KBinsDiscretizer(4), preprocessing.StandardScaler())


@pytest.mark.parametrize("last", [linear_model.LinearRegression(), linear_model.Lasso()])
@pytest.mark.parametrize(
    ("before", "frame"),
    [
        (_union(), FRAME),
        (make_pipeline(preprocessing.KBinsDiscretizer(4)), FRAME),
        (_frames(_mixed()), MIXED),
        (_frames(_mixed(), preprocessing.StandardScaler()), MIXED),
        (_frames(_mixed(), decomposition.PCA(3)), MIXED),
        (_frames(make_union(preprocessing.StandardScaler(), decomposition.PCA(2))), FRAME),
    ],
    ids=["sparse part", "sparse step", "frames", "frames, scaler", "frames, PCA", "union of frames"],
)
def test_layout(before: Any, frame: pd.DataFrame, last: Any) -> None:
    """Steps that give sparse matrices in a union, or DataFrames, lead to the same bits."""
    estimator = make_pipeline(before, last).fit(frame, target(np.random.default_rng(9), frame))
    model = as_model(estimator, frame)
    attach(model, load_seconds=1_000)
    assert model.info.answers == "the plan", model.info.answers
    compare(model, rows_of(model, frame.sample(3_000, replace=True, random_state=1)))


def test_function_of_frames() -> None:
    """A function that gets a DataFrame from the step before isn't asked with an array."""
    scaler = preprocessing.StandardScaler().set_output(transform="pandas")
    summed = preprocessing.FunctionTransformer(lambda frame: frame.assign(sum=frame.sum(axis=1)))
    estimator = make_pipeline(scaler, summed, linear_model.LinearRegression()).fit(FRAME, np.arange(200.0))
    model = as_model(estimator, FRAME)
    attach(model, load_seconds=1_000)
    assert "FunctionTransformer gets a DataFrame" in model.info.answers
