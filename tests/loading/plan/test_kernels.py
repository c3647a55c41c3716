"""Which steps have a kernel; each kernel gives what its step does, and one that is broken is caught by the check."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier, LGBMRanker, LGBMRegressor
from sklearn import discriminant_analysis, ensemble, feature_selection, linear_model, preprocessing, svm, tree
from sklearn.base import BaseEstimator, is_classifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from xgboost import DMatrix, XGBClassifier, XGBRegressor, XGBRFRegressor

from loading.plan import kernels, lookup
from loading.plan.attach import attach
from loading.plan.kernel import Kernel
from serving.model import Model
from serving.types import Array
from tests.loading.plan.grammar import ENCODERS, as_model, table, target

NUMBERS = table(np.random.default_rng(3), 200, "ffff")
TARGET = (NUMBERS / NUMBERS.std()).to_numpy() @ [1.0, -2.0, 3.0, -4.0] + np.random.default_rng(4).normal(size=200)
CLASSES = np.where(np.median(TARGET) < TARGET, "yes", "no")
TRANSFORMERS: dict[str, Callable[[], BaseEstimator]] = {
    "sklearn.MaxAbsScaler": preprocessing.MaxAbsScaler,
    "sklearn.MinMaxScaler": preprocessing.MinMaxScaler,
    "sklearn.RobustScaler": preprocessing.RobustScaler,
    "sklearn.SimpleImputer": lambda: SimpleImputer(add_indicator=True),
    "sklearn.StandardScaler": preprocessing.StandardScaler,
    "sklearn.GenericUnivariateSelect": lambda: feature_selection.GenericUnivariateSelect(mode="k_best", param=3),
    "sklearn.RFE": lambda: feature_selection.RFE(linear_model.Ridge(), n_features_to_select=3),
    "sklearn.RFECV": lambda: feature_selection.RFECV(linear_model.Ridge(), min_features_to_select=3),
    "sklearn.SelectFdr": lambda: feature_selection.SelectFdr(feature_selection.f_regression, alpha=0.9),
    "sklearn.SelectFpr": lambda: feature_selection.SelectFpr(feature_selection.f_regression, alpha=0.9),
    "sklearn.SelectFromModel": lambda: feature_selection.SelectFromModel(linear_model.Ridge(), threshold=-1),
    "sklearn.SelectFwe": lambda: feature_selection.SelectFwe(feature_selection.f_regression, alpha=0.9),
    "sklearn.SelectKBest": lambda: feature_selection.SelectKBest(feature_selection.f_regression, k=3),
    "sklearn.SelectPercentile": lambda: feature_selection.SelectPercentile(
        feature_selection.f_regression, percentile=80
    ),
    "sklearn.SequentialFeatureSelector": lambda: feature_selection.SequentialFeatureSelector(
        linear_model.Ridge(), n_features_to_select=3, cv=2
    ),
    "sklearn.VarianceThreshold": feature_selection.VarianceThreshold,
}
LINEAR = {
    **{
        f"sklearn.{name}": getattr(linear_model, name)
        for name in (
            *("ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "HuberRegressor", "Lars", "LarsCV"),
            *("Lasso", "LassoCV", "LassoLars", "LassoLarsCV", "LassoLarsIC", "LinearRegression", "LogisticRegression"),
            *("LogisticRegressionCV", "OrthogonalMatchingPursuit", "OrthogonalMatchingPursuitCV"),
            *("PassiveAggressiveClassifier", "PassiveAggressiveRegressor", "Perceptron", "QuantileRegressor", "Ridge"),
            *("RidgeCV", "RidgeClassifier", "RidgeClassifierCV", "SGDClassifier", "SGDRegressor", "TheilSenRegressor"),
        )
        if hasattr(linear_model, name)  # scikit-learn removes one now and then
    },
    "sklearn.LinearDiscriminantAnalysis": discriminant_analysis.LinearDiscriminantAnalysis,
    "sklearn.LinearSVC": svm.LinearSVC,
    "sklearn.LinearSVR": svm.LinearSVR,
}
TREES = {
    "sklearn.DecisionTreeClassifier": tree.DecisionTreeClassifier,
    "sklearn.DecisionTreeRegressor": tree.DecisionTreeRegressor,
    "sklearn.ExtraTreeClassifier": tree.ExtraTreeClassifier,
    "sklearn.ExtraTreeRegressor": tree.ExtraTreeRegressor,
    "sklearn.ExtraTreesClassifier": lambda: ensemble.ExtraTreesClassifier(10),
    "sklearn.ExtraTreesRegressor": lambda: ensemble.ExtraTreesRegressor(10),
    "sklearn.RandomForestClassifier": lambda: ensemble.RandomForestClassifier(10),
    "sklearn.RandomForestRegressor": lambda: ensemble.RandomForestRegressor(10),
    "sklearn.GradientBoostingRegressor": lambda: ensemble.GradientBoostingRegressor(n_estimators=10),
    "sklearn.HistGradientBoostingClassifier": lambda: ensemble.HistGradientBoostingClassifier(max_iter=10),
    "sklearn.HistGradientBoostingRegressor": lambda: ensemble.HistGradientBoostingRegressor(max_iter=10),
}


def _catboost(name: str) -> Any:
    """Return a CatBoost model; the project's own environment doesn't have the package."""
    catboost = pytest.importorskip("catboost")
    return getattr(catboost, name)(verbose=False, allow_writing_files=False, iterations=10)


BOOSTERS = {
    "catboost.CatBoost": lambda: _catboost("CatBoost"),
    "catboost.CatBoostClassifier": lambda: _catboost("CatBoostClassifier"),
    "catboost.CatBoostRegressor": lambda: _catboost("CatBoostRegressor"),
    "lightgbm.LGBMClassifier": lambda: LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1),
    "lightgbm.LGBMRegressor": lambda: LGBMRegressor(n_estimators=10, verbose=-1, n_jobs=1),
    "xgboost.XGBClassifier": lambda: XGBClassifier(n_estimators=10, n_jobs=1),
    "xgboost.XGBRegressor": lambda: XGBRegressor(n_estimators=10, n_jobs=1),
    "xgboost.XGBRFRegressor": lambda: XGBRFRegressor(n_estimators=10, n_jobs=1),
}
RAW = {  # boosters without a scikit-learn interface
    "lightgbm.Booster": lambda: LGBMRegressor(n_estimators=10, verbose=-1, n_jobs=1).fit(NUMBERS, TARGET).booster_,
    "lightgbm.LGBMRanker": lambda: LGBMRanker(n_estimators=10, verbose=-1, n_jobs=1).fit(
        NUMBERS, np.arange(len(NUMBERS)) % 5, group=[len(NUMBERS)]
    ),
    "xgboost.Booster": lambda: XGBRegressor(n_estimators=10, n_jobs=1).fit(NUMBERS, TARGET).get_booster(),
}
PREDICTORS: dict[str, Callable[[], Any]] = {**LINEAR, **TREES, **BOOSTERS}
CATEGORIES = table(np.random.default_rng(5), 200, "tti")


def attached(estimator: Any, frame: pd.DataFrame = NUMBERS) -> Model:
    """Return a model of a fitted estimator after the check of its plan."""
    predict = (lambda data: estimator.predict(DMatrix(data))) if type(estimator).__module__ == "xgboost.core" else None
    model = as_model(estimator, frame, predict)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of unknown categories
        attach(model, load_seconds=1_000)  # time for the whole check, however busy the machine is
    return model


def fit(make: Callable[[], Any]) -> Any:
    """Return an estimator, fitted on numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an estimator that scikit-learn deprecates, or that doesn't converge
        estimator = make()
        classes: Any = CLASSES == "yes" if "XGB" in repr(estimator) else CLASSES
        return estimator.fit(NUMBERS, classes if is_classifier(estimator) else TARGET)


