"""The workloads of the benchmarks: a model, and rows encoded as BigQuery encodes them.

The correct answer is that of the bare `model.predict` on typed columns; NULL is also accepted for a row that contains
NULL, unless the model was trained on NULLs.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks import tables
from benchmarks.models import MODELS, loaded
from bqlocal.encoding import encode
from sql.names import exceeds_arguments

ROWS = 20_000  # from which requests are cut
WIDE_ROWS = 5_000
SQL_TYPES = {"f": "FLOAT64", "i": "INT64", "M": "TIMESTAMP"}  # by the kind of dtype; any other is STRING


@dataclass(frozen=True)
class Workload:
    """A model, the rows it is asked to score, and this function's setting for those that it can't."""

    name: str
    model: str
    rows: tables.Rows
    count: int = ROWS
    on_error: str = "fail"

    @cached_property
    def frame(self) -> pd.DataFrame:
        """All rows, typed."""
        return self.rows(self.count, 7)

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return list(self.frame.columns)

    @property
    def function(self) -> str:
        """The SQL function that scores these rows: predict can't take more columns than BigQuery allows."""
        return "predict_row" if exceeds_arguments(self.names) else "predict"

    @cached_property
    def calls(self) -> list[str]:
        """The values of each row as a JSON array."""
        return [f"[{','.join(row)}]" for row in zip(*self._columns, strict=True)]

    @cached_property
    def arguments(self) -> list[str]:
        """The arguments of the SQL function for each row as a JSON array: the values, or one object of them."""
        if self.function == "predict":
            return self.calls
        keys = [json.dumps(name) for name in self.names]
        named = [[f"{key}:{value}" for value in column] for key, column in zip(keys, self._columns, strict=True)]
        return [f"[{{{','.join(row)}}}]" for row in zip(*named, strict=True)]

    @cached_property
    def _columns(self) -> list[list[str]]:
        columns = []
        for name in self.names:
            values = self.frame[name]
            sql_type = SQL_TYPES.get(values.dtype.kind, "STRING")
            if sql_type == "TIMESTAMP":
                values = values.astype("datetime64[us]")
            columns.append(encode(sql_type, pa.array(values, from_pandas=True)))
        return columns

    def expected(self, folder: Path) -> Any:
        """Return the prediction of the bare model in `folder` for each row."""
        return np.asarray(loaded(folder).predict(self.frame))

    @property
    def tolerance(self) -> float:
        """By how much an answer may differ from the expected one, relatively."""
        return MODELS[self.model].tolerance

    @cached_property
    def may_be_null(self) -> Any:
        """Whether the answer to each row may be NULL, as a boolean array."""
        if MODELS[self.model].fills_gaps:
            return np.zeros(self.count, np.bool_)
        return self.frame.isna().any(axis=1).to_numpy()

    def slices(self, rows: int) -> Sequence[slice]:
        """Return the batches that every server gets in turn: 64 of one row, or up to 4 of more rows."""
        return slices(rows, self.count)


def slices(rows: int, count: int) -> Sequence[slice]:
    """Return batches of `rows` rows out of `count`: 64 of one row, or up to 4 of more rows."""
    batches = 64 if rows == 1 else 4
    return [slice(start, start + rows) for start in range(0, min(rows * batches, count - rows + 1), rows)]


NUMERIC = Workload("numeric", "tree", tables.numbers)
WITH_NULL = Workload("5% NULL", "tree", tables.with_nulls)
REASONS = Workload("numeric, on_error = json", "tree", tables.numbers, on_error="json")
STRINGS = Workload("strings", "strings", tables.with_strings)
IMPUTED_RIDGE = Workload("strings with 5% NULL, ridge", "imputed ridge", tables.with_gaps)
IMPUTED_BOOSTING = Workload("strings with 5% NULL, boosting", "imputed boosting", tables.with_gaps)
TIMESTAMPS = Workload("timestamps", "timestamps", tables.with_timestamps)
BOOSTING = Workload("gradient boosting", "boosting", tables.numbers)
FOREST = Workload("forest", "forest", tables.numbers)
LOGISTIC = Workload("logistic regression, named columns", "logistic", tables.with_integers)
LIGHTGBM = Workload("LightGBM, named columns", "lightgbm", tables.with_integers)
XGBOOST = Workload("XGBoost", "xgboost", tables.numbers)
WIDE = Workload("500 columns", "wide", tables.wide, WIDE_ROWS)
WORKLOADS = (
    *(NUMERIC, WITH_NULL, REASONS, STRINGS, IMPUTED_RIDGE, IMPUTED_BOOSTING, TIMESTAMPS, BOOSTING, FOREST),
    *(LOGISTIC, LIGHTGBM, XGBOOST, WIDE),
)
