"""Makes a signature for a model that was saved without one, from what the fitted model tells about its input."""

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from loading.category_columns import check_first_steps
from loading.fitted import (
    categories,
    estimators,
    first_steps,
    missing_markers,
    steps_of_columns,
    takes_text_series,
    takes_texts,
)
from loading.signature import NO_SIGNATURE, read_signature
from serving.errors import ModelUnusable, join_names
from serving.signature import Column, Signature
from serving.types import TYPES

ORDER_UNKNOWN = "The order of the arguments is that of the columns in training, which can't be checked."
HOW = "The model was saved without a signature; it was made from the fitted model."
_ONNX_DTYPES = {
    "tensor(bool)": "bool",
    "tensor(double)": "float64",
    "tensor(float)": "float32",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(string)": "str",
}
_NUMERIC = ("sklearn", "imblearn", "lightgbm", "xgboost", "catboost", "statsmodels")  # whose estimators take numbers
# Modules of statsmodels whose models predict rows of a matrix; those of time series predict dates.
_REGRESSIONS = tuple(f"statsmodels.{name}." for name in ("regression", "discrete", "genmod", "robust"))
_NOT_ROWS = ("statsmodels.regression.recursive_ls", "statsmodels.discrete.count_model")
_MATRIX_NAME = re.compile(r"const|x\d+")  # of a column of an array, as statsmodels calls it
_TAKE_OBJECTS = {"DictVectorizer": "dictionaries", "FeatureHasher": "dictionaries or lists"}


def make_signature(estimator: Any, uri: str) -> tuple[Signature, str]:
    """Return the signature of a fitted model, and a sentence that says how it was made.

    The model tells the names or at least the number of its columns; they are FLOAT64 unless the categories of an
    encoder say otherwise. A column may be NULL only where the model fills missing values or saw them in training: that
    a library accepts NaN is not enough. Raise ModelUnusable for a model that doesn't tell.
    """
    if hasattr(estimator, "get_inputs"):  # a session of ONNX Runtime
        return _of_session(estimator, uri), HOW
    check_takes_columns(estimator, uri)
    check_first_steps(estimator, uri)
    names = column_names(estimator)
    count = len(names) if names else column_count(estimator)
    if not count or takes_text_series(estimator) or not hasattr(estimator, "predict"):
        raise ModelUnusable(NO_SIGNATURE.format(uri=uri))
    columns = names or [f"x{place}" for place in range(count)]
    steps = steps_of_columns(estimator, columns)
    if any(map(_names_categories, (estimator, *estimators(estimator)))) or not all(
        _takes_numbers(step) for each in steps.values() for step, _ in each
    ):
        raise ModelUnusable(NO_SIGNATURE.format(uri=uri))
    made = tuple(_column(name, steps[name], uri) for name in columns)
    return Signature(made, None, named=bool(names)), HOW if names else f"{HOW} {ORDER_UNKNOWN}"


def check_takes_columns(estimator: Any, uri: str) -> None:
    """Raise ModelUnusable for a model whose first step takes Python's dictionaries or lists, and no columns."""
    for step in first_steps(estimator):
        if taken := _TAKE_OBJECTS.get(type(step).__name__):
            name = type(step).__name__
            raise ModelUnusable(
                f"The model at {uri} starts with a {name}, which takes {taken} of Python instead of columns, and SQL "
                f"has none: replace the {name} by OneHotEncoder on the columns of a DataFrame, or save a PythonModel "
                'that passes model_input.to_dict("records") to the model.'
            )


def _of_session(session: Any, uri: str) -> Signature:
    """Return the signature of an ONNX model: its first dimension is that of the rows."""
    inputs = [
        {
            "type": "tensor",
            "name": each.name,
            "tensor-spec": {"dtype": _ONNX_DTYPES.get(each.type, each.type), "shape": [-1, *each.shape[1:]]},
        }
        for each in session.get_inputs()
    ]
    signature = read_signature({"signature": {"inputs": json.dumps(inputs)}}, uri)
    if not signature:
        raise ModelUnusable(NO_SIGNATURE.format(uri=uri))
    return signature


