"""The models and rows of the benchmarks: real models saved by MLflow, rows encoded as BigQuery encodes them.

Each model has eight columns. The correct answer is that of the bare `model.predict` on typed columns; NULL is also
accepted for a row that contains NULL.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor

import model_steps
from bqlocal.encoding import encode

COLUMNS = 8
NAMES = [chr(ord("a") + at) for at in range(COLUMNS)]
CITIES = ["Bern", "Zürich", "Genf", "Basel", "Chur", "Lausanne"]
TRAINING_ROWS = 5_000
ROWS = 20_000  # from which requests are cut
Rows = Callable[[int, int], pd.DataFrame]  # (number, seed) -> rows
NULLS = 0.05  # share of the values, so that a third of the rows contains one


def numbers(rows: int, seed: int) -> pd.DataFrame:
    """Return FLOAT64 columns with four decimals."""
    values = np.random.default_rng(seed).normal(size=(rows, COLUMNS)).round(4)
    return pd.DataFrame(values, columns=NAMES)


def with_nulls(rows: int, seed: int) -> pd.DataFrame:
    """Return FLOAT64 columns with NULLs."""
    frame = numbers(rows, seed)
    return frame.mask(np.random.default_rng(seed + 1).random(frame.shape) < NULLS)


def with_strings(rows: int, seed: int) -> pd.DataFrame:
    """Return FLOAT64 columns, two of them replaced by STRING."""
    random = np.random.default_rng(seed)
    frame = numbers(rows, seed)
    return frame.assign(a=random.choice(CITIES, rows), e=random.choice(["S", "M", "L"], rows))


def with_timestamps(rows: int, seed: int) -> pd.DataFrame:
    """Return FLOAT64 columns, two of them replaced by TIMESTAMP: one in whole seconds, one in microseconds."""
    random = np.random.default_rng(seed)
    frame = numbers(rows, seed)
    seconds = random.integers(0, 1_700_000_000, (2, rows)) * 1_000_000
    seconds[1] += random.integers(0, 1_000_000, rows)
    a, e = (moments.astype("datetime64[us]").astype("datetime64[ns]") for moments in seconds)
    return frame.assign(a=a, e=e)


def _target(frame: pd.DataFrame) -> Any:
    codes = [pd.factorize(frame[name])[0] if frame[name].dtype != float else frame[name] for name in NAMES]
    return np.sum(codes, axis=0)


def save(estimator: Any, rows: pd.DataFrame, folder: Path) -> None:
    """Fit an estimator and save it as an MLflow model with a signature and an input example."""
    estimator.fit(rows, _target(rows))
    logging.getLogger("mlflow").setLevel(logging.ERROR)  # it warns about pickle for every model
    mlflow.sklearn.save_model(
        estimator,
        str(folder),
        signature=infer_signature(rows, estimator.predict(rows)),
        input_example=rows[:5],
        pip_requirements=["scikit-learn"],
        serialization_format="cloudpickle",
        code_paths=[model_steps.__file__] if "DateParts" in repr(estimator) else None,
    )


def _tree() -> DecisionTreeRegressor:
    return DecisionTreeRegressor(max_depth=10, random_state=1)


# By name: the estimator and the rows it is trained on.
MODELS: dict[str, tuple[Callable[[], Any], Rows]] = {
    "tree": (lambda: make_pipeline(StandardScaler(), _tree()), numbers),
    "boosting": (lambda: HistGradientBoostingRegressor(max_iter=100, random_state=1), numbers),
    "forest": (lambda: RandomForestRegressor(n_estimators=100, max_depth=12, random_state=1), numbers),
    "strings": (
        lambda: make_pipeline(
            make_column_transformer((OneHotEncoder(sparse_output=False), ["a", "e"]), remainder=StandardScaler()),
            _tree(),
        ),
        with_strings,
    ),
    "timestamps": (
        lambda: make_pipeline(
            make_column_transformer((model_steps.DateParts(), ["a", "e"]), remainder=StandardScaler()), _tree()
        ),
        with_timestamps,
    ),
}


def saved(name: str, root: Path) -> Path:
    """Return the folder of a model below `root`; train and save the model if the folder does not exist."""
    folder = root / name
    if not folder.exists():
        estimator, rows = MODELS[name]
        save(estimator(), rows(TRAINING_ROWS, 0), folder)
    return folder


@dataclass(frozen=True)
class Workload:
    """A model and the rows it is asked to score."""

    name: str
    model: str
    rows: Rows

    @cached_property
    def frame(self) -> pd.DataFrame:
        """All rows, typed."""
        return self.rows(ROWS, 7)

    @cached_property
    def calls(self) -> list[str]:
        """The arguments of each row as a JSON array."""
        columns = []
        for name in NAMES:
            sql_type = {"f": "FLOAT64", "M": "TIMESTAMP"}.get(self.frame[name].dtype.kind, "STRING")
            values = self.frame[name].astype("datetime64[us]") if sql_type == "TIMESTAMP" else self.frame[name]
            columns.append(encode(sql_type, pa.array(values, from_pandas=True)))
        return [f"[{','.join(row)}]" for row in zip(*columns, strict=True)]

    def expected(self, folder: Path) -> Any:
        """Return the prediction of the bare model in `folder` for each row."""
        return np.asarray(mlflow.sklearn.load_model(str(folder)).predict(self.frame))

    @cached_property
    def has_null(self) -> Any:
        """Whether each row contains NULL, as a boolean array."""
        return self.frame.isna().any(axis=1).to_numpy()


WORKLOADS = (
    Workload("numeric", "tree", numbers),
    Workload("5% NULL", "tree", with_nulls),
    Workload("strings", "strings", with_strings),
    Workload("timestamps", "timestamps", with_timestamps),
    Workload("gradient boosting", "boosting", numbers),
    Workload("forest", "forest", numbers),
)
NUMERIC = WORKLOADS[0]


def slices(rows: int) -> Sequence[slice]:
    """Return the batches that every server gets in turn: 64 of one row, or up to 4 of more rows."""
    count = 64 if rows == 1 else 4
    return [slice(start, start + rows) for start in range(0, min(rows * count, ROWS - rows + 1), rows)]
