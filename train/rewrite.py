"""Rewrites TPOT's pipeline in scikit-learn's own steps, before it is scored: what is saved is what was scored.

The rewritten pipeline needs scikit-learn, the small classes of model_steps.py, and XGBoost or LightGBM if TPOT chose
one of them; with TPOT's classes, serving would have to install TPOT. A step without an equivalent raises TrainError
with its name.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline
from tpot import builtin_modules as tpot
from tpot.builtin_modules import genetic_encoders as genetic

from model_steps import LabelEncoded, Recode, RowArithmetic, Stacked, ZeroCount
from train.errors import TrainError

KEPT_MODULES = ("sklearn.", "xgboost.", "lightgbm.", "model_steps")

GENOTYPES: dict[type, dict[float, float]] = {
    genetic.DominantEncoder: {2: 0, 0: 1},
    genetic.RecessiveEncoder: {2: 1},
    genetic.HeterosisEncoder: {2: 0},
    genetic.UnderDominanceEncoder: {0: 2, 1: 0, 2: 1},
    genetic.OverDominanceEncoder: {0: 1, 1: 2, 2: 0},
}
# Without EQTransformer and NETransformer, which compare with the first row of the batch at hand.
ARITHMETIC: dict[type, str] = {
    tpot.AddTransformer: "sum",
    tpot.MulTransformer: "prod",
    tpot.MinTransformer: "min",
    tpot.MaxTransformer: "max",
    tpot.mul_neg_1_Transformer: "negative",
    tpot.SafeReciprocalTransformer: "reciprocal",
    tpot.GTTransformer: "greater",
    tpot.GETransformer: "greater_equal",
    tpot.LTTransformer: "less",
    tpot.LETransformer: "less_equal",
}


Rows = Callable[[], tuple[Any, Any]]  # the features and the target that reach a step


def to_sklearn(pipeline: BaseEstimator, features: pd.DataFrame, target: pd.Series) -> Pipeline:
    """Return an unfitted scikit-learn pipeline that is equivalent to TPOT's unfitted one. Raise TrainError.

    Only TPOT's encoders look at the rows, to select columns; the steps in front of one are fitted to find out.
    """
    step = _rewritten(pipeline, lambda: (features, target))
    steps = _flat(step) if isinstance(step, Pipeline) else [step]
    names = [type(step).__name__.lower() for step in steps]
    unique = [
        name if names.count(name) == 1 else f"{name}-{names[: i + 1].count(name)}" for i, name in enumerate(names)
    ]
    return Pipeline(list(zip(unique, steps, strict=True)))


def _rewritten(step: Any, rows: Rows) -> Any:
    """Return the equivalent of a step, or "passthrough" if it does nothing; `rows` are its inputs."""
    match step:
        case "passthrough":
            return step
        case Pipeline():
            steps = []
            for _, inner in step.steps:
                steps.append(_rewritten(inner, rows))
                rows = rows if steps[-1] == "passthrough" else functools.cache(functools.partial(_after, inner, rows))
            kept = [step for step in steps if step != "passthrough"]
            return Pipeline([(str(i), step) for i, step in enumerate(kept)]) if kept else "passthrough"
        case FeatureUnion():
            parts = [(name, _rewritten(inner, rows)) for name, inner in step.transformer_list if not _is_empty(inner)]
            return "passthrough" if [part for _, part in parts] == ["passthrough"] else FeatureUnion(parts)
        case tpot.Passthrough():
            return "passthrough"
        case tpot.ColumnOneHotEncoder() | tpot.ColumnOrdinalEncoder():
            return _encoder(step, rows)
        case tpot.PassKBinsDiscretizer():
            return clone(clone(step).fit(*rows()).transformer)
        case tpot.EstimatorTransformer() if step.method == "auto" and not step.passthrough:
            return Stacked(_rewritten(step.estimator, rows), step.cross_val_predict_cv)
        case tpot.ZeroCount():
            return ZeroCount()
        case _ if type(step) in GENOTYPES:
            return Recode(GENOTYPES[type(step)])
        case _ if type(step) in ARITHMETIC:
            return RowArithmetic(ARITHMETIC[type(step)])
        case _ if type(step).__name__ == "XGBClassifier":
            return LabelEncoded(_tidy(clone(step)))
        case _ if type(step).__module__.startswith(KEPT_MODULES):
            return _tidy(clone(step))
        case _:
            raise TrainError(
                f"The step {type(step).__module__}.{type(step).__name__} of TPOT's pipeline has no equivalent in "
                "scikit-learn, so nothing was saved. Search again with another --seed."
            )


def _tidy(step: BaseEstimator) -> BaseEstimator:
    """Replace NumPy scalars among the parameters by Python's, and deprecated parameters by current ones."""
    for name, value in step.get_params(deep=True).items():
        if isinstance(value, np.generic):
            step.set_params(**{name: value.item()})
        if name.endswith("criterion") and value == "friedman_mse":  # an alias that 1.11 removes
            step.set_params(**{name: "squared_error"})
    if isinstance(step, LogisticRegression):  # `penalty` is deprecated and `n_jobs` has no effect
        ratio = {"l2": 0.0, "l1": 1.0}.get(step.penalty, step.l1_ratio)
        step.set_params(l1_ratio=ratio, penalty=LogisticRegression().penalty, n_jobs=None)
    return step


def _is_empty(step: Any) -> bool:
    """Return whether a branch of a union adds no columns."""
    return isinstance(step, tpot.SkipTransformer) or (
        isinstance(step, FeatureUnion) and all(_is_empty(inner) for _, inner in step.transformer_list)
    )


def _after(step: Any, rows: Rows) -> tuple[Any, Any]:
    """Return what a step makes of its inputs, and the target."""
    features, target = rows()
    return clone(step).fit_transform(features, target), target


def _encoder(step: Any, rows: Rows) -> Any:
    """Return scikit-learn's encoder for the columns that TPOT's encoder selects, with its order of columns."""
    features, target = rows()
    fitted = clone(step).fit(features, target)
    encoded = list(fitted.columns_)
    if not encoded:
        return "passthrough"
    encoder = clone(fitted.enc).set_output(transform="default")
    columns = list(features.columns) if isinstance(features, pd.DataFrame) else list(range(features.shape[1]))
    rest = [column for column in columns if column not in encoded]
    if not rest:
        return encoder
    return ColumnTransformer([("rest", "passthrough", rest), ("encoded", encoder, encoded)])


def _flat(pipeline: Pipeline) -> list[Any]:
    """Return the steps of nested pipelines as one list."""
    steps: list[Any] = []
    for _, step in pipeline.steps:
        steps.extend(_flat(step) if isinstance(step, Pipeline) else [step])
    return steps
