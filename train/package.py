"""Saves a fitted pipeline as an MLflow model: signature, input example, and the packages that serving needs.

The format is skops, which runs no code on loading, if loading/trusted_types.py lists every type in the pipeline;
otherwise, or on request, it is cloudpickle. Requirements are listed explicitly, because MLflow's inference adds
whatever this process happens to have imported.
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
from train.data import Data, Task

ModelFormat = Literal["skops", "cloudpickle"]

EXAMPLE_ROWS = 7
REQUIREMENTS = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy")
BOOSTERS = ("lightgbm", "xgboost")  # required only by pipelines that contain one of their estimators


def save(
    pipeline: Pipeline, data: Data, folder: Path, model_format: ModelFormat, metadata: dict[str, Any]
) -> ModelFormat:
    """Save a pipeline fitted on this data as an MLflow model, with a few rows as example; return the format used."""
    needs_steps = model_steps.__name__ in modules(pipeline)
    unknown: set[str] = set()
    if model_format == "skops" and not needs_steps:
        unknown = set(skops.io.get_untrusted_types(data=skops.io.dumps(pipeline)))
    if needs_steps or unknown - TRUSTED_TYPES:
        model_format = "cloudpickle"
    rows = pd.concat([data.features.dropna()[:EXAMPLE_ROWS], data.features[:EXAMPLE_ROWS]])
    example = rows[:EXAMPLE_ROWS].reset_index(drop=True)  # complete rows if there are any
    with warnings.catch_warnings(), _only_errors("mlflow"):
        # MLflow warns against pickle, which the pipeline needs or the user has asked for.
        warnings.simplefilter("ignore", UserWarning)
        mlflow.sklearn.save_model(
            pipeline,
            folder,
            signature=signature(data.features, data.target, data.task, data.integers),
            input_example=example,
            pip_requirements=requirements(pipeline, model_format),
            code_paths=[model_steps.__file__] if needs_steps else None,
            serialization_format=model_format,
            skops_trusted_types=sorted(unknown) if model_format == "skops" else None,
            metadata=metadata,
        )
    return model_format


def signature(features: pd.DataFrame, target: pd.Series, task: Task, optional: Collection[str] = ()) -> ModelSignature:
    """Return a signature with the features as inputs and one output named after the target.

    A regression predicts fractions, also for a target of whole numbers.
    """
    inputs = [
        ColSpec(column.type, column.name, required=column.required and column.name not in optional)
        for column in infer_signature(features).inputs
    ]
    if task == "regression":
        output = DataType.double
    elif pd.api.types.is_bool_dtype(target):
        output = DataType.boolean
    elif pd.api.types.is_integer_dtype(target):
        output = DataType.long
    elif pd.api.types.is_float_dtype(target):
        output = DataType.double
    else:
        output = DataType.string
    return ModelSignature(inputs=Schema(inputs), outputs=Schema([ColSpec(output, str(target.name))]))


def requirements(pipeline: Pipeline, model_format: ModelFormat) -> list[str]:
    """Return the packages that loading this pipeline and predicting with it need, pinned to the installed versions."""
    boosters = [name for name in BOOSTERS if name in modules(pipeline)]
    packages = sorted([*REQUIREMENTS, model_format, *boosters])
    return [f"{name}=={importlib.metadata.version(name)}" for name in packages]


def beyond_sklearn(pipeline: Pipeline) -> list[str]:
    """Return a sentence for each package that the function installs for this pipeline in addition to scikit-learn."""
    sentences = []
    for name in BOOSTERS:
        if name in modules(pipeline):
            files = importlib.metadata.files(name) or []
            megabytes = sum(file.size or 0 for file in files) / 1e6
            sentences.append(
                f"The model isn't plain scikit-learn: the function installs and imports {name} for it, "
                f"{megabytes:,.0f} MB of files."
            )
    return sentences


def modules(estimator: BaseEstimator) -> set[str]:
    """Return the top-level packages of an estimator and of all estimators inside it."""
    parts = [estimator, *estimator.get_params(deep=True).values()]
    return {type(part).__module__.partition(".")[0] for part in parts if isinstance(part, BaseEstimator)}


@contextlib.contextmanager
def _only_errors(name: str) -> Iterator[None]:
    """Silence a library's log messages below ERROR."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