def test_every_kernel_is_tested() -> None:
    """The tables of this file name the steps that have a kernel of their own."""
    assert set(kernels.TRANSFORMERS) == set(TRANSFORMERS)
    assert set(kernels.PREDICTORS) >= set(PREDICTORS) | set(RAW)
    removed = set(kernels.PREDICTORS) - set(PREDICTORS) - set(RAW)
    assert not [name for name in removed if hasattr(linear_model, name.removeprefix("sklearn."))]
    assert set(lookup.ENCODERS) == {f"sklearn.{type(make()).__name__}" for make in ENCODERS}


@pytest.mark.parametrize("name", TRANSFORMERS)
@pytest.mark.parametrize("broken", [None, "columns swapped", "last bit"])
def test_transformer(monkeypatch: pytest.MonkeyPatch, name: str, broken: str | None) -> None:
    """A kernel gives what its step does; one that swaps columns or changes a bit is caught when the model is loaded."""
    if broken:
        original = kernels.TRANSFORMERS[name]
        monkeypatch.setitem(kernels.TRANSFORMERS, name, lambda step: breaking(original(step), broken))
    model = attached(
        fit(lambda: make_pipeline(preprocessing.StandardScaler(), TRANSFORMERS[name](), linear_model.Ridge()))
    )
    assert (model.plan is None) == bool(broken), model.info.answers
    assert not broken or name.partition(".")[2] in model.notes[-1]


@pytest.mark.check
@pytest.mark.parametrize(
    ("name", "broken"),
    [
        *((name, None) for name in [*PREDICTORS, *RAW]),
        *((name, "columns swapped") for name in [*PREDICTORS, *RAW]),
        # The thresholds of boosters aren't looked for.
        *((name, "last bit") for name in [*LINEAR, *TREES]),
    ],
)
def test_predictor(monkeypatch: pytest.MonkeyPatch, name: str, broken: str | None) -> None:
    """As above, for last steps; a threshold that is off by one bit is one that a number of another bit crosses."""
    if broken:
        original = kernels.PREDICTORS[name]
        monkeypatch.setitem(kernels.PREDICTORS, name, lambda step, method: breaking(original(step, method), broken))
    estimator = RAW[name]() if name in RAW else fit(PREDICTORS[name])
    model = attached(estimator)
    assert (model.plan is None) == bool(broken), model.info.answers
    # A booster alone takes no array by itself.
    assert not broken or name == "xgboost.Booster" or name.partition(".")[2] in model.notes[-1]


def breaking(kernel: Kernel, how: str) -> Kernel:
    """Return a kernel that is wrong on purpose."""

    def broken(values: Array) -> Array:
        if how == "columns swapped":
            return kernel(np.ascontiguousarray(values[:, ::-1]))
        single = values.astype(np.float32)
        moved = np.where(np.isfinite(single), np.nextafter(single, np.float32(np.inf)), single)
        return kernel(moved.astype(np.float64))

    return broken


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("broken", [False, True])
def test_encoder(monkeypatch: pytest.MonkeyPatch, encoder: Callable[[], Any], broken: bool) -> None:
    """The table of an encoder gives what the encoder does; one that lacks a category is caught."""
    if broken:
        original = lookup._known
        monkeypatch.setattr(lookup, "_known", lambda *arguments: original(*arguments)[:-1])
    pipeline = make_pipeline(encoder(), linear_model.Ridge()).fit(
        CATEGORIES, target(np.random.default_rng(6), CATEGORIES)
    )
    model = attached(pipeline, CATEGORIES)
    assert (model.plan is None) == broken, model.info.answers
