"""The figures of the report on held-out rows whose answers are known."""

import numpy as np
import pandas as pd

from train.diagnosis import Diagnosis, HeldOut
from train.figures import figures
from train.search import SearchSettings

SETTINGS = SearchSettings(1, None, 2, 0, 1, "neg_log_loss", "plain", None)
NOTHING = Diagnosis(pd.DataFrame({"column": [], "mean": [], "spread": []}), [], [], [], [], [])


def test_most_frequent_classes() -> None:
    """A figure of many classes shows the most frequent ones, and says so."""
    labels = [f"class {at:02}" for at in range(10)]
    target = pd.Series([label for at, label in enumerate(labels) for _ in range(10 + at)], name="y")
    probabilities = np.random.default_rng(0).dirichlet(np.ones(10), len(target))
    features = pd.DataFrame({"x": np.arange(len(target))})
    rows = HeldOut(features, target, "classification", target.to_numpy(), probabilities, labels)
    found = figures(rows, NOTHING, [], SETTINGS)
    assert list(found) == ["Precision and recall", "Calibration"]
    for svg in found.values():
        assert "the 8 most frequent of 10 classes" in svg
        assert "class 09" in svg
        assert "class 00" not in svg
