"""What one column is, told by its values: a name of rows, placeholders among numbers, days, spellings of a text."""

import re

import numpy as np
import pandas as pd

from train.target import EXACT, plain

NEARLY_UNIQUE = 0.95  # share of different values among the rows, from which a text or whole number names the row
MIN_UNIQUE = 20  # rows
MAX_LEFT_OUT = 0.05  # share of the rows that may be missing before the first one that a column numbers
WORDS = 3  # mean number of words from which texts are prose
PLACEHOLDER_SHARE = 0.01  # of the rows
OUTLIER_SHARE, OUTLIER_ERROR = 0.005, 0.5  # share of the rows, and of the squared error they cause
_ID = re.compile(r"(?i:(?:^|[\W_])(?:id|uuid|guid|key|index|idx|no|nr|number|code|serial)s?$|^row|^id)|[a-z](?:ID|Id)$")
_GROUP = re.compile(r"(?i:(?:^|[\W_])(?:id|uuid|guid)$)|[a-z](?:ID|Id)$")
MIN_GROUPS = 10  # fewer are categories
_WORD = r"\S*[^\W\d_]{2}\S*"  # between spaces, with letters
_SENTINEL = re.compile(r"0|-1|-?(?:9{2,}|8{3,})(?:\.0+)?|-?9{2,}\.9+")


def counts_rows(column: pd.Series) -> bool:
    """Tell whether a column grows by one from row to row, or would but for rows that were left out."""
    if not pd.api.types.is_float_dtype(column) or column.isna().any() or len(column) < 2:
        return False
    steps = column.diff().dropna()
    return bool((steps > 0).all() and (steps == 1).mean() > 0.5)


def is_id(column: pd.Series, distinct: int, is_whole: bool) -> bool:
    """Tell whether nearly every row has a value of its own that is a name or number of it, and no measure or prose."""
    count = int(column.notna().sum())
    if count < MIN_UNIQUE or distinct < NEARLY_UNIQUE * count:
        return False
    if column.dtype == "str":
        return bool(column.dropna().str.count(_WORD).mean() < WORDS)
    if not pd.api.types.is_float_dtype(column) or not (is_whole or not (column.dropna() % 1).any()):
        return False
    # A year or a size may grow by one from row to row too; a number of the row begins with the first.
    numbers_rows = counts_rows(column) and column.iloc[0] <= 1 + MAX_LEFT_OUT * count
    is_inexact = column.abs().max() >= EXACT  # for a double; nobody measures that exactly
    return bool(is_inexact) or (distinct == count and (numbers_rows or bool(_ID.search(str(column.name)))))


def is_group(column: pd.Series, distinct: int) -> bool:
    """Tell whether a column is an ID by its name, of something that has several rows."""
    return distinct >= MIN_GROUPS and distinct < len(column) / 2 and bool(_GROUP.search(str(column.name)))


def is_sorted(target: pd.Series) -> bool:
    """Tell whether a target hardly changes from one row to the next, so that a number of the row gives it away."""
    if pd.api.types.is_numeric_dtype(target) and (target.is_monotonic_increasing or target.is_monotonic_decreasing):
        return True
    return bool(target.nunique() < len(target) / 10) and int((target != target.shift()).sum()) <= 2 * target.nunique()


def spellings(column: pd.Series) -> str:
    """Return texts that differ in spaces around them or in capitals only, "" if there are none."""
    if column.dtype != "str":
        return ""
    texts = pd.Series(column.dropna().unique(), dtype="str")
    if len(texts) > len(column) / 2:
        return ""
    groups = texts.groupby(texts.str.strip().str.casefold()).agg(list)
    pairs = [" and ".join(map(repr, group[:3])) for group in groups if len(group) > 1]
    return ", ".join(pairs[:3]) + (f" and {len(pairs) - 3:,} more" if len(pairs) > 3 else "")


def placeholder(column: pd.Series) -> str:
    """Return the lowest or highest value if it is frequent and far from the rest."""
    if pd.api.types.is_datetime64_dtype(column):
        values = column.dropna().astype("int64")
    elif pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        values = column.dropna()
    else:
        return ""
    found = []
    for end in (values.min(), values.max()) if values.nunique() > 10 else ():
        count, rest = int((values == end).sum()), values[values != end]
        spread = float(rest.quantile(0.75) - rest.quantile(0.25) or rest.std())
        distance = float(rest.min() - end if end < rest.min() else end - rest.max())
        is_far = distance > 3 * spread or (
            _SENTINEL.fullmatch(f"{end:g}") and (end < 0 <= rest.min() or distance > spread)
        )
        if count > max(2, PLACEHOLDER_SHARE * len(column)) and is_far:
            shown = str(pd.Timestamp(end).date()) if pd.api.types.is_datetime64_dtype(column) else f"{end:g}"
            found.append(f"{shown} in {count:,} rows")
    return ", ".join(found)


def are_days(column: pd.Series) -> bool:
    """Tell whether all numbers are days such as 20240605, or times such as 20240605101500."""
    values = column.dropna()
    for unit, form in ((1, "%Y%m%d"), (1_000_000, "%Y%m%d%H%M%S")):
        if (values // unit).between(19000101, 20991231).all():
            texts = values.astype("int64").astype(str)
            return bool(pd.to_datetime(texts, format=form, errors="coerce").notna().all())
    return False


def outliers(target: pd.Series) -> dict[str, str]:
    """Return how much of a target's squared deviation its few largest values make, if that is most of it."""
    values = target.astype("float64")
    squared = np.sort((values - values.median()).to_numpy() ** 2)[::-1]
    top = max(1, int(len(squared) * OUTLIER_SHARE))
    if squared.sum() == 0 or squared[:top].sum() < OUTLIER_ERROR * squared.sum():
        return {}
    share = squared[:top].sum() / squared.sum()
    extreme = max(plain(values.min()), plain(values.max()), key=lambda value: abs(value - values.median()))
    rows = "1 row makes" if top == 1 else f"{top:,} rows make"
    return {str(target.name): f"{rows} {share:.0%} of its squared deviation, up to {extreme:.6g}"}


def is_ordered_date(column: pd.Series) -> bool:
    """Tell whether a date only grows, or only falls, from row to row."""
    if not pd.api.types.is_datetime64_dtype(column):
        return False
    known = column.dropna()
    return known.nunique() > 5 and bool(known.is_monotonic_increasing or known.is_monotonic_decreasing)
