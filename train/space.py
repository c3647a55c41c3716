"""What TPOT searches: by default its building blocks without those that scikit-learn cannot stand in for.

Rule: every pipeline of the space "plain" can be rewritten with scikit-learn alone (train/plain.py) and saved with
skops. XGBoost, LightGBM and TPOT's inner estimators are left out for that reason; they would make the
function install and import far more. The known pipelines are points of this space, so that TPOT mutates
and crosses them like any other. TPOT's own linear templates can be searched as well; its graphs have no equal
among scikit-learn's pipelines.
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
# Left out: SelectFwe and SelectPercentile for regression, where TPOT scores columns with a test for classes;
# ColumnOrdinalEncoder and FeatureAgglomeration, whose settings in TPOT 1.1 fail on (nearly) every data set.
SELECTORS: dict[Task, list[str]] = {
    "regression": ["Passthrough", "SelectFromModel_regression", "VarianceThreshold"],
    "classification": ["Passthrough", "SelectFwe", "SelectPercentile", "VarianceThreshold"],
}
TRANSFORMERS = [
    *(
        "Binarizer",
        "ColumnOneHotEncoder",
        "FastICA",
        "KBinsDiscretizer",
        "Nystroem",
        "PCA",
        "PowerTransformer",
    ),
    *("QuantileTransformer", "RBFSampler"),
]
ESTIMATORS: dict[Task, list[str]] = {
    "regression": [
        *("AdaBoostRegressor", "DecisionTreeRegressor", "ExtraTreesRegressor"),
        *("HistGradientBoostingRegressor", "KNeighborsRegressor", "LinearSVR", "MLPRegressor"),
        *("RandomForestRegressor", "RidgeCV"),
    ],
    "classification": [
        *("AdaBoostClassifier", "DecisionTreeClassifier", "ExtraTreesClassifier", "GaussianNB"),
        *("HistGradientBoostingClassifier", "KNeighborsClassifier", "LinearDiscriminantAnalysis"),
        *("LogisticRegression", "MLPClassifier", "RandomForestClassifier"),
    ],
}
LINEAR = {"regression": "RidgeCV", "classification": "LogisticRegression"}
FOREST = {"regression": "ExtraTreesRegressor", "classification": "ExtraTreesClassifier"}

BOOSTING = {"regression": HistGradientBoostingRegressor, "classification": HistGradientBoostingClassifier}
LOSSES = {"regression": ["squared_error", "absolute_error"], "classification": ["log_loss"]}
# What does well on most tables. The ranges around it are narrower than TPOT's, to waste less of the time.
BOOSTING_KNOWN: list[dict[str, Any]] = [
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
    """A search space whose first population ends with the known pipelines: TPOT evaluates it from its end."""

    def __init__(self, space: SearchSpace, known: Sequence[SklearnIndividual], population: int) -> None:
        self.space = space
        self.known = list(known)[:population]
        self.random = max(0, population - len(self.known))

    def generate(self, rng: np.random.Generator | int | None = None) -> SklearnIndividual:
        """Return a random pipeline, or the next known one when their turn has come."""
        if self.random > 0 or not self.known:
            self.random -= 1
            return self.space.generate(rng)
        return self.known.pop()


def space(name: str, task: Task, features: int, samples: int, classes: int, seed: int) -> SearchSpace:
    """Return TPOT's template of this name, or ours: scaler, selector, transformers beside the columns, estimator."""
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


def known(space: SearchSpace, task: Task, seed: int) -> list[SklearnIndividual]:
    """Return pipelines that are strong on most data, the strongest first."""
    found = []
    for loss in reversed(LOSSES[task]):
        for settings in BOOSTING_KNOWN:
            node = _boosting(task, seed).generate(seed)
            node.hyperparameters |= {"loss": loss, **settings}
            found.append(_individual(space, "Passthrough", node))
    for scaler, name in (("Passthrough", FOREST[task]), ("StandardScaler", LINEAR[task])):
        estimator = get_search_space(name, random_state=seed)
        settings = {} if name == "RidgeCV" else {"random_state": seed}
        settings |= {"max_iter": 1000} if name == "LogisticRegression" else {}
        found.append(_individual(space, scaler, EstimatorNode(estimator.method, settings).generate()))
    return found


def _individual(space: SearchSpace, scaler: str, estimator: SklearnIndividual) -> SklearnIndividual:
    """Return a pipeline of the space with nothing but this scaler and this estimator in it."""
    individual = space.generate(0)
    scaling, selecting, beside, last = individual.pipeline
    scaling.node = get_search_space(scaler).generate()
    selecting.node = get_search_space("Passthrough").generate()
    beside.pipeline[0].node = get_search_space("SkipTransformer").generate()
    last.node = estimator
    return individual


def _boosting(task: Task, seed: int) -> EstimatorNode:
    """Return histogram gradient boosting with ranges around settings that work."""
    ranges = ConfigurationSpace(
        {
            "loss": Categorical("loss", LOSSES[task]),
            "learning_rate": Float("learning_rate", (0.02, 0.3), log=True),
            "max_iter": Integer("max_iter", (50, 1000), log=True),
            "max_leaf_nodes": Integer("max_leaf_nodes", (7, 127), log=True),
            "min_samples_leaf": Integer("min_samples_leaf", (3, 60), log=True),
            "max_features": Float("max_features", (0.3, 1.0)),
            "l2_regularization": Float("l2_regularization", (1e-6, 10.0), log=True),
            # By itself it stops early only beyond 10,000 rows: not on the folds, but then on all of the rows.
            "early_stopping": False,
            "random_state": seed,
        }
    )
    return EstimatorNode(BOOSTING[task], ranges)
