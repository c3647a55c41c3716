"""Many timestamps at once are what NumPy makes of each."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.timestamps import parse


def written(time: Any, digits: int) -> str:
    """Return a time as BigQuery writes it, with so many digits after the second."""
    text = time.isoformat(timespec="microseconds")
    return f"{text[: 20 + digits] if digits else text[:19]}Z"


@given(st.lists(st.builds(written, st.datetimes(), st.sampled_from([0, 3, 6])), min_size=1, max_size=9))
def test_same_as_numpy(texts: list[str]) -> None:
    """Times with any number of digits are read exactly."""
    found = parse(texts)
    assert found is not None
    assert found.tolist() == np.array([text.removesuffix("Z") for text in texts], "datetime64[us]").tolist()


def test_every_day_of_four_centuries() -> None:
    """Every day is read, and the day after the last of a month isn't."""
    days = np.arange("1600-01-01", "2000-01-01", dtype="datetime64[D]")
    found = parse([f"{day}T00:00:00Z" for day in days])
    assert found is not None
    assert (found == days).all()
    for month in np.arange("1899-01", "1905-01", dtype="datetime64[M]"):
        last = int(str((month + 1).astype("datetime64[D]") - 1)[8:])
        assert parse([f"{month}-{last:02}T00:00:00Z"]) is not None
        assert parse([f"{month}-{last + 1:02}T00:00:00Z"]) is None


@pytest.mark.parametrize(
    "text",
    ["", "2020-01-01", "2020-01-01 00:00:00Z", "2020-01-01T00:00:00", "2020-01-01T00:00:00.1Z", "2020-13-01T00:00:00Z", "2020-00-01T00:00:00Z",
     "2020-01-00T00:00:00Z", "2020-01-01T24:00:00Z", "2020-01-01T00:60:00Z", "2020-01-01T00:00:60Z", "2020-01-01T00:00:0é", "２020-01-01T00:00:00Z",
     "2020-01-01T00:00:00\n", "\n", "2020-01-01T00:00:00Z\n2020-01-01T00:00:00Z", "2020-01-01T00:00:00z", "2020/01/01T00:00:00Z", "\ud800"],
)  # fmt: skip
def test_other_texts_are_left_alone(text: str) -> None:
    """A text that isn't exactly a time as BigQuery writes it is left to the decoder that names what is wrong."""
    assert parse([text]) is None
    assert parse(["2020-01-01T00:00:00Z", text, "2020-01-01T00:00:00.123Z"]) is None
