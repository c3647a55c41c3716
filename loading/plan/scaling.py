"""Kernels of the steps that compute each value from itself and its column: imputers, scalers, selectors."""

from typing import Any

import numpy as np

from loading.plan.kernel import Kernel, NotCovered
from serving.types import Array


def _floats(values: Array) -> Array:
    """Return a copy as float64 in the same memory layout."""
    return np.array(values, np.float64)


def _moved_and_divided(shift: Array | None, scale: Array | None) -> Kernel:
    """(x - shift) / scale; a part that is None is left out."""

    def scaled(values: Array) -> Array:
        values = _floats(values)
        if shift is not None:
            values -= shift
        if scale is not None:
            values /= scale
        return values

    return scaled


def standard_scaler(step: Any) -> Kernel:
    """(x - mean) / scale."""
    return _moved_and_divided(step.mean_ if step.with_mean else None, step.scale_ if step.with_std else None)


def robust_scaler(step: Any) -> Kernel:
    """(x - center) / scale."""
    return _moved_and_divided(step.center_ if step.with_centering else None, step.scale_ if step.with_scaling else None)


def min_max_scaler(step: Any) -> Kernel:
    """X * scale + min, clipped to the range if the step clips."""

    def scaled(values: Array) -> Array:
        values = _floats(values)
        values *= step.scale_
        values += step.min_
        if getattr(step, "clip", False):
            np.clip(values, *step.feature_range, out=values)
        return values

    return scaled


def max_abs_scaler(step: Any) -> Kernel:
    """X / scale."""
    return _moved_and_divided(None, step.scale_)


def simple_imputer(step: Any) -> Kernel:
    """Missing numbers become the column's statistic; a column of an indicator follows for each that it knows."""
    missing = step.missing_values
    if not (isinstance(missing, float) and np.isnan(missing)):
        raise NotCovered(f"SimpleImputer fills {missing!r}")
    statistics = step.statistics_.astype(np.float64)  # those of the strategy "constant" are objects
    valid = np.flatnonzero(~np.isnan(statistics)) if np.isnan(statistics).any() else None
    indicated = step.indicator_.features_ if step.add_indicator else None
    keeps_integers = step.strategy in ("constant", "most_frequent")

    def filled(values: Array) -> Array:
        values = np.array(values) if keeps_integers else _floats(values)
        nans = np.isnan(values)
        if nans.any():
            np.copyto(values, statistics, where=nans, casting="same_kind")
        if valid is not None:
            values = values[:, valid]
        return values if indicated is None else np.hstack((values, nans[:, indicated]))

    return filled


def selector(step: Any) -> Kernel:
    """The columns that the selector supports; most selectors refuse a missing value."""
    support = step.get_support()

    def selected(values: Array) -> Array:
        return values[:, support] if np.isfinite(values).all() else step.transform(values)

    return selected
