"""Kernels of XGBoost, LightGBM and CatBoost models that were fitted on numbers: an array instead of a DataFrame."""

from typing import Any

from loading.plan.kernel import Kernel, name_of

_WRAPPERS = {
    "catboost": ("CatBoost", "CatBoostClassifier", "CatBoostRegressor", "CatBoostRanker"),
    "lightgbm": ("LGBMModel", "LGBMClassifier", "LGBMRegressor", "LGBMRanker"),
    "xgboost": ("XGBModel", "XGBClassifier", "XGBRegressor", "XGBRanker", "XGBRFClassifier", "XGBRFRegressor"),
}
_NAMES = {f"{package}.{name}" for package, names in _WRAPPERS.items() for name in names}


def takes_array(step: Any) -> bool:
    """Return whether a booster may get an array in place of a DataFrame; the check has to confirm it."""
    return name_of(step) in _NAMES


def kernel(step: Any, method: str) -> Kernel | None:
    """Return the kernel of a booster; None for the general one."""
    return None
