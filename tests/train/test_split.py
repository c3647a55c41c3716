"""Held-out rows and folds: the same for the same seed, and never both fitted and scored."""

from train.data import load
from train.split import split


def test_same_seed_holds_out_the_same_rows() -> None:
    """The split depends on the seed alone, and no row is in both parts."""
    data = load("diabetes", None)
    first, again, other = split(data, 1), split(data, 1), split(data, 2)
    assert first.test_features.equals(again.test_features)
    assert not first.test_features.equals(other.test_features)
    assert not set(first.train_features.index) & set(first.test_features.index)
