"""Kernels of decision trees and forests: scikit-learn's own compiled trees, without what surrounds them.

A few rows take longer to hand to a hundred trees than to walk through them. So the trees of a forest are joined below
a binary search for the tree's number, which is a further column: one call finds the leaf of every row in every tree.
The leaves' values are added in the order of the trees, as the forest does.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from loading.plan.kernel import Kernel, NotCovered, in_parts, require_finite
from serving.types import Array

# Rows up to which all trees are asked in one call; beyond, a call per tree takes less time.
MAX_JOINED_ROWS = 64
MAX_JOINED_NUMBERS = 4_000_000  # of the rows, which are copied for each tree
# Nodes up to which a forest is joined: the copy takes 64 bytes per node and 8 per class.
MAX_JOINED_NODES = 500_000
LEAF = -1
TREES = ("DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor")
FORESTS = ("ExtraTreesClassifier", "ExtraTreesRegressor", "RandomForestClassifier", "RandomForestRegressor")


def tree(step: Any, method: str) -> Kernel:
    """A decision tree, with one output."""
    _require_one_output(step)
    values = _tree_values(step, method)
    return in_parts(_answer(step, method, lambda numbers: values(_single(numbers))))


def forest(step: Any, method: str) -> Kernel:
    """The mean of the trees, with one output."""
    _require_one_output(step)
    inner = "predict_proba" if hasattr(step, "classes_") else "predict"
    parts = [_tree_values(each, inner) for each in step.estimators_]
    joined = _joined(step, inner)

    def mean(numbers: Array) -> Array:
        single = _single(numbers)
        if joined is not None and fits_joined(single, len(parts)):
            total = joined(single)
        else:
            total = np.zeros(parts[0](single[:0]).shape[1:])
            total = np.zeros((len(single), *total.shape))
            for part in parts:
                total += part(single)
        total /= len(parts)
        return total

    return in_parts(_answer(step, method, mean))


def _answer(step: Any, method: str, values: Kernel) -> Kernel:
    """Return a kernel that gives what the model does, from values or probabilities of shape (rows, classes)."""
    if hasattr(step, "classes_") and method == "predict":
        classes = step.classes_
        return lambda numbers: classes.take(values(numbers).argmax(axis=1), axis=0)
    return values


def _require_one_output(step: Any) -> None:
    if step.n_outputs_ != 1:
        raise NotCovered(f"{type(step).__name__} with several outputs")


def _single(numbers: Array) -> Array:
    return require_finite(numbers.astype(np.float32))


def _tree_values(step: Any, method: str) -> Kernel:
    """Return what gives a tree's values of shape (rows,), or its probabilities of shape (rows, classes)."""
    inner = step.tree_.predict
    if hasattr(step, "classes_"):
        return _probabilities(step) if method == "predict_proba" else inner
    return lambda single: inner(single)[:, 0]


def _probabilities(step: Any) -> Kernel:
    """Return what gives the probabilities of a tree's leaves; before scikit-learn 1.3, a leaf holds weights."""
    values, apply = _leaf_probabilities(step), step.tree_.apply
    return lambda single: values.take(apply(single), axis=0, mode="clip")


def _leaf_probabilities(step: Any) -> Array:
    values = step.tree_.value[:, 0, : step.n_classes_]
    sums = values.sum(axis=1)
    if np.allclose(sums, 1.0):
        return np.array(values)
    sums = sums[:, np.newaxis]
    sums[sums == 0.0] = 1.0
    return np.array(values / sums)


def _joined(forest: Any, method: str) -> Kernel | None:
    """Return what sums the values of all trees, found by one call; None for a forest that is too large to copy."""
    trees = [each.tree_ for each in forest.estimators_]
    if sum(each.node_count for each in trees) > MAX_JOINED_NODES or len(trees) < 2:
        return None
    count, width = len(trees), trees[0].n_features
    leaves = [_leaf_probabilities(each) if method == "predict_proba" else each.tree_.value[:, 0] for each in
              forest.estimators_]  # fmt: skip
    classes = leaves[0].shape[1]
    nodes, numbers = join_nodes([each.__getstate__()["nodes"] for each in trees], _search_node(width))
    values = np.concatenate([np.zeros((count - 1, classes)), *leaves])[:, np.newaxis]
    found = type(trees[0])(width + 1, np.array([classes], np.intp), 1)
    depth = int(np.ceil(np.log2(count))) + max(each.max_depth for each in trees)
    found.__setstate__({"max_depth": depth, "node_count": len(nodes), "nodes": nodes, "values": values})
    predict = found.predict

    def total(single: Array) -> Array:
        each = predict(repeated(single, numbers)).reshape(count, len(single), classes)
        # From 0.0 on, as the forest does, so that the sum is never -0.0.
        return np.asarray(np.add.accumulate(each, axis=0)[-1] + 0.0)

    return total if method == "predict_proba" else lambda single: total(single)[:, 0]


def fits_joined(rows: Array, trees: int) -> bool:
    """Return whether to ask all trees in one call for these rows."""
    return len(rows) <= MAX_JOINED_ROWS and rows.size * trees <= MAX_JOINED_NUMBERS


def repeated(rows: Array, numbers: Array) -> Array:
    """Return the rows once per tree, the trees in order, with the tree's number as a further column."""
    found = np.empty((len(numbers), len(rows), rows.shape[1] + 1), rows.dtype)
    found[:, :, :-1] = rows
    found[:, :, -1] = numbers[:, np.newaxis]
    return found.reshape(-1, rows.shape[1] + 1)


def _search_node(width: int) -> Callable[[Array, int, int, float], None]:
    def write(node: Array, left: int, right: int, threshold: float) -> None:
        node["left_child"], node["right_child"] = left, right
        node["feature"], node["threshold"] = width, threshold

    return write


def join_nodes(parts: list[Array], write: Callable[[Array, int, int, float], None]) -> tuple[Array, Array]:
    """Return the nodes of several trees below a binary search for a tree's number, and the trees' numbers.

    The search's nodes come first, then the trees in order. `write` makes a node of the search: its children, and the
    threshold up to which the left one is taken.
    """
    lengths = list(map(len, parts))
    starts = np.cumsum([0, *lengths])[:-1] + len(parts) - 1
    nodes = np.concatenate([np.zeros(len(parts) - 1, parts[0].dtype), *parts])
    left, right = ("left_child", "right_child") if "left_child" in (nodes.dtype.names or ()) else ("left", "right")
    inner = nodes["is_leaf"] == 0 if left == "left" else nodes[left] != LEAF
    moves = np.where(inner, np.repeat([0, *starts], [len(parts) - 1, *lengths]), 0).astype(nodes.dtype[left])
    nodes[left] += moves
    nodes[right] += moves
    used = 0

    def place(first: int, last: int) -> int:
        nonlocal used
        if first == last:
            return int(starts[first])
        at, middle = used, (first + last) // 2
        used += 1
        children = place(first, middle), place(middle + 1, last)
        write(nodes[at : at + 1], *children, middle + 0.5)
        return at

    place(0, len(parts) - 1)
    return nodes, np.arange(len(parts))
