"""The spaces that TPOT can search.

A pipeline of the default space, "plain", has an encoder of train/features.py in front of TPOT's steps, and TPOT
searches over its settings too. Every one can be rewritten in scikit-learn alone (train/rewrite.py). XGBoost and
LightGBM belong to the space "boosting" only, since the function would have to install and import far more for them.
TPOT's linear templates can be searched behind a fixed encoder; its graph templates have no equivalent among
scikit-learn's pipelines.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from tpot.config import get_search_space
from tpot.config.template_search_spaces import get_template_search_spaces
from tpot.search_spaces.base import SearchSpace
from tpot.search_spaces.nodes import EstimatorNode
from tpot.search_spaces.pipelines import (
    ChoicePipeline,
    DynamicUnionPipeline,
    SequentialPipeline,
    UnionPipeline,
)

from train.data import Task
from train.features import Columns, encoder, native_encoder
from train.target import plain

SCALERS = ["Passthrough", "scalers"]
# Excluded: SelectFwe and SelectPercentile for regression, where TPOT scores columns with a test for classes;
# FeatureAgglomeration, whose settings in TPOT 1.1 fail on nearly every data set; and TPOT's encoders and discretizer,
# which select columns by the rows at hand, where a fold may have others.
SELECTORS: dict[Task, list[str]] = {
    "regression": ["Passthrough", "SelectFromModel_regression", "VarianceThreshold"],
    "classification": ["Passthrough", "SelectFwe", "SelectPercentile", "VarianceThreshold"],
}
TRANSFORMERS = [
    "Binarizer", "FastICA", "Nystroem", "PCA", "PowerTransformer", "QuantileTransformer", "RBFSampler",
]  # fmt: skip
ESTIMATORS: dict[Task, list[str]] = {
    "regression": [
        "AdaBoostRegressor", "DecisionTreeRegressor", "ExtraTreesRegressor", "HistGradientBoostingRegressor",
        "KNeighborsRegressor", "LinearSVR", "MLPRegressor", "RandomForestRegressor", "RidgeCV",
    ],
    "classification": [
        "AdaBoostClassifier", "DecisionTreeClassifier", "ExtraTreesClassifier", "GaussianNB",
        "HistGradientBoostingClassifier", "KNeighborsClassifier", "LinearDiscriminantAnalysis", "LogisticRegression",
        "MLPClassifier", "RandomForestClassifier",
    ],
}  # fmt: skip
BOOSTERS = {"regression": ["LGBMRegressor", "XGBRegressor"], "classification": ["LGBMClassifier", "XGBClassifier"]}
HISTOGRAM = {"regression": HistGradientBoostingRegressor, "classification": HistGradientBoostingClassifier}
LOSSES = {"regression": ["squared_error", "absolute_error"], "classification": ["log_loss"]}

LONG_TAIL = 1.5  # skewness of a target from which its logarithm is tried
STOPPING_ROWS = 2000  # from which boosting can spare a tenth of the rows to find out when to stop
STOPPING = {"early_stopping": True, "n_iter_no_change": 15}


@dataclasses.dataclass(frozen=True)
class Table:
    """What the spaces depend on: the data that the pipelines will be fitted on."""

    task: Task
    columns: Columns
    rows: int
    features: int  # columns of numbers that `encoder` makes
    classes: int  # 0 for a regression
    log_target: bool  # whether the logarithm of the target is tried
    seed: int

    @classmethod
    def of(cls, features: pd.DataFrame, target: pd.Series, task: Task, columns: Columns, seed: int) -> "Table":
        """Describe these rows."""
        prepared = encoder(columns)
        width = features.shape[1] if columns.plain else prepared.fit_transform(features, target).shape[1]
        classes = target.nunique() if task == "classification" else 0
        log_target = task == "regression" and bool(target.min() >= 0 and target.skew() > LONG_TAIL)
        return cls(task, columns, len(features), width, classes, log_target, seed)

    @property
    def stops_early(self) -> bool:
        """Whether boosting stops when it gets no better. A fit has as many trees as iterations times classes."""
        return self.rows >= STOPPING_ROWS or self.classes > 2

    @property
    def sizes(self) -> dict[str, int]:
        """The arguments of TPOT's functions; its spaces can't be built for a single column."""
        return {
            "n_features": max(2, self.features),
            "n_samples": self.rows,
            "n_classes": self.classes,
            "random_state": self.seed,
        }


@dataclasses.dataclass(frozen=True)
class Maker:
    """A function with fixed arguments that TPOT can name, compare and send to its workers."""

    make: Callable[..., Any]
    fixed: tuple[Any, ...]

    @property
    def __name__(self) -> str:
        return self.make.__name__

    def __call__(self, **settings: Any) -> Any:
        return self.make(*self.fixed, **{name: plain(value) for name, value in settings.items()})


def boosting(task: Task, texts: int, log_target: bool = False, **settings: Any) -> Any:
    """Return histogram gradient boosting, maybe of the logarithm; its first `texts` columns are codes of categories."""
    if texts:
        settings["categorical_features"] = list(range(texts))
    if not settings["early_stopping"]:
        settings.pop("n_iter_no_change", None)
    model = HISTOGRAM[task](**settings)
    return TransformedTargetRegressor(model, func=np.log1p, inverse_func=np.expm1) if log_target else model


def search_space(name: str, table: Table) -> SearchSpace:
    """Return "plain", "boosting", or TPOT's template of this name behind the encoder."""
    if name not in ("plain", "boosting"):
        template = get_template_search_spaces(name, classification=table.task == "classification", **table.sizes)
        return SequentialPipeline([EstimatorNode(Maker(encoder, (table.columns,)), {}), template])
    transformers = ChoicePipeline(
        [DynamicUnionPipeline(get_search_space(TRANSFORMERS, **table.sizes)), get_search_space("SkipTransformer")]
    )
    estimators = [boosting_node(table, 0), get_search_space(ESTIMATORS[table.task], **table.sizes)]
    if name == "boosting":
        estimators.append(get_search_space(BOOSTERS[table.task], **table.sizes))
    any_estimator = SequentialPipeline(
        [
            _encoder_node(table),
            get_search_space(SCALERS, **table.sizes),
            get_search_space(SELECTORS[table.task], **table.sizes),
            UnionPipeline([transformers, get_search_space("Passthrough")]),
            ChoicePipeline(estimators),
        ]
    )
    native = SequentialPipeline([_native_node(table), boosting_node(table, len(table.columns.texts))])
    return ChoicePipeline([native, any_estimator])


