"""The models of the benchmarks: each fitted on made-up rows and saved by MLflow in its own flavor."""

import importlib
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import Model, infer_signature
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor

import model_steps
from benchmarks import tables

TRAINING_ROWS = 5_000
FLAVORS = ("lightgbm", "xgboost", "sklearn")  # of MLflow
# Relative. The last bit of a matrix product depends on the number of rows, so on the requests that share a prediction.
PRODUCT_TOLERANCE = 1e-12


def _tree() -> DecisionTreeRegressor:
    return DecisionTreeRegressor(max_depth=10, random_state=1)


def _boosting() -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(max_iter=100, random_state=1)


def _one_hot(last_step: Any) -> Any:
    return make_pipeline(
        make_column_transformer((OneHotEncoder(sparse_output=False), tables.OTHERS), remainder=StandardScaler()),
        last_step,
    )


def _imputing(last_step: Any) -> Any:
    texts = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    )
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return make_pipeline(make_column_transformer((texts, tables.OTHERS), remainder=numbers), last_step)


def _dates(last_step: Any) -> Any:
    parts = make_column_transformer((model_steps.DateParts(), tables.OTHERS), remainder=StandardScaler())
    return make_pipeline(parts, last_step)


def _wide(last_step: Any) -> Any:
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_pipeline(
        make_column_transformer((encoder, tables.WIDE_TEXTS), remainder=StandardScaler()),
        last_step,
    )


def _lightgbm() -> Any:
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=100, random_state=1, verbose=-1)


def _xgboost() -> Any:
    from xgboost import XGBRegressor

    return XGBRegressor(n_estimators=100, random_state=1)


@dataclass(frozen=True)
class Recipe:
    """How a model is made: its estimator, the rows that it is trained on, and MLflow's flavor that saves it.

    `tolerance` is by how much its answers may differ, relatively, with the number of rows predicted together; `classes`
    says that it predicts whether the target is above its median.
    """

    estimator: Callable[[], Any]
    rows: tables.Rows
    flavor: str = "sklearn"
    tolerance: float = 0.0
    classes: bool = False

    @cached_property
    def fills_gaps(self) -> bool:
        """Whether the model was trained on NULLs, so that NULL is a value to it and not a reason for no answer."""
        return bool(self.rows(100, 0).isna().any(axis=None))

    def save(self, folder: Path) -> None:
        """Fit the estimator and save it as an MLflow model with a signature and an input example."""
        rows = self.rows(TRAINING_ROWS, 0)
        target = _target(rows)
        estimator = self.estimator().fit(rows, (target > np.median(target)).astype(int) if self.classes else target)
        logging.getLogger("mlflow").setLevel(logging.ERROR)  # it warns about pickle for every model
        options: dict[str, Any] = {"serialization_format": "cloudpickle"} if self.flavor == "sklearn" else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow warns of integer columns, which can't hold NULL
            signature = infer_signature(rows, estimator.predict(rows))
        importlib.import_module(f"mlflow.{self.flavor}").save_model(
            estimator,
            path=str(folder),
            signature=signature,
            input_example=rows[:5],
            pip_requirements=[{"sklearn": "scikit-learn"}.get(self.flavor, self.flavor)],
            code_paths=[model_steps.__file__] if "DateParts" in repr(estimator) else None,
            **options,
        )


def _target(frame: pd.DataFrame) -> Any:
    """Return the sum of the columns, with codes in place of texts and times."""
    codes = [column.fillna(0) if column.dtype.kind in "if" else pd.factorize(column)[0] for _, column in frame.items()]
    return np.sum(codes, axis=0)


MODELS = {
    "tree": Recipe(lambda: make_pipeline(StandardScaler(), _tree()), tables.numbers),
    "boosting": Recipe(_boosting, tables.numbers),
    "forest": Recipe(lambda: RandomForestRegressor(n_estimators=100, max_depth=12, random_state=1), tables.numbers),
    "strings": Recipe(lambda: _one_hot(_tree()), tables.with_strings),
    "imputed ridge": Recipe(lambda: _imputing(Ridge()), tables.with_gaps, tolerance=PRODUCT_TOLERANCE),
    "imputed boosting": Recipe(lambda: _imputing(_boosting()), tables.with_gaps),
    "timestamps": Recipe(lambda: _dates(_tree()), tables.with_timestamps),
    "logistic": Recipe(lambda: LogisticRegression(max_iter=1_000), tables.with_integers, classes=True),
    "lightgbm": Recipe(_lightgbm, tables.with_integers, "lightgbm"),
    "xgboost": Recipe(_xgboost, tables.numbers, "xgboost"),
    "wide": Recipe(lambda: _wide(Ridge()), tables.wide, tolerance=PRODUCT_TOLERANCE),
}


def saved(name: str, root: Path) -> Path:
    """Return the folder of a model below `root`; train and save the model if the folder does not exist."""
    folder = root / name.replace(" ", "-")
    if not folder.exists():
        MODELS[name].save(folder)
    return folder


def loaded(folder: Path | str) -> Any:
    """Return the bare model in a folder, as its library knows it."""
    flavors = Model.load(str(folder)).flavors
    flavor = next(name for name in FLAVORS if name in flavors)
    return importlib.import_module(f"mlflow.{flavor}").load_model(str(folder))
