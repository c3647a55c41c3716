"""When an answer from SQL is the model's own prediction."""

import math

import pytest

from parity.compare import FLOAT32_TOLERANCE, TOLERANCE, Difference, differences, equal, tolerance

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("answer", "prediction"),
    [
        (1.0, 1.0), (1, 1.0), (1.0, 1), (1.0 + 0.9e-9, 1.0), (1e-20, 1e-20), (NAN, NAN), (INF, INF),
        ("NaN", NAN), ("Infinity", INF), ("-Infinity", -INF),
        (2**53, 2**53), (str(2**53 + 1), 2**53 + 1), (2**53 + 1, 2**53 + 1),
        (True, True), ("a", "a"), (None, None), ([1, 2.0], [1.0, 2.0]), ({"b": "NaN", "a": 1}, {"a": 1, "b": NAN}),
    ],
    ids=str,
)  # fmt: skip
def test_equal(answer: object, prediction: object) -> None:
    """Numbers agree within the tolerance, in any of BigQuery's spellings; the rest is equal."""
    assert equal(answer, prediction)


@pytest.mark.parametrize(
    ("answer", "prediction"),
    [
        (1.0 + 1.1e-9, 1.0), (1.1e-20, 1e-20), (0.0, 1e-12), (NAN, 1.0), (1.0, NAN), (None, NAN), ("1.0", 1.0), (INF, -INF),
        (True, 1.0), (None, 0), (1_000_000_001, 1_000_000_000), ("5", 5), (str(2**53 + 3), 2**53 + 1),
        (1, "1"), ("a ", "a"), ("", None), (False, None), ([1.0], [1.0, 2.0]), (1.0, [1.0]),
        ({"a": 1}, {"a": 1, "b": 1}), ({"a": 1}, {"b": 1}), ("{}", {"a": 1}), ({"a": 2.0}, {"a": 1.0}),
    ],
    ids=str,
)  # fmt: skip
def test_not_equal(answer: object, prediction: object) -> None:
    """The tolerance is relative, is for floats alone, and turns neither NULL nor a string into a number."""
    assert not equal(answer, prediction)


@pytest.mark.parametrize(
    ("float32", "same_batches", "expected"),
    [(False, False, TOLERANCE), (False, True, TOLERANCE), (True, True, TOLERANCE), (True, False, FLOAT32_TOLERANCE)],
)
def test_tolerance(float32: bool, same_batches: bool, expected: float) -> None:
    """Only float32 predictions in other batches get the wider tolerance."""
    assert tolerance(float32=float32, same_batches=same_batches) == expected


def test_wider_tolerance_reaches_nested_values() -> None:
    """The tolerance handed in holds for the values of objects and lists too."""
    assert equal({"a": [1.0000005]}, {"a": [1.0]}, FLOAT32_TOLERANCE)
    assert not equal({"a": [1.000002]}, {"a": [1.0]}, FLOAT32_TOLERANCE)


def test_differences_name_rows() -> None:
    """Each row that differs is reported with both values."""
    assert differences([1.0, 2.0, None], [1.0, 3.0, "x"]) == [Difference(1, 2.0, 3.0), Difference(2, None, "x")]


def test_differences_need_equally_many() -> None:
    """A missing answer is never passed over."""
    with pytest.raises(ValueError, match="zip"):
        differences([1.0], [1.0, 2.0])
