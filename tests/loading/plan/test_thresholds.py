"""The rows on which a plan is compared hold both sides of the thresholds at which trees split, in tables of any width."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, Normalizer, PolynomialFeatures, StandardScaler
from sklearn.tree import DecisionTreeRegressor

import model_steps
from loading.plan import kernels
from loading.plan.attach import attach
from loading.plan.check import FEW
from loading.plan.containers import Planner
from loading.plan.hard_rows import HardRows
from loading.plan.thresholds import Thresholds
from serving.model import Model
from serving.types import Array
from tests.loading.plan.grammar import as_model, target
from tests.loading.plan.grammar import table as mixed

FOREST = ExtraTreesRegressor(30, max_depth=5, random_state=0)


def table(columns: int, rows: int = 200) -> pd.DataFrame:
    """Return numbers, in turn float64, float32 and int64."""
    random = np.random.default_rng(2)
    kinds = [np.dtype(np.float64), np.dtype(np.float32), np.dtype(np.int64)]
    return pd.DataFrame({f"c{at}": (random.normal(size=rows) * 100).astype(kinds[at % 3]) for at in range(columns)})


def fitted(frame: pd.DataFrame, *steps: Any) -> tuple[Model, Planner, Thresholds]:
    """Return a model, what planned it, and the thresholds of its last step."""
    model = as_model(make_pipeline(*steps).fit(frame, target(np.random.default_rng(1), frame)), frame)
    planner = Planner(model.signature, model.form.frame_of)
    planner.predictor(model.estimator, "predict")
    assert planner.last
    step, head = planner.last
    return model, planner, Thresholds(step, head, model.signature)


def single_features(step: Any) -> set[int]:
    """Return the features at which any tree splits."""
    return {int(at) for each in step.estimators_ for at in each.tree_.feature if at >= 0}


@pytest.mark.parametrize("columns", [1, 2, 7, 128, 129, 1_000])
def test_both_sides_of_each_column(columns: int) -> None:
    """Each column that a tree splits on gets neighboring numbers of which the tree sends one to the left."""
    frame = table(columns)
    model, planner, thresholds = fitted(frame, StandardScaler(), FOREST)
    assert planner.last
    step, head = planner.last
    hard = HardRows(model, lambda _: None, thresholds)
    usual = hard.rows(1)
    found = thresholds.sides(usual)
    split = single_features(step)
    assert found.keys() == {f"c{at}" for at in split}
    for at in split:
        left, right = found[f"c{at}"][:2]
        cuts = np.concatenate([each.tree_.threshold[each.tree_.feature == at] for each in step.estimators_])
        rows = usual.take(np.zeros(2, np.intp))
        group, place = model.signature.places[f"c{at}"]
        rows.blocks[group].array[place] = [left, right]
        assert np.unique(head(rows)[:, at].astype(np.float32) <= cuts[:, np.newaxis], axis=1).shape[1] == 2
        following = left + 1 if rows[f"c{at}"].dtype.kind == "i" else np.nextafter(left, left.dtype.type(np.inf))
        assert right == following


@pytest.mark.parametrize("columns", [8, 200])
def test_few_rows_have_both_sides(columns: int) -> None:
    """The rows that are compared however long loading took hold both sides for each column that a tree splits on."""
    model, planner, thresholds = fitted(table(columns), StandardScaler(), FOREST)
    assert planner.last
    hard = HardRows(model, lambda _: None, thresholds)
    few = hard.rows(FEW)
    for name, values in thresholds.sides(hard.rows(1)).items():
        assert set(values[:2]) <= set(few[name].tolist())


@pytest.mark.parametrize(
    ("kinds", "step", "has_sides"),
    [
        ("fff", PolynomialFeatures(3, interaction_only=True), {"f0", "f1", "f2"}),
        ("fff", Normalizer(), set()),  # each feature is computed from all columns
        ("ff", KBinsDiscretizer(4, encode="onehot-dense"), {"f0", "f1"}),
        (
            "Mf",
            ColumnTransformer(
                [("times", make_pipeline(model_steps.DateParts(), SimpleImputer()), ["M0"])], remainder="passthrough"
            ),
            {"M0", "f1"},
        ),
    ],
    ids=["products", "norm", "bins", "dates"],
)
def test_columns_with_sides(kinds: str, step: Any, has_sides: set[str]) -> None:
    """Thresholds are found behind steps that make several features of a column, and of timestamps."""
    model, _, thresholds = fitted(mixed(np.random.default_rng(0), 100, kinds), step, FOREST)
    assert thresholds.sides(HardRows(model, lambda _: None, None).rows(1)).keys() == has_sides


@pytest.mark.parametrize(
    "last",
    [DecisionTreeRegressor(random_state=0), HistGradientBoostingRegressor(max_iter=20)],
    ids=lambda last: type(last).__name__,
)
def test_wide_threshold_off_by_a_bit(monkeypatch: pytest.MonkeyPatch, last: Any) -> None:
    """A plan whose trees compare with thresholds that are off by a bit is caught in a table of 300 columns too."""
    name = f"sklearn.{type(last).__name__}"
    original = kernels.PREDICTORS[name]

    def broken(step: Any, method: str) -> Any:
        kernel = original(step, method)

        def off(values: Array) -> Array:
            dtype = np.float64 if hasattr(step, "_predictors") else np.float32
            moved = np.nextafter(values.astype(dtype), dtype(np.inf))
            return np.asarray(kernel(np.where(np.isfinite(moved), moved, values)))

        return off

    monkeypatch.setitem(kernels.PREDICTORS, name, broken)
    frame = table(300)
    weights = np.zeros(300)
    weights[::50] = 1.0
    estimator = make_pipeline(StandardScaler(), last).fit(frame, frame.to_numpy() @ weights)
    model = as_model(estimator, frame)
    attach(model, load_seconds=1_000)
    assert model.plan is None
    assert name.partition(".")[2] in model.notes[-1]
