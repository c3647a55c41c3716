"""What a fitted scikit-learn model tells about the input that it takes.

Nothing is imported from scikit-learn: steps are known by the names of their classes, so a model costs only what it
imports itself.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from loading.column_transformer import parts_of

# Steps of scikit-learn that don't turn their input into an array: they pass it to a function of the author, select its
# columns by name, or iterate over it.
_KEEP_FRAMES = {"FunctionTransformer", "ColumnTransformer", "DictVectorizer"}
_TEXT_VECTORIZERS = {"CountVectorizer", "HashingVectorizer", "TfidfVectorizer"}
# Of model_steps.py, which the model may carry in its own folder.
_ARRAY_STEPS = {"LabelEncoded", "Recode", "RowArithmetic", "Stacked", "ZeroCount"}
# Where a meta-estimator keeps the fitted estimator that gets its input.
_INNER = ("best_estimator_", "estimator_", "regressor_", "estimators_", "calibrated_classifiers_", "estimator")
# Meta-estimators whose estimators all get the whole input, and may be of different kinds.
_ENSEMBLES = {"StackingClassifier", "StackingRegressor", "VotingClassifier", "VotingRegressor"}
# Attributes that hold an estimator which gets the target and never the input.
_FOR_TARGETS = {("TransformedTargetRegressor", "transformer"), ("TransformedTargetRegressor", "transformer_")}
_ROW_BY_ROW = ("sklearn", "imblearn", "lightgbm", "xgboost", "catboost", "model_steps")
_FILLING = {"SimpleImputer", "KNNImputer", "IterativeImputer", "MissingIndicator"}  # the missing values they name


def takes_array(estimator: Any) -> bool:
    """Return whether an array gives the same answers as a DataFrame of the same columns, for every input.

    That holds if every estimator in the model, inner ones included, is one of scikit-learn or model_steps that turns
    its input into an array itself.
    """
    return hasattr(type(estimator), "fit") and all(map(_is_array_step, estimators(estimator)))


def takes_text_series(estimator: Any) -> bool:
    """Return whether the first step is a vectorizer of texts, which takes a Series and not a DataFrame."""
    first = first_steps(estimator)
    return bool(first) and all(map(takes_texts, first))


def takes_texts(step: Any) -> bool:
    """Return whether a step is a vectorizer, which takes a column of texts."""
    classes = {f"{each.__module__}.{each.__name__}" for each in type(step).__mro__}
    return not classes.isdisjoint(f"sklearn.feature_extraction.text.{name}" for name in _TEXT_VECTORIZERS)


def missing_texts(estimator: Any, columns: Sequence[str]) -> dict[str, Any]:
    """Return what stood for a missing text in each column when the model was fitted: None, NaN or pandas.NA.

    An imputer in front of an encoder decides by its `missing_values`, else the encoder by its categories. A column for
    which neither does is left out.
    """
    found: dict[str, Any] = {}
    for column, steps in steps_of_columns(estimator, columns).items():
        for step, place in steps:
            markers = missing_markers(step, place)
            if len(markers) == 1 and column not in found:
                found[column] = markers[0]
    # A step of the author, or a step that moves columns, may hide which encoder gets a column.
    every = _distinct(marker for step in estimators(estimator) for marker in _all_markers(step))
    return {column: found.get(column, every[0]) for column in columns} if len(every) == 1 else found


def missing_markers(step: Any, place: int) -> list[Any]:
    """Return the missing values that a step fills, or saw when it was fitted, in its column at this place."""
    if type(step).__name__ in _FILLING:
        return _distinct([step.missing_values])
    known = categories(step)
    return _distinct(known[place]) if place < len(known) else []


def categories(step: Any) -> Sequence[Any]:
    """Return the categories of each column of a fitted encoder; none for any other step."""
    known = _attributes(step).get("categories_")
    return known if isinstance(known, (list, tuple)) and all(map(_is_sequence, known)) else []


def _is_sequence(values: Any) -> bool:
    return isinstance(values, (list, tuple, np.ndarray))


def _all_markers(step: Any) -> Iterator[Any]:
    """Yield the missing values among texts that a step fills or saw in any of its columns."""
    if type(step).__name__ in _FILLING and getattr(step, "statistics_", np.empty(0)).dtype.kind == "O":
        yield from _distinct([step.missing_values])
    for values in categories(step):
        if any(isinstance(value, str) for value in values):
            yield from _distinct(values)


def _distinct(values: Iterable[Any]) -> list[Any]:
    """Return the different missing values among these: None, pandas.NA, NaN."""
    markers = {
        "None" if value is None else "NA" if value is pd.NA else "NaN": value
        for value in values
        if value is None or value is pd.NA or (isinstance(value, (float, np.floating)) and math.isnan(value))
    }
    return list(markers.values())


def steps_of_columns(estimator: Any, columns: Sequence[str]) -> dict[str, list[tuple[Any, int]]]:
    """Return the steps that get each column as it is, in order, each with the column's place in the step's input.

    After an imputer, which keeps the columns in their order, the next step counts too. Empty where nothing is known.
    """
    try:
        return _paths(estimator, list(columns))
    except Exception:  # a class with the name of a known one but other attributes
        return {column: [] for column in columns}


def computes_in_float64(estimator: Any) -> bool:
    """Return whether every step is one of scikit-learn's, LightGBM's or statsmodels', which compute in float64."""
    known = ("sklearn", "lightgbm", "statsmodels", "model_steps")
    return all(_is_of(step, *known) for step in (estimator, *estimators(estimator)))


