"""Values that a step treats in a way of its own, and that no category and no input example tells."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder
from sklearn.tree import DecisionTreeRegressor

from loading.plan.attach import attach
from loading.plan.check import first_difference
from loading.plan.containers import Planner
from serving.decoding import from_arguments
from serving.model import Model, ModelInfo, Unplanned
from serving.signature import Column, Output, Signature
from tests.loading.plan.grammar import SCALERS, as_model
from tests.loading.plan.test_equality import compare

RANDOM = np.random.default_rng(6)


def attached(estimator: object, frame: pd.DataFrame) -> Model:
    """Return a model after the check of its plan, which has as much time as it needs."""
    model = as_model(estimator, frame)
    attach(model, load_seconds=1_000)
    assert model.info.answers == "the plan", model.info.answers
    return model


@pytest.mark.parametrize(("missing", "values"), [("?", ["a", "b", "c"]), ("", ["a", "b", "c"]), (-999, [1, 2, 3])])
@pytest.mark.parametrize("encoder", [OneHotEncoder(handle_unknown="ignore"), OrdinalEncoder()])
def test_own_missing_value(missing: object, values: list[object], encoder: object) -> None:
    """A value that stands for a missing one is filled, though it's in no category and not in the input example."""
    dtype = object if isinstance(missing, str) else int
    frame = pd.DataFrame({"x": pd.Series([*values, *values, missing, values[0]], dtype=dtype)})
    filled = SimpleImputer(missing_values=missing, strategy="most_frequent")
    estimator = make_pipeline(filled, encoder, Ridge()).fit(frame, np.arange(8.0))
    model = attached(estimator, frame)
    for call in (*values, missing):
        compare(model, from_arguments(model.signature, [[call]]))


@pytest.mark.parametrize("estimator", [DecisionTreeRegressor(), RandomForestRegressor(3)])
def test_whole_numbers_rounded_twice(estimator: DecisionTreeRegressor) -> None:
    """Whole numbers that float64 lacks may be rounded once to float32, or first to float64: the model does it."""
    cuts = 2**60 + np.arange(40) * 2**37
    numbers = RANDOM.normal(size=40)
    estimator.fit(pd.DataFrame({"i": cuts, "x": numbers}), np.arange(40.0))
    small = pd.DataFrame({"i": pd.array([*range(39), None], "Int64"), "x": numbers})
    model = attached(estimator, small)
    beside = [[int(cut) + 2**36 + step, 0.5] for cut in cuts for step in (-1, 0, 1, 100)]
    for call in beside:
        compare(model, from_arguments(model.signature, [call]))
    assert model.plan is not None
    with pytest.raises(Unplanned):
        model.plan.predict(from_arguments(model.signature, beside))


def test_whole_numbers_as_categories() -> None:
    """A column that may be NULL has its categories as float64, so a number of 64 bits may equal its neighbor's."""
    frame = pd.DataFrame({"i": [2.0**53, 5.0, 7.0, np.nan] * 5})
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    estimator = make_pipeline(encoder, Ridge()).fit(frame, np.arange(20.0))
    model = attached(estimator, pd.DataFrame({"i": pd.array([5, 7, 5, 7, 5, None], "Int64")}))
    for number in (2**53 + 1, 2**53, 2**53 - 1, 5, 6):
        compare(model, from_arguments(model.signature, [[number]]))
        compare(model, from_arguments(model.signature, [[number], [None]]))


@pytest.mark.parametrize("scale", SCALERS)
def test_single_precision(scale: Callable[[], Any]) -> None:
    """Columns of single precision are scaled in the precision that the step takes, which its version decides."""
    frame = pd.DataFrame(RANDOM.normal(size=(300, 4)), columns=list("abcd"), dtype=np.float32)
    estimator = make_pipeline(scale(), HistGradientBoostingRegressor(max_iter=3)).fit(frame, frame.a * frame.b)
    signature = Signature(
        tuple(Column(name, "float", "FLOAT64") for name in frame), (Output(None, "FLOAT64", "double"),)
    )
    model = Model(ModelInfo("model"), signature, lambda data, _: estimator.predict(data), estimator=estimator)
    planner = Planner(signature, model.form.frame_of)
    planner.predictor(estimator, "predict")
    assert planner.last is not None
    rows = from_arguments(signature, frame.astype(float).to_numpy().tolist())
    assert first_difference(np.asarray(estimator[0].transform(frame)), planner.last[1](rows)) is None
