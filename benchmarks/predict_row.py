"""How much longer a batch takes as JSON objects than as positional arguments: `python -m benchmarks.predict_row`."""

import json
import statistics
import time

import numpy as np
from sklearn.tree import DecisionTreeRegressor

from serving import contract
from serving.functions import find
from serving.model import Model, ModelInfo
from serving.options import Options
from serving.scoring import answer
from serving.signature import Column, Output, Signature

ROWS, COLUMNS, RUNS = 1000, 300, 31


def main() -> None:
    """Print the medians of interleaved runs, request body to reply body, and their ratio."""
    values = np.random.default_rng(0).normal(size=(ROWS, COLUMNS))
    names = [f"column_{at}" for at in range(COLUMNS)]
    tree = DecisionTreeRegressor(max_depth=10).fit(values, values[:, 0])
    signature = Signature(tuple(Column(name, "double", "FLOAT64") for name in names), (Output(None, "FLOAT64"),))
    model = Model(ModelInfo("benchmark"), signature, lambda frame, _: tree.predict(frame.to_numpy()))
    bodies = {
        "predict": json.dumps({"calls": values.tolist()}).encode(),
        "predict_row": json.dumps(
            {"calls": [[dict(zip(names, row, strict=True))] for row in values.tolist()]}
        ).encode(),
    }
    seconds: dict[str, list[float]] = {name: [] for name in bodies}
    replies = {}
    for _ in range(RUNS):
        for name, body in bodies.items():
            started = time.perf_counter()
            replies[name] = contract.encode(answer(model, find({}, name), Options(), contract.decode(body)))
            seconds[name].append(time.perf_counter() - started)
    if replies["predict"] != replies["predict_row"]:
        raise SystemExit("The two functions gave different replies.")
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    print(f"{ROWS} rows x {COLUMNS} columns, medians of {RUNS} interleaved runs")
    for name, median in medians.items():
        print(f"{name:12} {median * 1000:7.1f} ms")
    print(f"predict_row takes {medians['predict_row'] / medians['predict']:.2f} times as long as predict")


if __name__ == "__main__":
    main()