def scores_rows_alone(estimator: Any) -> bool:
    """Return whether every step is one of a library that scores each row by itself, and none calls other functions."""
    return all(
        _is_of(step, *_ROW_BY_ROW)
        and not {"predict", "predict_proba", "transform"} & set(_attributes(step))
        and (type(step).__name__ != "FunctionTransformer" or step.func is None)
        for step in (estimator, *estimators(estimator))
    )


def in_one_thread(estimator: Any) -> None:
    """Let a model predict in one thread: several sum in any order, and take longer for a few rows."""
    for step in estimators(estimator):
        attributes = _attributes(step)
        # None means one thread, but for LightGBM every core.
        if "n_jobs" in attributes and (attributes["n_jobs"] is not None or _is_of(step, "lightgbm")):
            step.n_jobs = 1


def estimators(root: Any) -> Iterator[Any]:
    """Yield every object with a `fit` method within an estimator, itself included."""
    left, seen = [root], set()
    while left:
        value = left.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if hasattr(type(value), "fit"):
            yield value
            parts = _attributes(value).items()
            left.extend(part for name, part in parts if (type(value).__name__, name) not in _FOR_TARGETS)
        elif isinstance(value, (list, tuple, set)):
            left.extend(value)
        elif isinstance(value, Mapping):
            left.extend(value.values())
        elif isinstance(value, np.ndarray) and value.dtype == object:
            left.extend(value.ravel().tolist())


def _attributes(value: Any) -> Mapping[str, Any]:
    """Return what is set on an object itself; an estimator written in C has no attributes of this kind."""
    return getattr(value, "__dict__", {})


def _is_array_step(step: Any) -> bool:
    name = type(step).__name__
    if {"predict", "predict_proba", "transform"} & set(_attributes(step)):  # replaced on the instance
        return False
    if _is_of(step, "model_steps"):
        return name in _ARRAY_STEPS
    return _is_of(step, "sklearn") and name not in _KEEP_FRAMES | _TEXT_VECTORIZERS


def _is_of(step: Any, *packages: str) -> bool:
    module = type(step).__module__
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def first_steps(estimator: Any) -> list[Any]:
    """Return the steps that get the model's own input."""
    name = type(estimator).__name__
    if name == "Pipeline":
        steps = _active(estimator.steps)
        return first_steps(steps[0]) if steps else []
    if name == "FeatureUnion":
        return [first for _, step in estimator.transformer_list if step != "drop" for first in first_steps(step)]
    inner = _inner(estimator)
    return [first for each in inner for first in first_steps(each)] if inner else [estimator]


def _active(steps: Sequence[tuple[str, Any]]) -> list[Any]:
    """Return the steps of a pipeline that it predicts with; those of imbalanced-learn that sample only fit."""
    return [
        step
        for _, step in steps
        if step is not None and step != "passthrough" and not hasattr(type(step), "fit_resample")
    ]


def _inner(estimator: Any) -> list[Any]:
    for attribute in _INNER:
        found = _attributes(estimator).get(attribute)
        if isinstance(found, (list, tuple)) and found and hasattr(type(found[0]), "__dict__"):
            return list(found[:1])
        if found is not None and hasattr(type(found), "fit"):
            return [found]
    return []


def _paths(step: Any, columns: list[str]) -> dict[str, list[tuple[Any, int]]]:
    found: dict[str, list[tuple[Any, int]]] = {column: [] for column in columns}
    name = type(step).__name__
    if name == "Pipeline":
        parts = [_paths(each, columns) for each in _keeping_columns(step.steps)]
    elif name == "ColumnTransformer":
        parts = [_paths(each, [columns[at] for at in places]) for each, places in parts_of(step, columns)]
    elif name == "FeatureUnion":
        parts = [_paths(each, columns) for _, each in step.transformer_list]
    elif (encoder := getattr(step, "_preprocessor", None)) is not None:  # of HistGradientBoosting, for categories
        encoded = [column for column, is_category in zip(columns, step.is_categorical_, strict=True) if is_category]
        numbers = {column: [(step, place)] for place, column in enumerate(columns) if column not in encoded}
        parts = [numbers, _paths(encoder.named_transformers_["encoder"], encoded)]
    elif name in _ENSEMBLES:
        parts = [_paths(each, columns) for each in step.estimators_]
    elif inner := _inner(step):
        parts = [_paths(inner[0], columns)]
    elif isinstance(step, str):  # passthrough or drop
        parts = []
    else:
        parts = [{column: [(step, place)] for place, column in enumerate(columns)}]
    for part in parts:
        for column, steps in part.items():
            found[column].extend(steps)
    return found


def _keeping_columns(steps: Sequence[tuple[str, Any]]) -> Iterator[Any]:
    """Yield a pipeline's steps up to the first that may change the number or the order of columns."""
    for step in _active(steps):
        yield step
        if type(step).__name__ != "SimpleImputer" or pd.isna(step.statistics_).any():  # drops columns without a value
            return
