"""From a fitted model to plain calls in order: pipelines and other estimators that consist of further ones.

A part of a model gets either columns of the request or the array that the part before it returns. Columns of numbers
become an array; columns of categories go through the tables of their encoders; timestamps through DateParts.
"""

import contextlib
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from loading.column_transformer import parts_of
from loading.fitted import takes_array
from loading.plan import boosters, dates, ensembles, trees
from loading.plan.asking import Frame
from loading.plan.joining import chained, one_after_another, side_by_side, to_sparse, unless_sparse
from loading.plan.kernel import (
    Columns,
    Head,
    Kernel,
    NotCovered,
    are_numbers,
    gather,
    gives_frames,
    name_of,
)
from loading.plan.kernels import PREDICTORS, transformer
from loading.plan.lookup import BY_COLUMN, ENCODERS, lookup, transformed
from serving.signature import Signature
from serving.types import Array

_SEARCHES = tuple(f"sklearn.{kind}SearchCV" for kind in ("Grid", "Randomized", "HalvingGrid", "HalvingRandom"))
_PIPELINES = ("sklearn.Pipeline", "imblearn.Pipeline")
# Last steps for which a dense matrix means the same as a sparse one.
_DENSE = {f"sklearn.{name}" for name in (*trees.TREES, *trees.FORESTS, "GradientBoostingRegressor")}


# Takes a step, its kernel or head, and the step's own way, and returns what to use.
Admit = Callable[[Any, Any, Any], Any]


class Planner:
    """Makes the plan of one model with this signature; `frame` builds the DataFrame that its steps expect.

    `admit` may put something else in place of a kernel, such as a comparison with the step.
    """

    def __init__(self, signature: Signature, frame: Frame, admit: Admit = lambda _, kernel, __: kernel) -> None:
        self._signature, self._frame, self._admit = signature, frame, admit
        self._heads: dict[tuple[int, ...], Head] = {}  # so that predict and predict_proba share them
        self._sparse: set[Head] = set()  # heads in whose place the model's own steps give a sparse matrix
        self.last: tuple[Any, Head] | None = None  # the last step that was planned, and what computes its features
        self.bare = False  # whether that step gets the columns as they are

    def predictor(self, model: Any, method: str) -> Head:
        """Return what gives the answer of `method`, predict or predict_proba, for rows; raise NotCovered."""
        return self._predict(model, self._signature.columns, method)

    def _predict(self, step: Any, columns: Columns, method: str) -> Head:
        name = name_of(step)
        if name in _PIPELINES:
            *before, last = _steps(step)
            if not before:
                return self._predict(last, columns, method)
            return self._ended(last, self._transform(before, columns), method)
        if name in _SEARCHES:
            return self._predict(step.best_estimator_, columns, method)
        if name == "sklearn.TransformedTargetRegressor" and method == "predict":
            return chained(self._predict(step.regressor_, columns, method), _target(step))
        if name in ensembles.NAMES and not getattr(step, "passthrough", False):
            head: Head = ensembles.planned(step, method, lambda each, own: self._predict(each, columns, own))
            return head
        if name not in PREDICTORS and not takes_array(step):
            raise NotCovered(f"{name} gets a DataFrame")
        self.bare = True
        return self._ended(step, gather(columns, self._signature), method)

    def _ended(self, last: Any, head: Head, method: str) -> Head:
        self.last = last, head
        if head in self._sparse and name_of(last) not in _DENSE:
            head = chained(head, to_sparse)
        return chained(head, self.predict_array(last, method))

    def _transform(self, steps: Sequence[Any], columns: Columns) -> Head:
        """Return what gives the array that these steps in order make of columns."""
        key = (*map(id, steps), *map(id, columns))
        if key not in self._heads:
            self._heads[key] = self._made(steps, columns)
        return self._heads[key]

    def _made(self, steps: Sequence[Any], columns: Columns) -> Head:
        if not steps:
            return gather(columns, self._signature)
        first, *rest = steps
        if name_of(first) in _PIPELINES:
            return self._transform([*_steps(first), *rest], columns)
        sparse = False
        if count := _encoding(steps, columns):
            head, sparse = lookup(steps[:count], columns, self._frame)
            head = self._admit(steps[count - 1], head, partial(transformed, steps[:count], columns, self._frame))
            rest = list(steps[count:])
        elif name_of(first) == "sklearn.ColumnTransformer":
            head, sparse = self._columns(first, columns), first.sparse_output_
        elif name_of(first) == "sklearn.FeatureUnion":
            head = self._union(first, columns)
        elif name_of(first) == "model_steps.DateParts":
            head = dates.date_parts(first, columns)
        elif takes_array(first) and are_numbers(columns):
            head = chained(gather(columns, self._signature), self._transform_array(first))
        else:
            raise NotCovered(f"{name_of(first)} gets a DataFrame")
        if sparse and rest:
            return chained(head, to_sparse, *(step.transform for step in rest))
        if rest:
            head = chained(head, *map(self._transform_array, rest))
        if sparse:
            self._sparse.add(head)
        return head

    def _columns(self, step: Any, columns: Columns) -> Head:
        """Return what a ColumnTransformer does: each part gets its columns, and the results stand side by side."""
        if step.transformer_weights:
            raise NotCovered("ColumnTransformer with weights")
        heads = []
        for part, places in parts_of(step, [column.name for column in columns]):
            if not places:
                continue
            passed = isinstance(part, str) or (name_of(part) == "sklearn.FunctionTransformer" and part.func is None)
            heads.append(self._transform([] if passed else [part], [columns[at] for at in places]))
        return side_by_side(heads, sparse=step.sparse_output_, frames=gives_frames(step))

    def _union(self, step: Any, columns: Columns) -> Head:
        if step.transformer_weights:
            raise NotCovered("FeatureUnion with weights")
        parts = [part for _, part in step.transformer_list if not (isinstance(part, str) and part == "drop")]
        heads = [self._transform([] if isinstance(part, str) else [part], columns) for part in parts]
        if self._sparse.intersection(heads):
            raise NotCovered("FeatureUnion with sparse parts")
        return side_by_side(heads, sparse=True, frames=gives_frames(step))

    def predict_array(self, step: Any, method: str) -> Kernel:
        """Return what a step answers for an array."""
        name = name_of(step)
        if name in _PIPELINES:
            *before, last = _steps(step)
            return one_after_another(*map(self._transform_array, before), self.predict_array(last, method))
        if name in _SEARCHES:
            return self.predict_array(step.best_estimator_, method)
        if name == "sklearn.TransformedTargetRegressor" and method == "predict":
            return one_after_another(self.predict_array(step.regressor_, method), _target(step))
        if name == "model_steps.LabelEncoded":
            inner, classes = self.predict_array(step.estimator_, method), step.classes_
            return inner if method == "predict_proba" else lambda values: classes[inner(values)]
        if name in ensembles.NAMES:
            kernel: Kernel = ensembles.planned(step, method, self.predict_array)
            return kernel
        own: Kernel = getattr(step, method)
        if special := PREDICTORS.get(name):
            with contextlib.suppress(NotCovered):
                kernel = self._admit(step, special(step, method), own)
                return unless_sparse(kernel, own) if name in boosters.KERNELS else kernel
        return own

    def _transform_array(self, step: Any) -> Kernel:
        if name_of(step) in _PIPELINES:
            return one_after_another(*map(self._transform_array, _steps(step)))
        kernel: Kernel = self._admit(step, transformer(step), step.transform)
        return kernel


