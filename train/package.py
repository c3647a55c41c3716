"""A fitted pipeline as an MLflow model: signature, input example, and the packages that serving needs.

Rule: the model is saved with skops, which runs no code on loading, when every type in it stands in
loading/trusted_types.py, otherwise or when asked for with cloudpickle. The requirements are named here
because MLflow's inference lists whatever happens to be imported.
"""

import contextlib
import importlib.metadata
import logging
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Literal

import mlflow.sklearn
import pandas as pd
import skops.io
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, DataType, Schema
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

import model_steps
from loading.trusted_types import TRUSTED_TYPES
from train.data import Data

Format = Literal["skops", "cloudpickle"]

EXAMPLE_ROWS = 7
ALWAYS = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy")
BOOSTERS = ("lightgbm", "xgboost")  # needed only when the pipeline holds one of their estimators


def save(pipeline: Pipeline, data: Data, folder: Path, form: Format, metadata: dict[str, Any]) -> Format:
    """Save a pipeline fitted on this data, and a few rows, as an MLflow model; return the format used."""
    own = model_steps.__name__ in modules(pipeline)
    unknown = set() if own or form != "skops" else set(skops.io.get_untrusted_types(data=skops.io.dumps(pipeline)))
    if own or unknown - TRUSTED_TYPES:
        form = "cloudpickle"
    rows = pd.concat([data.features.dropna()[:EXAMPLE_ROWS], data.features[:EXAMPLE_ROWS]])
    example = rows[:EXAMPLE_ROWS].reset_index(drop=True)  # without gaps where there are such rows
    with warnings.catch_warnings(), _only_errors("mlflow"):
        # MLflow advises against pickle, which the pipeline needs or the caller has asked for.
        warnings.simplefilter("ignore", UserWarning)
        mlflow.sklearn.save_model(
            pipeline,
            folder,
            signature=signature(data.features, data.target, data.integers),
            input_example=example,
            pip_requirements=requirements(pipeline, form),
            code_paths=[model_steps.__file__] if own else None,
            serialization_format=form,
            skops_trusted_types=sorted(unknown) if form == "skops" else None,
            metadata=metadata,
        )
    return form


def signature(features: pd.DataFrame, target: pd.Series, optional: Collection[str] = ()) -> ModelSignature:
    """Return the columns that go in, and one column that comes out, named after the target."""
    inputs = [
        ColSpec(column.type, column.name, required=column.required and column.name not in optional)
        for column in infer_signature(features).inputs
    ]
    if pd.api.types.is_bool_dtype(target):
        kind = DataType.boolean
    elif pd.api.types.is_integer_dtype(target):
        kind = DataType.long
    elif pd.api.types.is_float_dtype(target):
        kind = DataType.double
    else:
        kind = DataType.string
    return ModelSignature(inputs=Schema(inputs), outputs=Schema([ColSpec(kind, str(target.name))]))


def requirements(pipeline: Pipeline, form: Format) -> list[str]:
    """Return what has to be installed to load this pipeline and predict with it, in the versions at hand."""
    packages = sorted([*ALWAYS, form, *(name for name in BOOSTERS if name in modules(pipeline))])
    return [f"{name}=={importlib.metadata.version(name)}" for name in packages]


def modules(estimator: BaseEstimator) -> set[str]:
    """Return the top packages of an estimator and of every estimator inside it."""
    parts = [estimator, *estimator.get_params(deep=True).values()]
    return {type(part).__module__.partition(".")[0] for part in parts if isinstance(part, BaseEstimator)}


@contextlib.contextmanager
def _only_errors(name: str) -> Iterator[None]:
    """Keep what a library logs below errors quiet for a while."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
