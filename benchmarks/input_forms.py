"""What it costs that a model gets a DataFrame: an array is faster to build, and to read for most libraries.

The function builds an array only for models in which it means the same for every input. This compares the two, for a
model that gets an array and for models that would have to take one on trust.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeRegressor

from benchmarks import workloads
from model_loader import load
from serving.decoding import from_arguments
from serving.model import Model
from serving.model_input import InputForm

ROWS = (1, 128, 1_000)
ROUNDS = 15


def _models() -> dict[str, object]:
    from lightgbm import LGBMRegressor
    from xgboost import XGBRegressor

    function = make_pipeline(FunctionTransformer(np.abs), DecisionTreeRegressor(max_depth=10, random_state=1))
    return {
        "decision tree": DecisionTreeRegressor(max_depth=10, random_state=1),
        "function of the author, then a decision tree": function,
        "LightGBM as a scikit-learn model": LGBMRegressor(n_estimators=100, verbose=-1, n_jobs=1),
        "XGBoost as a scikit-learn model": XGBRegressor(n_estimators=100, n_jobs=1),
    }


@dataclasses.dataclass(frozen=True)
class Cost:
    """How many times as long a prediction takes from a DataFrame as from an array, by rows, and what the model gets."""

    model: str
    gets: str
    ratios: dict[int, float]


def measure(work: Path, describe: Callable[[str], None]) -> list[Cost]:
    """Return the cost for each model; input included, in this process, on one thread."""
    found = []
    frame = workloads.numbers(2_000, seed=1)
    for name, estimator in _models().items():
        describe(f"DataFrame against array, {name}")
        folder = work / name.replace(" ", "-")
        workloads.save(estimator, frame, folder)
        model = load(str(folder))
        found.append(
            Cost(name, model.form.kind, {rows: _ratio(model, frame[:rows].to_numpy().tolist()) for rows in ROWS})
        )
    return found


def _ratio(model: Model, calls: list[list[float]]) -> float:
    rows = from_arguments(model.signature, calls)
    forms = {kind: InputForm(kind) for kind in ("array", "frame")}
    seconds: dict[str, list[float]] = {kind: [] for kind in forms}
    for _ in range(ROUNDS):
        for kind, form in forms.items():
            started = time.perf_counter()
            for _ in range(10):
                model.predictor(form.build(model.signature, rows), None)
            seconds[kind].append(time.perf_counter() - started)
    return statistics.median(seconds["frame"]) / statistics.median(seconds["array"])
