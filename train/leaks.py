"""Finds columns that give the target away: one that predicts it alone, and two whose sum, product or quotient it is.

Such a column is often computed from the target, or known only after it. Scores are those of rows that a small tree
didn't see, so that a column with a value for every row isn't taken for one.
"""

import itertools
import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from bqlocal.tables import measures
from train.target import Task

MAX_ROWS = 3000  # that are looked at
MAX_PAIRED = 30  # columns whose pairs are tried
Array = np.ndarray[Any, Any]
PERFECT = {"regression": 0.9995, "classification": 0.995}  # R2, balanced accuracy
NEARLY = 0.9999  # correlation, of values or of ranks
AGREE = 0.99  # share of the rows
CLOSE = 1e-3  # relative difference, which leaves room for rounding


def leaks(features: pd.DataFrame, target: pd.Series, task: Task) -> dict[str, str]:
    """Return the columns that predict the target almost perfectly, each with how."""
    if len(target) > MAX_ROWS:
        target = target.sample(MAX_ROWS, random_state=0)
        features = features.loc[target.index]
    numbers = {str(name): _numbers(features[name]) for name in features}
    found = {}
    for name, values in numbers.items():
        reason = _alone(features[name], values, target, task)
        if reason:
            found[name] = reason
    if task == "regression":
        others = [
            name for name, values in numbers.items()
            if name not in found and pd.api.types.is_numeric_dtype(features[name]) and np.isfinite(values).mean() > 0.5
        ]  # fmt: skip
        found |= _pairs({name: numbers[name] for name in others[:MAX_PAIRED]}, target.to_numpy(np.float64))
    return found


def _numbers(column: pd.Series) -> Array:
    """Return a column as numbers; NaN for texts, unless nearly all of them can be read as numbers."""
    if pd.api.types.is_datetime64_dtype(column):
        return np.where(column.isna(), np.nan, column.astype("int64") / 1e9)
    if column.dtype != "str":
        return np.asarray(column.astype("float64"), np.float64)
    texts = column.dropna().unique().tolist()
    try:
        read = measures(texts).values
    except ValueError:
        read = {}
    if texts and sum(number is not None for number in read.values()) > AGREE * len(texts):
        return np.asarray(column.map(read), np.float64)
    return np.full(len(column), np.nan)


def _alone(column: pd.Series, values: Array, target: pd.Series, task: Task) -> str:
    """Return how a column alone predicts the target, "" if it doesn't."""
    known = np.isfinite(values)
    if known.mean() > 0.9 and task == "regression":
        x, y = values[known], target[known].to_numpy(np.float64)
        if np.ptp(x) and np.ptp(y):
            correlation = np.corrcoef(x, y)[0, 1]
            if abs(correlation) > NEARLY:
                return f"correlation {correlation:.5f}"
            ranks = pd.Series(x).corr(pd.Series(y), method="spearman")
            if abs(ranks) > NEARLY and pd.Series(x).nunique() > 20:
                return f"rank correlation {ranks:.5f}"
    if column.dtype == "str" and _contains(column, target):
        return "its texts contain the target"
    if column.dtype == "str" and known.mean() <= 0.9:
        categories = pd.factorize(column)[0]
        if column.nunique() > len(column) / 5 or (task == "regression" and column.nunique() > 50):
            return ""
        values = np.eye(categories.max() + 2)[categories]
    else:
        values = values.reshape(-1, 1)
    score = _score(values, target, task)
    measure = "R2" if task == "regression" else "balanced accuracy"
    return f"{measure} {score:.4f} alone" if score > PERFECT[task] else ""


def _score(values: Array, target: pd.Series, task: Task) -> float:
    """Return the lowest of three scores of a small tree on rows that it didn't see, or one that is too low."""
    kind = DecisionTreeRegressor if task == "regression" else DecisionTreeClassifier
    tree = kind(max_leaf_nodes=64 if task == "regression" else 4 * target.nunique(), random_state=0)
    splitter = KFold if task == "regression" else StratifiedKFold
    measure = r2_score if task == "regression" else balanced_accuracy_score
    y = target.to_numpy(np.float64) if task == "regression" else pd.factorize(target)[0]
    lowest = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on few rows, a class may be missing in a fold
        for fitted, scored in splitter(3, shuffle=True, random_state=0).split(values, y):
            tree.fit(values[fitted], y[fitted])
            lowest = min(lowest, measure(y[scored], tree.predict(values[scored])))
            if lowest <= PERFECT[task]:  # which nearly all columns are after the first fold
                break
    return lowest


def _contains(column: pd.Series, target: pd.Series) -> bool:
    """Tell whether the texts have the target as a word, and not just any of its values."""
    if pd.api.types.is_bool_dtype(target) or target.nunique() < 2:
        return False
    labels = target.map(lambda value: f"{value:g}" if isinstance(value, float) else str(value)).str.casefold()
    texts = column.fillna("").str.casefold()

    def share(words: pd.Series) -> float:
        return float(np.mean([_has_word(text, word) for text, word in zip(texts, words, strict=True)]))

    return share(labels) > AGREE and share(labels.sample(frac=1, random_state=0)) < 0.9


def _has_word(text: str, word: str) -> bool:
    at = text.find(word)
    before, after = text[max(0, at - 1) : max(0, at)], text[at + len(word) : at + len(word) + 1]
    return at >= 0 and not before.isalnum() and not after.isalnum()


def _rounding(target: Array) -> float:
    """Return the largest error that rounding to the target's digits makes, 0 if that is much of what it varies by."""
    for digits in range(4):
        if np.array_equal(target, np.round(target, digits)):
            error = 0.51 * 10.0**-digits
            return error if error < 0.02 * float(np.std(target)) else 0.0
    return 0.0


def _pairs(columns: dict[str, Array], target: Array) -> dict[str, str]:
    """Return the two columns of which the target is a sum, difference, product or quotient, up to a factor."""
    rounding = _rounding(target)
    for (first, a), (second, b) in itertools.combinations(columns.items(), 2):
        with np.errstate(all="ignore"):
            results = {"+": a + b, "-": a - b, "*": a * b, "/": a / b, "\\": b / a}
            for sign, result in results.items():
                known = np.isfinite(result) & (result != 0)
                if known.mean() < 0.5 or np.ptp(result[known]) == 0:
                    continue
                factor = np.median(target[known] / result[known])
                computed = factor * result[known]
                errors = np.abs(target[known] - computed)
                if factor and np.mean(errors < np.maximum(CLOSE * np.abs(computed), rounding)) > AGREE:
                    left, right, sign = (second, first, "/") if sign == "\\" else (first, second, sign)
                    scale = "" if abs(factor - 1) < CLOSE else f"{factor:.4g} * "
                    formula = f"{scale}({left} {sign} {right})" if scale else f"{left} {sign} {right}"
                    return dict.fromkeys((left, right), f"the target is {formula}")
    return {}
