"""Kernels of XGBoost, LightGBM and CatBoost models that were fitted on numbers: an array instead of a DataFrame.

Building a DMatrix or reading a DataFrame takes many times as long as the trees take for a few rows. Each prediction
runs in one thread, since requests are predicted beside each other.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from loading.plan.kernel import Kernel, NotCovered, name_of
from serving.model import Unplanned
from serving.types import Array


def takes_array(step: Any) -> bool:
    """Return whether a booster may get an array in place of a DataFrame; the check has to confirm it."""
    return name_of(step) in KERNELS


def _lightgbm(step: Any, method: str) -> Kernel:
    booster = step if method == "predict" and name_of(step) == "lightgbm.Booster" else step.booster_
    if getattr(booster, "pandas_categorical", None):
        raise NotCovered("LightGBM with categorical columns")

    def raw(values: Array) -> Array:
        found: Array = booster.predict(values.astype(np.result_type(values, np.float32), copy=False), num_threads=1)
        return found

    if booster is not step and step.get_params().get("pred_early_stop"):
        raise NotCovered("LightGBM that stops early for some rows")
    if not hasattr(step, "classes_"):
        return raw
    if callable(step.objective_):
        raise NotCovered("LightGBM with an objective of its own")
    return _classified(step, method, raw)


def _xgboost(step: Any, method: str) -> Kernel:
    if name_of(step) == "xgboost.Booster":
        booster, options = step, {}
    else:
        if not step._can_use_inplace_predict():
            raise NotCovered(f"XGBoost with booster {step.booster}")
        booster = step.get_booster()
        options = {"iteration_range": step._get_iteration_range(None), "missing": step.missing}
    if "c" in (booster.feature_types or ()):
        raise NotCovered("XGBoost with categorical columns")
    predict = booster.inplace_predict

    def raw(values: Array) -> Array:
        if np.isinf(values.astype(np.float32)).any():  # a DMatrix refuses it
            raise Unplanned
        found: Array = predict(values, validate_features=False, **options)
        return found

    if not hasattr(step, "classes_"):
        return raw
    if step.objective == "multi:softmax":
        raise NotCovered("XGBoost with the objective multi:softmax")
    return _classified(step, method, raw)


def _catboost(step: Any, method: str) -> Kernel:
    if step.get_cat_feature_indices() or step.get_text_feature_indices() or step.get_embedding_feature_indices():
        raise NotCovered("CatBoost with categorical columns")
    predict = getattr(step, method)
    return lambda values: predict(values, thread_count=1)


def _classified(step: Any, method: str, raw: Kernel) -> Kernel:
    """Return classes or probabilities from probabilities; of two classes, `raw` gives those of the second."""
    if method == "decision_function":
        raise NotCovered(f"{type(step).__name__}.{method}")
    classes = np.asarray(step.classes_)
    if len(classes) > 2:
        return raw if method == "predict_proba" else lambda values: classes[raw(values).argmax(axis=1)]

    def both(values: Array) -> Array:
        second = raw(values)
        return np.vstack((1.0 - second, second)).T

    return both if method == "predict_proba" else lambda values: classes[(raw(values) > 0.5).astype(np.intp)]


KERNELS: dict[str, Callable[[Any, str], Kernel]] = {
    **{f"catboost.{name}": _catboost for name in ("CatBoost", "CatBoostClassifier", "CatBoostRegressor")},
    **{f"lightgbm.{name}": _lightgbm for name in ("Booster", "LGBMClassifier", "LGBMRanker", "LGBMRegressor")},
    **{f"xgboost.{name}": _xgboost for name in ("Booster", "XGBClassifier", "XGBRegressor", "XGBRFRegressor")},
}
