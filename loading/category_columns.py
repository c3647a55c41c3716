"""Refuses boosters that were fitted on category columns of pandas, which have no type in SQL.

XGBoost keeps no categories before 3.1 and takes a number for the place of a category, so its answers for the category
itself would be wrong without an error. LightGBM keeps them, but takes nothing but category columns.
"""

import contextlib
from typing import Any

from loading.fitted import estimators, first_steps
from loading.libraries import is_library_object
from serving.errors import ModelUnusable
from serving.model import Model

_WAY_OUT = (
    "The model at {uri} was fitted on category columns of pandas, which SQL can't pass: save an "
    "mlflow.pyfunc.PythonModel with a signature, whose predict turns these columns into "
    "pd.Categorical(values, categories=...) with the categories of the training data; or train again on numbers that a "
    "pipeline's OrdinalEncoder makes of them."
)


def has_categories(booster: Any) -> bool:
    """Tell whether a booster, or the scikit-learn wrapper of one, was fitted on category columns of pandas."""
    with contextlib.suppress(Exception):  # a wrapper that isn't fitted raises an exception of its library
        if getattr(getattr(booster, "booster_", None) or booster, "pandas_categorical", None):  # LightGBM
            return True
        xgboost = booster.get_booster() if hasattr(booster, "get_booster") else booster
        return "c" in (getattr(xgboost, "feature_types", None) or ())
    return False


def check_first_steps(estimator: Any, uri: str) -> None:
    """Raise ModelUnusable if the model's input goes to a booster that was fitted on category columns.

    A class of the author's in between may make such columns.
    """
    by_libraries = all(map(is_library_object, (estimator, *estimators(estimator))))
    if by_libraries and any(map(has_categories, first_steps(estimator))):
        raise ModelUnusable(_WAY_OUT.format(uri=uri))


def check_category_columns(model: Model) -> None:
    """Raise ModelUnusable for a model whose rows can't be what it was fitted on; an array can hold the codes."""
    if not model.signature.tensors:
        check_first_steps(model.estimator, model.info.uri)


def check_all_steps(model: Model) -> None:
    """Raise ModelUnusable for a model that doesn't score its rows and has such a booster in any of its steps."""
    if any(map(has_categories, estimators(model.estimator))):
        raise ModelUnusable(_WAY_OUT.format(uri=model.info.uri))
