"""Columns of a file become the few types that a model takes from SQL, the same from CSV and from Parquet."""

import datetime
import decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from train.data import load
from train.errors import DataError
from train.features import Columns, encoder

COUNT = 60
ROWS = pd.DataFrame(
    {
        "whole": [7 * step % 50 for step in range(COUNT)],
        "select": np.where(np.arange(COUNT) % 7, 1.5, np.nan),
        "Größe": ["Bern", None, "Köln"] * 20,
        "day": pd.date_range("2020-01-01", periods=COUNT),
        "at": pd.date_range("2020-01-01", periods=COUNT, freq="h", tz="Europe/Zurich").where(np.arange(COUNT) % 5 > 0),
        "maybe": pd.array([True, None, False] * 20, dtype="boolean"),
        "sure": [True, False] * 30,
        "count": pd.array([1, None] * 30, dtype="Int64"),
        "y": np.linspace(0, 1, COUNT),
    }
)
TYPES = {
    "whole": "float64",
    "select": "float64",
    "Größe": "str",
    "day": "datetime64[ns]",
    "at": "datetime64[ns]",
    "maybe": "boolean",
    "sure": "bool",
    "count": "float64",
    "y": "float64",
}


def test_csv_and_parquet_give_the_same_columns(tmp_path: Path) -> None:
    """The same rows have the same types and values from either format."""
    ROWS.to_csv(tmp_path / "rows.csv", index=False)
    ROWS.to_parquet(tmp_path / "rows.parquet")
    csv, parquet = (load(str(tmp_path / f"rows.{form}"), "y") for form in ("csv", "parquet"))
    pd.testing.assert_frame_equal(csv.features, parquet.features)
    assert {name: str(dtype) for name, dtype in csv.features.dtypes.items()} | {"y": str(csv.target.dtype)} == TYPES
    assert csv.features["at"].iloc[1] == pd.Timestamp("2020-01-01 00:00")  # UTC, without a zone
    assert csv.integers == parquet.integers == ("whole", "count")


def test_preprocessing_makes_finite_numbers(tmp_path: Path) -> None:
    """Every type of column becomes numbers without gaps, for values never seen before too."""
    ROWS.to_parquet(tmp_path / "rows.parquet")
    data = load(str(tmp_path / "rows.parquet"), "y")
    step = encoder(Columns.of(data.features, data.integers))
    numbers = step.fit_transform(data.features)
    assert numbers.shape == (COUNT, 5 + 2 * 6 + 3)
    assert np.isfinite(numbers).all()
    unseen = data.features[:1].assign(whole=np.nan, day=pd.Timestamp("1990-05-05"))
    unseen["Größe"] = pd.Series(["Oslo"], dtype="str")
    assert np.isfinite(step.transform(unseen)).all()


def test_python_objects_in_parquet(tmp_path: Path) -> None:
    """Dates, decimals, categories and digits as text get the types that they stand for."""
    frame = ROWS[["y"]].assign(
        day=datetime.date(2020, 2, 3), amount=decimal.Decimal("24.56"), kind=pd.Categorical(["a", "b"] * 30),
        year=["2019", "2020"] * 30,
    )  # fmt: skip
    frame.to_parquet(tmp_path / "rows.parquet")
    features = load(str(tmp_path / "rows.parquet"), "y").features
    dtypes = features.dtypes.astype(str).to_dict()
    assert dtypes == {"day": "datetime64[ns]", "amount": "float64", "kind": "str", "year": "str"}
    assert features["amount"][0] == 24.56  # as the function reads BigQuery's "24.56"


def test_column_of_lists_is_rejected(tmp_path: Path) -> None:
    """A column whose values a model cannot take is rejected by name and type."""
    ROWS[["y"]].assign(tags=[["a"], ["b"]] * 30).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=r"values of tags \(list.*expected numbers, text, dates or booleans.*--exclude"):
        load(str(tmp_path / "rows.parquet"), "y")


def test_broken_parquet_is_rejected(tmp_path: Path) -> None:
    """A file that only claims to be Parquet is rejected in one sentence."""
    (tmp_path / "rows.parquet").write_text("x,y")
    with pytest.raises(DataError, match="Cannot load "):
        load(str(tmp_path / "rows.parquet"), "y")


@pytest.mark.parametrize(("values", "dtype"), [([1, None, 2], "int64"), ([1.5, None, 2], "float64")])
def test_integer_target_with_gaps_stays_integer(values: list[float | None], dtype: str, tmp_path: Path) -> None:
    """Rows without a target are dropped; what remains is an integer if all its values are."""
    pd.DataFrame({"x": [0.5, 1.5] * 30, "y": values * 20}).to_csv(tmp_path / "rows.csv", index=False)
    data = load(str(tmp_path / "rows.csv"), "y")
    assert data.target.dtype == dtype
    assert len(data.target) == 40
