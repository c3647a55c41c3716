"""Held-out rows and folds: the same for the same seed, never both fitted and scored, and by time or group on request."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error
from sklearn.pipeline import make_pipeline

from train.__main__ import main
from train.data import Data, Options, Task, load
from train.errors import DataError
from train.features import Columns, encoder
from train.output import ROWS
from train.script import script
from train.split import Split, split

COUNT = 200
RANDOM = np.random.default_rng(0)
FEATURES = pd.DataFrame(
    {
        "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(RANDOM.integers(0, 90, COUNT), unit="D"),
        "year": RANDOM.choice([2018.0, 2019.0, 2020.0, 2021.0], COUNT),
        "customer": pd.Series(RANDOM.choice([f"c{number}" for number in range(20)], COUNT)).astype("str"),
        "one": 1.0,
        "gaps": np.where(RANDOM.random(COUNT) < 0.1, np.nan, 1.0),
    }
)
TARGETS = {
    "regression": pd.Series(RANDOM.normal(size=COUNT), name="y"),
    "classification": pd.Series(["a", "b"] * 100, name="y"),
}


def data(task: Task = "regression") -> Data:
    """Return the rows with a target of this task."""
    return Data("orders", FEATURES, TARGETS[task], task)


def positions(rows: Split, numbers: np.ndarray) -> pd.Index:
    """Return the index of training rows by their positions."""
    return rows.train_features.index[numbers]


def test_same_seed_holds_out_the_same_rows() -> None:
    """The split depends on the seed alone, and no row is in both parts."""
    diabetes = load("diabetes", None)
    first, again, other = split(diabetes, 1), split(diabetes, 1), split(diabetes, 2)
    assert first.test_features.equals(again.test_features)
    assert not first.test_features.equals(other.test_features)
    assert not set(first.train_features.index) & set(first.test_features.index)
    features, target = first.everything
    assert features.equals(diabetes.features)
    assert target.equals(diabetes.target)


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("column", ["day", "year"])
def test_time_holds_out_the_future(column: str, task: Task) -> None:
    """Held-out rows are later than all training rows, and so is each fold later than what was fitted for it."""
    rows = split(data(task), 1, time=column)
    assert rows.train_features[column].max() < rows.test_features[column].min() == rows.start
    assert 0.1 < len(rows.test_features) / COUNT < 0.5
    folds = rows.folding.folds(rows.train_target)
    assert folds
    times = FEATURES[column]
    for fitted, scored in folds:
        assert times[positions(rows, fitted)].max() < times[positions(rows, scored)].min()


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_groups_stay_together(task: Task) -> None:
    """No group is on both sides of the split or of a fold, and the column is no feature."""
    rows = split(data(task), 1, group="customer")
    assert "customer" not in rows.train_features
    customers = FEATURES["customer"]
    assert not set(customers[rows.train_features.index]) & set(customers[rows.test_features.index])
    folds = rows.folding.folds(rows.train_target)
    assert len(folds) == 5
    for fitted, scored in folds:
        assert not set(customers[positions(rows, fitted)]) & set(customers[positions(rows, scored)])


BAD = [
    (
        {"time": "when"},
        "orders has no column 'when' for --time; its columns are 'day', 'year', 'customer', 'one', 'gaps'.",
    ),
    (
        {"group": "who"},
        "orders has no column 'who' for --group; its columns are 'day', 'year', 'customer', 'one', 'gaps'.",
    ),
    ({"time": "gaps"}, "--time 'gaps' is NULL in 15 of 200 rows; remove or complete these rows."),
    ({"group": "gaps"}, "--group 'gaps' is NULL in 15 of 200 rows; remove or complete these rows."),
    ({"time": "one"}, "--time 'one' has 1 value; expected at least 3."),
    ({"group": "one"}, "--group 'one' has 1 value; expected at least 4."),
    ({"time": "customer"}, "--time 'customer' holds texts such as 'c"),
    ({"time": "y"}, "--time 'y' is the target; pass another column."),
    ({"time": "day", "group": "customer"}, "--time 'day' and --group 'customer' exclude each other; pass one of them."),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=lambda value: str(value)[:40])
def test_unusable_columns_are_refused(options: dict[str, str], message: str) -> None:
    """A column that rows can't be split by is named, with what was expected."""
    with pytest.raises(DataError) as error:
        split(data(), 1, **options)
    assert error.value.message.startswith(message)


def test_target_that_only_the_future_has_is_refused() -> None:
    """Training rows of a single class are refused."""
    late = pd.Series(np.where(FEATURES["year"] > 2020, "b", "a"), name="y")
    with pytest.raises(DataError, match="With --time 'year', the target 'y' is 'a' in all training rows"):
        split(Data("orders", FEATURES, late, "classification"), 1, time="year")


def test_bad_split_ends_the_run_with_status_2(tmp_path: Path) -> None:
    """The command prints one sentence, exits with 2 and leaves nothing."""
    done = CliRunner().invoke(main, ["--data", "diabetes", "--time", "when", "--output", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "\nError: diabetes has no column 'when' for --time; its columns are 'age', 'sex'" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [{}, {"time": "year"}, {"time": "day"}, {"group": "customer"}], ids=str)
@pytest.mark.parametrize("refit_all", [False, True])
def test_script_holds_out_the_same_rows(
    options: dict[str, str], refit_all: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script fits on the same rows, and prints the score of the same held-out rows."""
    FEATURES.assign(y=TARGETS["regression"]).to_csv(tmp_path / "orders.csv", index=False)
    found = load(str(tmp_path / "orders.csv"), "y", options=Options(split_by=list(options.values())))
    found.features.assign(y=found.target).to_parquet(tmp_path / ROWS, index=False)
    rows = split(found, 1, **options)
    pipeline = make_pipeline(encoder(Columns.of(rows.train_features)), Ridge())
    saved = pipeline.fit(*(rows.everything if refit_all else (rows.train_features, rows.train_target)))
    (tmp_path / "pipeline.py").write_text(script(saved, found, rows, 1, None, refit_all=refit_all))
    again = runpy.run_path(str(tmp_path / "pipeline.py"))["main"]()
    np.testing.assert_allclose(again.predict(rows.test_features), saved.predict(rows.test_features), rtol=1e-9)
    scored = clone(pipeline).fit(rows.train_features, rows.train_target)
    error = mean_absolute_error(rows.test_target, scored.predict(rows.test_features))
    assert f"mean_absolute_error: {error:.6g}\n" in capsys.readouterr().out
