"""Asks fitted encoders what they give for each value of each column.

The values are asked as differences from one row, so what is kept grows with the number of values and not with that of
values times outputs: a one-hot of thousands of categories would take gigabytes.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from loading.plan.kernel import Columns, NotCovered, dense, is_sparse, name_of
from serving.rows import DecodedColumn
from serving.types import Array

MAX_ASKED = 1_000_000  # outputs that are asked for at once
_PARTS = 16  # into which cases are split of which the steps refuse some

Frame = Callable[[Sequence[DecodedColumn]], pd.DataFrame]
Case = tuple[int, Any]  # a column's place and its value, None for NULL; the other columns keep their usual value


@dataclass(frozen=True)
class Changes:
    """The outputs that aren't those of the usual row: the case, the output's place and its value, of equal length.

    `refused` says of each case whether the steps raise.
    """

    cases: Array
    places: Array
    values: Array
    refused: Array

    @staticmethod
    def concat(parts: "Sequence[Changes]") -> "Changes":
        starts = np.cumsum([0, *(len(part.refused) for part in parts)])
        return Changes(
            np.concatenate([start + part.cases for start, part in zip(starts, parts, strict=False)]),
            *(np.concatenate([getattr(part, name) for part in parts]) for name in ("places", "values", "refused")),
        )


class Asker:
    """Asks steps for the outputs of columns, of which `usual` has one value each.

    `first` are the outputs for these values, `order` is the outputs' memory layout, and `sparse` says whether they are
    sparse. Raise NotCovered for outputs that aren't a table of float64.
    """

    def __init__(self, steps: Sequence[Any], columns: Columns, frame: Frame, usual: Sequence[Any]) -> None:
        self._columns, self._frame, self._usual = columns, frame, usual
        found = through(steps, self._given([(0, usual[0])] * 2))
        outputs = dense(found)
        if outputs.dtype != np.float64 or outputs.ndim != 2:
            raise NotCovered("the outputs of an encoder are not float64")
        self.first = outputs[0]
        self.sparse = is_sparse(found)
        self.order: Literal["C", "F"] = "F" if outputs.flags.f_contiguous and not outputs.flags.c_contiguous else "C"
        self._steps = [*steps[:-1], _sparse_form(steps[-1])]
        is_wide = self.sparse or self._steps[-1] is not steps[-1]
        self._at_once = max(1, MAX_ASKED // max(1, len(columns) if is_wide else len(self.first)))

    def each(self, groups: Sequence[Sequence[Case]]) -> Changes:
        """Return what changes in each case, numbered through all groups; a group is asked by itself."""
        parts = [
            self._ask(group[start : start + self._at_once])
            for group in groups
            for start in range(0, len(group), self._at_once)
        ]
        return Changes.concat(parts)

    def _ask(self, cases: Sequence[Case]) -> Changes:
        try:
            found = through(self._steps, self._given(cases))
        except Exception:  # what the steps raise
            if len(cases) == 1:
                nothing = np.empty(0, np.intp)
                return Changes(nothing, nothing, np.empty(0), np.ones(1, np.bool_))
            size = max(1, len(cases) // _PARTS)
            return Changes.concat([self._ask(cases[at : at + size]) for at in range(0, len(cases), size)])
        return Changes(*_differences(found, self.first), np.zeros(len(cases), np.bool_))

    def _given(self, cases: Sequence[Case]) -> pd.DataFrame:
        """Return the cases as the DataFrame that the steps take."""
        decoded = [
            DecodedColumn(column, np.full(len(cases), usual, column.type.dtype), np.zeros(len(cases), np.bool_))
            for column, usual in zip(self._columns, self._usual, strict=True)
        ]
        for row, (place, value) in enumerate(cases):
            decoded[place].array[row] = self._columns[place].type.filler if value is None else value
            decoded[place].nulls[row] = value is None
        return self._frame(decoded)


def through(steps: Sequence[Any], given: Any) -> Any:
    """Return what the steps make of a DataFrame, one after the other."""
    for step in steps:
        given = step.transform(given)
    return given


def _differences(found: Any, first: Array) -> tuple[Array, Array, Array]:
    """Return the rows, places and values of the outputs that differ in a bit from those of the first row."""
    if not is_sparse(found):
        outputs = np.asarray(found)
        rows, places = np.nonzero(outputs.view(np.int64) != first.view(np.int64))
        return rows, places, outputs[rows, places]
    from scipy.sparse import csr_matrix

    outputs = csr_matrix(found)
    usual = csr_matrix(first[np.newaxis])[np.zeros(outputs.shape[0], np.intp)]
    rows, places = (outputs != usual).nonzero()
    return rows, places, np.asarray(outputs[rows, places]).ravel() if len(rows) else np.empty(0)


def _sparse_form(step: Any) -> Any:
    """Return a one-hot encoder that gives the same outputs as a sparse matrix; any other step as it is."""
    if name_of(step) != "sklearn.OneHotEncoder" or getattr(step, "_sklearn_output_config", None):
        return step
    found = copy.copy(step)
    setattr(found, "sparse_output" if hasattr(found, "sparse_output") else "sparse", True)  # its name before 1.2
    return found
