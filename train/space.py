"""The spaces that TPOT can search.

Every pipeline of the default space, "plain", can be rewritten in scikit-learn alone (train/rewrite.py) and saved with
skops. XGBoost, LightGBM and TPOT's inner estimators are excluded, since the function would have to install and import
far more for them. The known pipelines are points of this space, so TPOT mutates and crosses them like any other. TPOT's
linear templates can be searched too; its graph templates have no equivalent among scikit-learn's pipelines.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from tpot.config import get_search_space
from tpot.config.template_search_spaces import get_template_search_spaces
from tpot.search_spaces.base import SearchSpace, SklearnIndividual
from tpot.search_spaces.nodes import EstimatorNode
from tpot.search_spaces.pipelines import (
    ChoicePipeline,
    DynamicUnionPipeline,
    SequentialPipeline,
    UnionPipeline,
)

from train.data import Task

SCALERS = ["Passthrough", "scalers"]
# Excluded: SelectFwe and SelectPercentile for regression, where TPOT scores columns with a test for classes;
# ColumnOrdinalEncoder and FeatureAgglomeration, whose settings in TPOT 1.1 fail on nearly every data set.
SELECTORS: dict[Task, list[str]] = {
    "regression": ["Passthrough", "SelectFromModel_regression", "VarianceThreshold"],
    "classification": ["Passthrough", "SelectFwe", "SelectPercentile", "VarianceThreshold"],
}
TRANSFORMERS = [
    "Binarizer", "ColumnOneHotEncoder", "FastICA", "KBinsDiscretizer", "Nystroem", "PCA", "PowerTransformer",
    "QuantileTransformer", "RBFSampler",
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
LINEAR = {"regression": "RidgeCV", "classification": "LogisticRegression"}
FOREST = {"regression": "ExtraTreesRegressor", "classification": "ExtraTreesClassifier"}

BOOSTING = {"regression": HistGradientBoostingRegressor, "classification": HistGradientBoostingClassifier}
LOSSES = {"regression": ["squared_error", "absolute_error"], "classification": ["log_loss"]}
# Settings that do well on most tables.
KNOWN_BOOSTING: list[dict[str, Any]] = [
    {
        "learning_rate": 0.08,
        "max_iter": 500,
        "max_leaf_nodes": 31,
        "min_samples_leaf": 20,
        "max_features": 1.0,
        "l2_regularization": 1e-3,
    },
    {
        "learning_rate": 0.1,
        "max_iter": 100,
        "max_leaf_nodes": 15,
        "min_samples_leaf": 20,
        "max_features": 1.0,
        "l2_regularization": 1e-3,
    },
]


class KnownFirst(SearchSpace):  # type: ignore[misc]  # TPOT has no types
    """A search space whose first population ends with the known pipelines; TPOT evaluates it from the end."""

    def __init__(self, space: SearchSpace, known: Sequence[SklearnIndividual], population: int) -> None:
        self.space = space
        self.known = list(known)[:population]
        self.random_left = max(0, population - len(self.known))

    def generate(self, rng: np.random.Generator | int | None = None) -> SklearnIndividual:
        """Return a random pipeline; at the end of the first population, a known one."""
        if self.random_left > 0 or not self.known:
            self.random_left -= 1
            return self.space.generate(rng)
        return self.known.pop()


def search_space(name: str, task: Task, features: int, samples: int, classes: int, seed: int) -> SearchSpace:
    """Return the TPOT template of this name, or "plain": scaler, selector, transformers and estimator.

    `features`, `samples` and `classes` are the columns, rows and classes that the pipelines will be fitted on.
    """
    sizes = {"n_features": features, "n_samples": samples, "n_classes": classes, "random_state": seed}
    if name != "plain":
        return get_template_search_spaces(name, classification=task == "classification", **sizes)
    transformers = ChoicePipeline(
        [DynamicUnionPipeline(get_search_space(TRANSFORMERS, **sizes)), get_search_space("SkipTransformer")]
    )
    return SequentialPipeline(
        [
            get_search_space(SCALERS, **sizes),
            get_search_space(SELECTORS[task], **sizes),
            UnionPipeline([transformers, get_search_space("Passthrough")]),
            ChoicePipeline([_boosting(task, seed), get_search_space(ESTIMATORS[task], **sizes)]),
        ]
    )


def known_pipelines(space: SearchSpace, task: Task, seed: int) -> list[SklearnIndividual]:
    """Return pipelines of the space "plain" that do well on most data, the best first."""
    pipelines = []
    for loss in reversed(LOSSES[task]):
        for settings in KNOWN_BOOSTING:
            node = _boosting(task, seed).generate(seed)
            node.hyperparameters |= {"loss": loss, **settings}
            pipelines.append(_individual(space, "Passthrough", node))
    for scaler, name in (("Passthrough", FOREST[task]), ("StandardScaler", LINEAR[task])):
        estimator = get_search_space(name, random_state=seed)
        settings = {} if name == "RidgeCV" else {"random_state": seed}
        settings |= {"max_iter": 1000} if name == "LogisticRegression" else {}
        pipelines.append(_individual(space, scaler, EstimatorNode(estimator.method, settings).generate()))
    return pipelines


def _individual(space: SearchSpace, scaler: str, estimator: SklearnIndividual) -> SklearnIndividual:
    """Return a pipeline of the space "plain" that consists of this scaler and this estimator."""
    individual = space.generate(0)
    scaling, selecting, beside, last = individual.pipeline
    scaling.node = get_search_space(scaler).generate()
    selecting.node = get_search_space("Passthrough").generate()
    beside.pipeline[0].node = get_search_space("SkipTransformer").generate()
    last.node = estimator
    return individual


def _boosting(task: Task, seed: int) -> EstimatorNode:
    """Return histogram gradient boosting with narrower ranges than TPOT's, to waste less of the search."""
    ranges = ConfigurationSpace(
        {
            "loss": Categorical("loss", LOSSES[task]),
            "learning_rate": Float("learning_rate", (0.02, 0.3), log=True),
            "max_iter": Integer("max_iter", (50, 1000), log=True),
            "max_leaf_nodes": Integer("max_leaf_nodes", (7, 127), log=True),
            "min_samples_leaf": Integer("min_samples_leaf", (3, 60), log=True),
            "max_features": Float("max_features", (0.3, 1.0)),
            "l2_regularization": Float("l2_regularization", (1e-6, 10.0), log=True),
            # "auto" stops early only above 10,000 rows: not when scoring a fold, but then when fitting all rows.
            "early_stopping": False,
            "random_state": seed,
        }
    )
    return EstimatorNode(BOOSTING[task], ranges)
