"""Kernels of linear models: the matrix product that scikit-learn makes, of the same arrays."""

from typing import Any

import numpy as np

from loading.plan.kernel import Kernel, NotCovered, require_finite
from serving.types import Array


def _scores(step: Any) -> Kernel:
    weights, intercept = step.coef_.T, step.intercept_

    def scores(values: Array) -> Array:
        result: Array = require_finite(values) @ weights + intercept
        return result

    return scores


def regressor(step: Any, method: str) -> Kernel:
    """X @ coef + intercept."""
    if method != "predict" or not isinstance(step.coef_, np.ndarray):
        raise NotCovered(f"{type(step).__name__}.{method} of sparse coefficients")
    scores = _scores(step)
    if type(step).__name__ in _FLAT:

        def flat(values: Array) -> Array:
            return scores(values).ravel()

        return flat
    return scores


def classifier(step: Any, method: str) -> Kernel:
    """The class with the largest score; of two classes, the second where the score is positive."""
    if method == "predict_proba" or not isinstance(step.coef_, np.ndarray):
        raise NotCovered(f"{type(step).__name__}.{method}")
    all_scores, classes = _scores(step), step.classes_
    if step.coef_.ndim == 2 and len(step.coef_) > 1:
        if method == "decision_function":
            return all_scores
        return lambda values: classes.take(all_scores(values).argmax(axis=1))

    def scores(values: Array) -> Array:
        return all_scores(values).ravel()

    return scores if method == "decision_function" else lambda values: classes.take((scores(values) > 0).astype(int))


_FLAT = {"SGDRegressor", "PassiveAggressiveRegressor", "SGDOneClassSVM"}
REGRESSORS = (
    *("ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "HuberRegressor", "Lars", "LarsCV", "Lasso"),
    *("LassoCV", "LassoLars", "LassoLarsCV", "LassoLarsIC", "LinearRegression", "LinearSVR"),
    *("OrthogonalMatchingPursuit", "OrthogonalMatchingPursuitCV", "PassiveAggressiveRegressor", "QuantileRegressor"),
    *("Ridge", "RidgeCV", "SGDRegressor", "TheilSenRegressor"),
)
CLASSIFIERS = (
    *("LinearDiscriminantAnalysis", "LinearSVC", "LogisticRegression", "LogisticRegressionCV"),
    *("PassiveAggressiveClassifier", "Perceptron", "RidgeClassifier", "RidgeClassifierCV", "SGDClassifier"),
)
