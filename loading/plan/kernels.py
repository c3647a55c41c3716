"""The tables of kernels: which step has which, by the package and the class of the step.

A step that is in none of the tables has the general kernel: its own method, called with an array. That is what the
step before it hands over anyway; as the first step it must be one that turns a DataFrame into an array itself.

To add a kernel, write one small function of the fitted step that returns what computes an array from an array, in the
step's own arithmetic, dtype and order; add its class here, and to the table in tests/loading/plan/test_kernels.py.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from loading.plan import boosters, boosting, linear, scaling, trees
from loading.plan.joining import one_after_another
from loading.plan.kernel import Kernel, NotCovered, dense, gives_frames, name_of
from serving.model import Unplanned
from serving.types import Array

TRANSFORMERS: dict[str, Callable[[Any], Kernel]] = {
    "sklearn.MaxAbsScaler": scaling.max_abs_scaler,
    "sklearn.MinMaxScaler": scaling.min_max_scaler,
    "sklearn.RobustScaler": scaling.robust_scaler,
    "sklearn.SimpleImputer": scaling.simple_imputer,
    "sklearn.StandardScaler": scaling.standard_scaler,
    **{
        f"sklearn.{name}": scaling.selector
        for name in (
            *("GenericUnivariateSelect", "RFE", "RFECV", "SelectFdr", "SelectFpr", "SelectFromModel", "SelectFwe"),
            *("SelectKBest", "SelectPercentile", "SequentialFeatureSelector", "VarianceThreshold"),
        )
    },
}
# These take the method too, and raise NotCovered for one that has no kernel: predict, predict_proba, decision_function.
PREDICTORS: dict[str, Callable[[Any, str], Kernel]] = {
    **boosters.KERNELS,
    **{f"sklearn.{name}": linear.regressor for name in linear.REGRESSORS},
    **{f"sklearn.{name}": linear.classifier for name in linear.CLASSIFIERS},
    **{f"sklearn.{name}": trees.tree for name in trees.TREES},
    **{f"sklearn.{name}": trees.forest for name in trees.FORESTS},
    "sklearn.GradientBoostingRegressor": boosting.gradient,
    "sklearn.HistGradientBoostingClassifier": boosting.histogram,
    "sklearn.HistGradientBoostingRegressor": boosting.histogram,
}


def transformer(step: Any) -> Kernel:
    """Return the kernel of a step's `transform`; infinite numbers, which scikit-learn refuses, go to the model.

    Numbers of single precision go to the step's own method: in which precision it computes depends on its version.
    """
    own: Kernel = step.transform
    if gives_frames(step):
        own = one_after_another(step.transform, dense)
    kernel, special = own, TRANSFORMERS.get(name_of(step))
    if not special:
        return own
    with contextlib.suppress(NotCovered):
        kernel = special(step)

    def guarded(values: Array) -> Array:
        if np.isinf(values).any():
            raise Unplanned
        return own(values) if values.dtype == np.float32 else kernel(values)

    return guarded
