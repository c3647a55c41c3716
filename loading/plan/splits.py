"""The features and thresholds at which a model's trees split."""

from collections.abc import Iterator
from typing import Any

import numpy as np

PER_FEATURE = 6  # thresholds
NEAR_ROOTS = 100  # nodes of each tree that are read; of features that are split further down only, the first node is


def splits(step: Any) -> Iterator[tuple[int, list[float]]]:
    """Yield the features at which the trees of a step split, with their thresholds, those near the roots first."""
    parts = []
    for tree in _trees(step):
        if hasattr(tree, "threshold"):
            places, features, thresholds = np.flatnonzero(tree.children_left != -1), tree.feature, tree.threshold
        else:
            places = np.flatnonzero(tree.nodes["is_leaf"] == 0)
            features, thresholds = tree.nodes["feature_idx"], tree.nodes["num_threshold"]
        parts.append((places, features[places], thresholds[places]))
    if not parts:
        return
    places, found, cuts = map(np.concatenate, zip(*parts, strict=True))
    if not len(found):
        return
    first = np.full(int(found.max()) + 1, -1)
    first[found[::-1]] = np.arange(len(found))[::-1]  # of equal features, the last assignment stays
    chosen = np.union1d(np.flatnonzero(places < NEAR_ROOTS), first[first >= 0])
    chosen = chosen[np.lexsort((places[chosen], found[chosen]))]
    features, starts = np.unique(found[chosen], return_index=True)
    for feature, thresholds in zip(features.tolist(), np.split(cuts[chosen], starts[1:]), strict=True):
        yield feature, list(dict.fromkeys(thresholds[: 10 * PER_FEATURE].tolist()))[:PER_FEATURE]


def _trees(step: Any) -> Iterator[Any]:
    if hasattr(step, "tree_"):
        yield step.tree_
    elif hasattr(step, "_predictors"):
        yield from (tree for iteration in step._predictors for tree in iteration)
    else:
        for each in np.ravel(np.array(getattr(step, "estimators_", ()), object)):
            yield from _trees(each)