def _column(name: str, steps: Sequence[tuple[Any, int]], uri: str) -> Column:
    known = [value for step, place in steps for value in _values_seen(step, place)]
    present = [value for value in known if value is not None and value == value]
    kinds = {
        "boolean" if isinstance(value, (bool, np.bool_)) else
        "string" if isinstance(value, str) else
        "long" if isinstance(value, (int, np.integer)) else
        "double" if isinstance(value, (float, np.floating)) else "other"
        for value in present
    }  # fmt: skip
    if len(kinds) > 1 or "other" in kinds:
        raise ModelUnusable(
            f"The model at {uri} has no signature, and its column {name} has categories of several types: "
            f"{join_names([repr(value) for value in present[:5]])}. Train again with one type in the column."
        )
    mlflow_type = min(kinds) if kinds else "double"
    required = not any(missing_markers(step, place) for step, place in steps)
    return Column(name, mlflow_type, TYPES[mlflow_type].sql_type, required)


def _values_seen(step: Any, place: int) -> list[Any]:
    """Return the categories in a column, or the text that fills it: an imputer may hide the encoder behind it."""
    found = categories(step)
    if place < len(found):
        return list(found[place])
    fillers = getattr(step, "statistics_", ())
    return [fillers[place]] if place < len(fillers) and isinstance(fillers[place], str) else []


def column_names(estimator: Any) -> list[str]:
    """Return the names of the columns that the model was fitted on; none if it was fitted on an array."""
    found: Any = getattr(estimator, "feature_names_in_", None)
    if found is None:
        found = getattr(estimator, "feature_names", None) or getattr(estimator, "feature_names_", None)
    if found is None and callable(named := getattr(estimator, "feature_name", None)):
        found = named()  # of LightGBM's Booster
    if found is None and not all(map(_MATRIX_NAME.fullmatch, regressors := _regressors(estimator))):
        found = regressors
    names = [str(name) for name in found] if found is not None and len(found) else []
    # LightGBM and CatBoost give names of their own to the columns of an array.
    invented = ([f"Column_{place}" for place in range(len(names))], [str(place) for place in range(len(names))])
    return [] if names in invented or len(set(names)) < len(names) else names


def column_count(estimator: Any) -> int:
    """Return the number of columns that the model was fitted on; 0 if it doesn't tell."""
    for name in ("n_features_in_", "num_features", "num_feature"):
        found = getattr(estimator, name, None)
        if found is not None:
            return int(found() if callable(found) else found)
    inputs = estimator.get_inputs() if hasattr(estimator, "get_inputs") else ()  # of a session of ONNX Runtime
    shapes = [each.shape for each in inputs]
    if len(shapes) == 1 and len(shapes[0]) == 2 and type(shapes[0][1]) is int:
        return int(shapes[0][1])
    return len(_regressors(estimator))


def _regressors(results: Any) -> list[str]:
    """Return the names of the columns of a regression of statsmodels; none if a formula makes its columns of others."""
    model: Any = getattr(results, "model", None)
    module = type(model).__module__
    if not module.startswith(_REGRESSIONS) or module in _NOT_ROWS or getattr(model, "formula", None) is not None:
        return []
    return [str(name) for name in model.exog_names or ()]


def _names_categories(estimator: Any) -> bool:
    """Tell whether CatBoost was told columns of categories, which may be texts or integers."""
    return bool(callable(get := getattr(estimator, "get_cat_feature_indices", None)) and len(get()))


def _takes_numbers(step: Any) -> bool:
    module = type(step).__module__.partition(".")[0]
    if type(step).__name__ == "FunctionTransformer":  # with the identity it is what scikit-learn makes of passthrough
        return getattr(step, "func", None) is None
    return module in _NUMERIC and type(step).__name__ not in _TAKE_OBJECTS and not takes_texts(step)
