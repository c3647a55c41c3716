"""Kernels of scikit-learn's gradient boosting: its compiled trees, their values added in order."""

import sys
from typing import Any

import numpy as np

from loading.plan.kernel import Kernel, NotCovered, in_parts, require_finite
from loading.plan.trees import fits_joined, join_nodes, repeated
from serving.types import Array


def histogram(step: Any, method: str) -> Kernel:
    """HistGradientBoosting without categorical features."""
    if (step.is_categorical_ is not None and np.any(step.is_categorical_)) or getattr(step, "_preprocessor", None):
        raise NotCovered(f"{type(step).__name__} with categorical features")
    if method == "decision_function":
        raise NotCovered(f"{type(step).__name__}.{method}")
    raw = _raw(step)
    if not hasattr(step, "classes_"):
        inverse = step._loss.link.inverse
        return lambda numbers: inverse(raw(numbers).ravel())
    if method == "predict_proba":
        return lambda numbers: step._loss.predict_proba(raw(numbers))
    classes = step.classes_
    if step.n_trees_per_iteration_ == 1:
        return lambda numbers: classes[(raw(numbers).ravel() > 0).astype(int)]
    return lambda numbers: classes[raw(numbers).argmax(axis=1)]


def _raw(step: Any) -> Kernel:
    """Return what gives the sum of the baseline and all trees, of shape (rows, trees per iteration)."""
    predictors = [tree for iteration in step._predictors for tree in iteration]
    baseline, width = step._baseline_prediction, step.n_trees_per_iteration_
    bitsets, places = step._bin_mapper.make_known_categories_bitsets()
    if not predictors:
        raise NotCovered(f"{type(step).__name__} without trees")
    predict = sys.modules[type(predictors[0]).__module__]._predict_from_raw_data
    tables = [(each.nodes, each.raw_left_cat_bitsets) for each in predictors]
    nodes, numbers = join_nodes([nodes for nodes, _ in tables], _write(step.n_features_in_))
    places_joined = np.append(places, places.dtype.type(0))

    def joined(values: Array) -> Array:
        found = np.empty(len(numbers) * len(values))
        predict(nodes, repeated(values, numbers), tables[0][1], bitsets, places_joined, 1, found)
        each = np.empty((1 + len(numbers) // width, len(values), width))
        each[0] = baseline
        each[1:] = found.reshape(-1, width, len(values)).transpose(0, 2, 1)
        return np.asarray(np.add.accumulate(each, axis=0)[-1])

    def one_by_one(values: Array) -> Array:
        total = np.zeros((len(values), width), baseline.dtype, order="F")
        total += baseline
        found = np.empty(len(values))
        for at, (tree, bits) in enumerate(tables):
            predict(tree, values, bits, bitsets, places, 1, found)
            total[:, at % width] += found
        return total

    def raw(values: Array) -> Array:
        values = np.asarray(values, np.float64)
        return joined(values) if fits_joined(values, len(numbers)) else one_by_one(values)

    return raw


def _write(width: int) -> Any:
    def write(node: Array, left: int, right: int, threshold: float) -> None:
        node["left"], node["right"] = left, right
        node["feature_idx"], node["num_threshold"] = width, threshold

    return write


def gradient(step: Any, method: str) -> Kernel:
    """GradientBoostingRegressor; its trees are walked by one compiled call already."""
    if hasattr(step, "classes_") or method != "predict":
        raise NotCovered(f"{type(step).__name__}.{method} has no kernel")
    first = step.init_
    if first != "zero" and type(first).__name__ != "DummyRegressor":
        raise NotCovered("GradientBoostingRegressor with an estimator as init")
    start = step._raw_predict_init(np.zeros((1, step.n_features_in_), np.float32))
    stages = sys.modules[type(step).__module__].predict_stages

    def predicted(numbers: Array) -> Array:
        single = require_finite(np.ascontiguousarray(numbers, np.float32))
        raw = np.repeat(start, len(single), axis=0)
        stages(step.estimators_, single, step.learning_rate, raw)
        return raw.ravel()

    return in_parts(predicted)