def _encoder_node(table: Table) -> EstimatorNode:
    choices: dict[str, Any] = {}
    if table.columns.texts:
        choices["texts"] = Categorical("texts", ["one-hot", "one-hot and codes", "target", "one-hot and target"])
        choices["rare"] = Categorical("rare", [0.01, 0.002])
    if table.columns.documents:
        choices["words"] = Integer("words", (8, 60), log=True)
    return EstimatorNode(Maker(encoder, (table.columns,)), choices and ConfigurationSpace(choices))


def _native_node(table: Table) -> EstimatorNode:
    words = {"words": Integer("words", (8, 60), log=True)} if table.columns.documents else {}
    return EstimatorNode(Maker(native_encoder, (table.columns,)), words and ConfigurationSpace(words))


def boosting_node(table: Table, texts: int) -> EstimatorNode:
    """Return histogram gradient boosting with narrower ranges than TPOT's, to waste less of the search."""
    ranges = {
        "learning_rate": Float("learning_rate", (0.02, 0.3), log=True),
        "max_leaf_nodes": Integer("max_leaf_nodes", (7, 127), log=True),
        "min_samples_leaf": Integer("min_samples_leaf", (3, 60), log=True),
        "max_features": Float("max_features", (0.3, 1.0)),
        "l2_regularization": Float("l2_regularization", (1e-6, 10.0), log=True),
        "loss": Categorical("loss", LOSSES[table.task]),
        "max_iter": Integer("max_iter", (50, 1000 if table.stops_early else 300), log=True),
        "random_state": table.seed,
        **(STOPPING if table.stops_early else {"early_stopping": False}),
    }
    if table.log_target:
        ranges["log_target"] = Categorical("log_target", [False, True])
    return EstimatorNode(Maker(boosting, (table.task, texts)), ConfigurationSpace(ranges))
