"""A fitted pipeline as an MLflow model: signature, input example, and the packages that serving needs.

Rule: the model is saved with skops, which runs no code on loading, when every type in it stands in
serving/trusted_types.py, otherwise or when asked for with cloudpickle. The requirements are named here
because MLflow's inference lists whatever happens to be imported.
"""

import contextlib
import importlib.metadata
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import mlflow.sklearn
import pandas as pd
import skops.io
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, DataType, Schema
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from serving.trusted_types import TRUSTED_TYPES

Format = Literal["skops", "cloudpickle"]

EXAMPLE_ROWS = 7
ALWAYS = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy")
BOOSTERS = ("lightgbm", "xgboost")  # needed only when the pipeline holds one of their estimators


def save(pipeline: Pipeline, features: pd.DataFrame, target: pd.Series, folder: Path, form: Format) -> Format:
    """Save a fitted pipeline and the first of these rows as an MLflow model; return the format used."""
    unknown = set(skops.io.get_untrusted_types(data=skops.io.dumps(pipeline))) if form == "skops" else set()
    if unknown - TRUSTED_TYPES:
        form = "cloudpickle"
    example = features[:EXAMPLE_ROWS].reset_index(drop=True)
    with warnings.catch_warnings(), _only_errors("mlflow"):
        # MLflow advises on integer columns at each call; and on pickle, which the caller has asked for.
        warnings.filterwarnings("ignore", message=".*integer column", category=UserWarning)
        mlflow.sklearn.save_model(
            pipeline,
            folder,
            signature=signature(features, target),
            input_example=example,
            pip_requirements=requirements(pipeline, form),
            serialization_format=form,
            skops_trusted_types=sorted(unknown) if form == "skops" else None,
        )
    return form


def signature(features: pd.DataFrame, target: pd.Series) -> ModelSignature:
    """Return the columns that go in, and one column that comes out, named after the target."""
    inputs = infer_signature(features).inputs
    if pd.api.types.is_bool_dtype(target):
        kind = DataType.boolean
    elif pd.api.types.is_integer_dtype(target):
        kind = DataType.long
    elif pd.api.types.is_float_dtype(target):
        kind = DataType.double
    else:
        kind = DataType.string
    return ModelSignature(inputs=inputs, outputs=Schema([ColSpec(kind, str(target.name))]))


def requirements(pipeline: Pipeline, form: Format) -> list[str]:
    """Return what has to be installed to load this pipeline and predict with it, in the versions at hand."""
    used = {type(part).__module__.split(".")[0] for part in _parts(pipeline)}
    packages = sorted([*ALWAYS, form, *(name for name in BOOSTERS if name in used)])
    return [f"{name}=={importlib.metadata.version(name)}" for name in packages]


def _parts(estimator: Any) -> list[BaseEstimator]:
    """Return the estimator and every estimator inside it."""
    inner = estimator.get_params(deep=True).values()
    return [estimator, *(part for part in inner if isinstance(part, BaseEstimator))]


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
