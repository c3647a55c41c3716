"""Pipelines that do well on many tables. The search measures them first, then TPOT mutates and crosses them.

They are points of the space "plain". The cheapest come first, so that a short search, or one on busy cores, has
measured the linear model and default boosting.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from tpot.config import get_search_space
from tpot.search_spaces.base import SearchSpace, SklearnIndividual
from tpot.search_spaces.nodes import EstimatorNode

from train.scores import LINEAR_ITERATIONS, LINEAR_RARE
from train.space import LOSSES, STOPPING, Table, boosting_node

LINEAR = {"regression": "RidgeCV", "classification": "LogisticRegression"}
FOREST = {"regression": "ExtraTreesRegressor", "classification": "ExtraTreesClassifier"}
DEFAULTS: dict[str, Any] = {  # scikit-learn's
    "learning_rate": 0.1,
    "max_iter": 100,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 20,
    "max_features": 1.0,
    "l2_regularization": 0.0,
}
SLOW: dict[str, Any] = DEFAULTS | {"learning_rate": 0.05, "max_iter": 1000, "l2_regularization": 1e-3}
MANY_CLASSES = 5  # from which boosting has to be quick before it is thorough: an iteration grows a tree for each class
QUICK: dict[str, Any] = DEFAULTS | {"learning_rate": 0.2, "max_leaf_nodes": 15, "l2_regularization": 1e-3}
SMALL: dict[str, Any] = DEFAULTS | {"max_leaf_nodes": 7, "min_samples_leaf": 5}


class KnownFirst(SearchSpace):  # type: ignore[misc]  # TPOT has no types
    """A search space whose first population ends with the known pipelines; TPOT evaluates it from the end."""

    def __init__(self, space: SearchSpace, known: Sequence[SklearnIndividual], population: int) -> None:
        self.space = space
        self.known = list(known)[:population][::-1]
        self.random_left = max(0, population - len(self.known))

    def generate(self, rng: np.random.Generator | int | None = None) -> SklearnIndividual:
        """Return a random pipeline; at the end of the first population, a known one."""
        if self.random_left > 0 or not self.known:
            self.random_left -= 1
            return self.space.generate(rng)
        return self.known.pop(0)


def known_pipelines(space: SearchSpace, table: Table, scorer: str) -> list[SklearnIndividual]:
    """Return pipelines of the space "plain", in the order to measure them; `scorer` decides which losses come first."""
    losses = LOSSES[table.task]
    losses = losses[::-1] if scorer == "neg_mean_absolute_error" else losses
    stopping = STOPPING if table.stops_early else {"early_stopping": False}
    # A fixed number of iterations is quick for few classes, and needs no rows to stop by.
    fixed = stopping if table.classes > 2 else {"early_stopping": False}
    slow = (SLOW if table.stops_early else SLOW | {"max_iter": 200}) | stopping
    pipelines = [_linear(space, table)]
    if table.classes >= MANY_CLASSES:
        quick = QUICK | stopping | {"max_iter": max(20, 400 // table.classes)}
        pipelines += [_boosted(space, table, {"loss": losses[0], **quick}), _forest(space, table)]
    pipelines += [_boosted(space, table, {"loss": loss, **DEFAULTS, **fixed}) for loss in LOSSES[table.task]]
    pipelines += [_boosted(space, table, {"loss": loss, **slow}) for loss in losses]
    if table.log_target:
        pipelines.append(_boosted(space, table, {"loss": "squared_error", "log_target": True, **slow}))
    pipelines.append(_boosted(space, table, {"loss": losses[0], **SMALL, **fixed}))
    return pipelines if table.classes >= MANY_CLASSES else [*pipelines, _forest(space, table)]


def _boosted(space: SearchSpace, table: Table, settings: dict[str, Any]) -> SklearnIndividual:
    """Return native encoding and boosting with these settings."""
    individual = space.generate(0)
    individual.node = space.search_spaces[0].generate(0)
    node = boosting_node(table, len(table.columns.texts)).generate(0)
    node.hyperparameters |= settings
    encoding, _ = individual.node.pipeline
    individual.node.pipeline[:] = [encoding, node]
    return individual


def _linear(space: SearchSpace, table: Table) -> SklearnIndividual:
    settings = {} if table.task == "regression" else {"random_state": table.seed, "max_iter": LINEAR_ITERATIONS}
    return _with_estimator(space, table, "StandardScaler", LINEAR[table.task], settings, {"rare": LINEAR_RARE})


def _forest(space: SearchSpace, table: Table) -> SklearnIndividual:
    texts = {"texts": "one-hot and target", "rare": 0.01}
    settings = {"random_state": table.seed, "min_samples_leaf": 2}
    return _with_estimator(space, table, "Passthrough", FOREST[table.task], settings, texts)


def _with_estimator(
    space: SearchSpace, table: Table, scaler: str, name: str, settings: dict[str, Any], encoding: dict[str, Any]
) -> SklearnIndividual:
    """Return an encoder, this scaler and this estimator."""
    individual = space.generate(0)
    individual.node = space.search_spaces[1].generate(0)
    encoder_, scaling, selecting, beside, last = individual.node.pipeline
    encoder_.hyperparameters = encoding if table.columns.texts else {}
    scaling.node = get_search_space(scaler).generate()
    selecting.node = get_search_space("Passthrough").generate()
    beside.pipeline[0].node = get_search_space("SkipTransformer").generate()
    last.node = EstimatorNode(get_search_space(name, random_state=table.seed).method, settings).generate()
    return individual
