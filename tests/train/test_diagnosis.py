"""What the report says about errors, on rows whose errors are known."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import make_pipeline

from train.diagnosis import Diagnosis, HeldOut, diagnose
from train.search import SearchSettings

SETTINGS = SearchSettings(1, None, 2, 0, 1, "neg_log_loss", "plain", None)
FEATURES = pd.DataFrame(
    {
        "city": ["Bern"] * 20 + ["Graz"] * 15 + [None] * 15,
        "when": pd.date_range("2024-01-01", periods=50, freq="D"),
        "count": range(50),
    }
)


@pytest.fixture(scope="module")
def found() -> Diagnosis:
    """The diagnosis of a classifier that is sure of the wrong class in row 7, and half sure of all others."""
    target = pd.Series(["no"] * 30 + ["yes"] * 20, name="bought")
    yes = np.where(target == "yes", 0.6, 0.4)
    yes[7] = 0.99
    model = make_pipeline(DummyClassifier(strategy="prior")).fit(FEATURES, target)
    rows = HeldOut.of(model, _Split(FEATURES, target), "classification")  # type: ignore[arg-type]
    rows = dataclasses.replace(
        rows, predicted=np.where(yes > 0.5, "yes", "no"), probabilities=np.column_stack([1 - yes, yes])
    )
    return diagnose(model, rows, SETTINGS)


@dataclasses.dataclass(frozen=True)
class _Split:
    test_features: pd.DataFrame
    test_target: pd.Series


def test_worst_row(found: Diagnosis) -> None:
    """The row with the largest loss comes first, with the probability of its class and its columns."""
    assert len(found.worst) == 10
    worst = found.worst[0]
    assert (worst["row"], worst["actual"], worst["predicted"]) == (7, "no", "yes")
    assert worst["probability of the actual class"] == pytest.approx(0.01)
    assert worst["columns"]["city"] == "Bern"


def test_segments(found: Diagnosis) -> None:
    """A segment is a value or a quarter of the rows; NULL is one of its own, and the worst comes first."""
    cities = [entry["values"] for entry in found.segments if entry["column"] == "city"]
    assert cities[0] == "Bern"
    assert set(cities) == {"Bern", "Graz", "NULL"}
    quarters = {entry["values"]: entry["rows"] for entry in found.segments if entry["column"] == "count"}
    assert quarters == {"0 to 12": 13, "13 to 24": 12, "25 to 36": 12, "37 to 49": 13}


def test_thresholds(found: Diagnosis) -> None:
    """The rarer class is looked for; one wrong row of 21 lowers the precision and not the recall."""
    default, best = found.thresholds
    assert (default["class"], default["flagged"], default["recall"]) == ("yes", 21, 1.0)
    assert default["precision"] == best["precision"] == 20 / 21
    assert found.confusions == [{"actual": "no", "predicted": "yes", "rows": 1, "share": 1 / 30}]


def test_class_without_held_out_rows() -> None:
    """A class that the model knows may be missing among the rows that its importance is measured on."""
    target = pd.Series(["no", "yes"] * 25)
    model = make_pipeline(DummyClassifier(strategy="prior")).fit(FEATURES, ["rare", *target[1:]])
    rows = HeldOut.of(model, _Split(FEATURES, target), "classification")  # type: ignore[arg-type]
    assert np.isfinite(diagnose(model, rows, SETTINGS).importance["mean"]).all()


def test_unknown_class() -> None:
    """A held-out class that the model never saw has a large loss, which stays finite."""
    rows = HeldOut(
        FEATURES[:2],
        pd.Series(["no", "new"]),
        "classification",
        np.array(["no", "no"]),
        np.array([[1.0], [1.0]]),
        ["no"],
    )
    assert rows.loss[0] == 0.0
    assert 30 < rows.loss[1] < np.inf