def _steps(pipeline: Any) -> list[Any]:
    """Return the steps of a pipeline that count when it predicts; imblearn's samplers and passthrough don't."""
    steps = [step for _, step in pipeline.steps if step is not None and not isinstance(step, str)]
    steps = [step for step in steps if not hasattr(type(step), "fit_resample")]
    for before, after in itertools.pairwise(steps):
        if gives_frames(before) and name_of(after) not in PREDICTORS and not takes_array(after):
            raise NotCovered(f"{name_of(after)} gets a DataFrame")
    return steps


def _encoding(steps: Sequence[Any], columns: Columns) -> int:
    """Return how many steps to ask as a table: up to the last encoder in a row, if only imputers are before the first.

    An encoder of another encoder's codes is part of the table, since it computes each column by itself, too.
    """
    count = 0
    for number, step in enumerate(steps, start=1):
        if name_of(step) in ENCODERS:
            count = number
        elif count or name_of(step) not in BY_COLUMN:
            break
    return 0 if all(column.mlflow_type in ("double", "float") for column in columns) else count


def _target(step: Any) -> Kernel:
    """Return what TransformedTargetRegressor does with the predictions of its regressor."""
    inverse, dimensions = step.transformer_.inverse_transform, step._training_dim

    def original(predicted: Array) -> Array:
        found = inverse(predicted.reshape(-1, 1) if predicted.ndim == 1 else predicted)
        if dimensions == found.ndim - 1 and found.shape[1] == 1:
            found = found.squeeze(axis=1)
        return np.asarray(found)

    return original
