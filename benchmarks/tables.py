"""The rows of the benchmarks, made up: what a model is trained on, and what it is asked to score."""

from collections.abc import Callable

import numpy as np
import pandas as pd

COLUMNS = 8
NAMES = [chr(ord("a") + at) for at in range(COLUMNS)]
OTHERS = ["a", "e"]  # the columns that are not FLOAT64 in a table of mixed types
CITIES = ["Bern", "Zürich", "Genf", "Basel", "Chur", "Lausanne"]
SIZES = ["S", "M", "L"]
NULLS = 0.05  # share of the values, so that a third of the rows contains one
WIDE_COLUMNS = 500
WIDE_NAMES = [f"c{at:03}" for at in range(WIDE_COLUMNS)]
WIDE_TEXTS = WIDE_NAMES[::10]
Rows = Callable[[int, int], pd.DataFrame]  # (number, seed) -> rows


def numbers(rows: int, seed: int) -> pd.DataFrame:
    """Return FLOAT64 columns with four decimals."""
    return _numbers(rows, seed, NAMES)


def _numbers(rows: int, seed: int, names: list[str]) -> pd.DataFrame:
    values = np.random.default_rng(seed).normal(size=(rows, len(names))).round(4)
    return pd.DataFrame(values, columns=names)


def with_nulls(rows: int, seed: int) -> pd.DataFrame:
    """Return FLOAT64 columns with NULLs."""
    return _with_gaps(numbers(rows, seed), seed)


def _with_gaps(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    return frame.mask(np.random.default_rng(seed + 1).random(frame.shape) < NULLS)


def with_strings(rows: int, seed: int) -> pd.DataFrame:
    """Return FLOAT64 columns, two of them replaced by STRING."""
    random = np.random.default_rng(seed)
    return numbers(rows, seed).assign(a=random.choice(CITIES, rows), e=random.choice(SIZES, rows))


def with_gaps(rows: int, seed: int) -> pd.DataFrame:
    """Return FLOAT64 and STRING columns with NULLs."""
    return _with_gaps(with_strings(rows, seed), seed)


def with_integers(rows: int, seed: int) -> pd.DataFrame:
    """Return FLOAT64 columns, two of them replaced by INT64."""
    random = np.random.default_rng(seed)
    return numbers(rows, seed).assign(a=random.integers(18, 80, rows), e=random.integers(0, 5, rows))


def with_timestamps(rows: int, seed: int) -> pd.DataFrame:
    """Return FLOAT64 columns, two of them replaced by TIMESTAMP: one in whole seconds, one in microseconds."""
    random = np.random.default_rng(seed)
    seconds = random.integers(0, 1_700_000_000, (2, rows)) * 1_000_000
    seconds[1] += random.integers(0, 1_000_000, rows)
    a, e = (moments.astype("datetime64[us]").astype("datetime64[ns]") for moments in seconds)
    return numbers(rows, seed).assign(a=a, e=e)


def wide(rows: int, seed: int) -> pd.DataFrame:
    """Return hundreds of FLOAT64 columns, a tenth of them replaced by STRING."""
    random = np.random.default_rng(seed)
    texts = {name: random.choice(CITIES, rows) for name in WIDE_TEXTS}
    return _numbers(rows, seed, WIDE_NAMES).assign(**texts)
