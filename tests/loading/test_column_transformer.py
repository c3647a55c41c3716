"""A ColumnTransformer that was fitted on names, behind a signature with other columns or in another order."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from loading.column_transformer import columns_used, parts_of
from loading.fitted import missing_texts
from loading.plan.attach import attach
from tests.loading.plan.grammar import as_model, rows_of
from tests.loading.plan.test_equality import compare

FITTED = pd.DataFrame(
    {
        "id": np.arange(40),
        "a": pd.Series(["x", "y", None, "z"] * 10, dtype=object),
        "b": pd.Series(["p", np.nan, "q", "r", "s"] * 8, dtype=object),
        "n": np.random.default_rng(1).normal(size=40),
        "m": np.random.default_rng(2).normal(size=40) * 100,
    }
)
ORDERS = {
    "as fitted": ["id", "a", "b", "n", "m"],
    "further ones": ["new", "id", "a", "b", "n", "m", "newer"],
    "other order": ["m", "n", "b", "a", "id"],
    "without a dropped one": ["a", "b", "n", "m"],
    "all of this": ["newer", "m", "b", "new", "a", "n"],
}


def transformer() -> ColumnTransformer:
    """Return a fitted transformer that drops the column id."""
    filled = make_pipeline(SimpleImputer(missing_values=np.nan, strategy="most_frequent"), OneHotEncoder())
    parts = [("a", OneHotEncoder(), ["a"]), ("b", filled, ["b"]), ("numbers", StandardScaler(), ["m", "n"])]
    return ColumnTransformer(parts).fit(FITTED)


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_columns_by_name(order: list[str]) -> None:
    """Each part gets its columns by their names, NULLs included, and the plan answers as the model."""
    estimator = make_pipeline(transformer(), Ridge()).fit(FITTED, FITTED.n + FITTED.a.map({"x": 1.0}).fillna(0))
    assert missing_texts(estimator, order)["a"] is None
    assert np.isnan(missing_texts(estimator, order)["b"])
    model = as_model(estimator, FITTED.assign(new=1.0, newer="t")[order])
    attach(model, load_seconds=1_000)
    assert model.info.answers == "the plan", model.info.answers
    compare(model, rows_of(model, FITTED.assign(new=2.0, newer="u")[order]))


def test_columns_used() -> None:
    """A column that is dropped isn't used."""
    assert columns_used(transformer(), list(FITTED)) == {"a", "b", "m", "n"}
    assert columns_used(StandardScaler(), ["a", "b"]) == {"a", "b"}


def test_columns_by_place() -> None:
    """A transformer that was fitted on an array takes columns by their places, whatever their names."""
    fitted = ColumnTransformer([("x", StandardScaler(), [-1])], remainder="passthrough").fit(np.eye(3))
    assert [places for _, places in parts_of(fitted, ["a", "b", "c"])] == [[2], [0, 1]]
    with pytest.raises(IndexError):
        list(parts_of(fitted, ["a"]))
