"""Held-out rows, and the folds in which the search scores pipelines.

Both are random by default, which is too kind to a model that will be asked about the future, or about customers that it
hasn't seen. `--time` holds out the last rows, and each fold scores rows that come after those it was fitted on.
`--group` keeps the rows of a group together.
"""

import dataclasses
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
    train_test_split,
)

from train.data import Data, Task
from train.errors import DataError
from train.sources import listed
from train.target import quantity

By = Literal["random", "time", "group"]
Folds = list[tuple[np.ndarray, np.ndarray]]  # positions of the rows to fit and of the rows to score

HELD_OUT = 0.3  # share of the rows, or of the groups
FIVE_FOLD_ROWS = 5000  # below this many rows, pipelines are scored on five folds, otherwise on three
MIN_VALUES = {"time": 3, "group": 4}  # so that the held-out rows and the folds get some each


@dataclasses.dataclass(frozen=True)
class Folding:
    """How training rows are split into folds; `keys` are their times or groups."""

    by: By
    keys: pd.Series | None
    task: Task
    seed: int

    def folds(self, target: pd.Series) -> Folds:
        """Return the folds of training rows with this target, all of them or a sample."""
        count = 5 if len(target) < FIVE_FOLD_ROWS else 3
        rows = np.empty(len(target))
        if self.keys is None:
            kind = StratifiedKFold if self.task == "classification" else KFold
            return list(kind(count, shuffle=True, random_state=self.seed).split(rows, target))
        keys = self.keys[target.index]
        if self.by == "group":
            grouped = StratifiedGroupKFold if self.task == "classification" else GroupKFold
            count = min(count, keys.nunique())
            return list(grouped(count, shuffle=True, random_state=self.seed).split(rows, target, keys))
        return [
            fold for fold in _in_time(keys, count) if self.task == "regression" or target.iloc[fold[0]].nunique() > 1
        ]


@dataclasses.dataclass(frozen=True)
class Split:
    """Training rows, and held-out rows that neither the search nor the scored fit sees."""

    train_features: pd.DataFrame
    train_target: pd.Series
    test_features: pd.DataFrame
    test_target: pd.Series
    folding: Folding
    column: str | None = None  # of the times or groups
    start: Any = None  # the first held-out time

    @property
    def everything(self) -> tuple[pd.DataFrame, pd.Series]:
        """The features and the target of all rows, in the order of the data."""
        features = pd.concat([self.train_features, self.test_features]).sort_index()
        return features, pd.concat([self.train_target, self.test_target])[features.index]

    @property
    def description(self) -> str:
        """How the rows were split, for people."""
        match self.folding.by:
            case "time":
                return f"by time: {self.column} from {_shown(self.start)} on is held out"
            case "group":
                return f"by group: no {self.column} is in both parts"
            case _:
                return "random"


def split(data: Data, seed: int, time: str | None = None, group: str | None = None) -> Split:
    """Hold out about 30% of the rows, the same rows for the same seed. Raise DataError.

    By default they are random, and classes keep their shares. With `time`, they are the last rows by this column. With
    `group`, they are all rows of 30% of its values, and the column is no feature.
    """
    if time is not None and group is not None:
        raise DataError(f"--time {time!r} and --group {group!r} exclude each other; pass one of them.")
    features, target = data.features, data.target
    if time is not None:
        keys = _keys(data, "time", time)
        start = _start(keys)
        late = keys >= start
        parts = (features[~late], target[~late], features[late], target[late])
        found = Split(*parts, Folding("time", keys[~late], data.task, seed), time, start)
    elif group is not None:
        keys = _keys(data, "group", group)
        train, test = next(GroupShuffleSplit(1, test_size=HELD_OUT, random_state=seed).split(features, target, keys))
        features = features.drop(columns=group)
        parts = (features.iloc[train], target.iloc[train], features.iloc[test], target.iloc[test])
        found = Split(*parts, Folding("group", keys.iloc[train], data.task, seed), group)
    else:
        by_class = target if data.task == "classification" else None
        train, test = train_test_split(np.arange(len(target)), test_size=HELD_OUT, random_state=seed, stratify=by_class)
        parts = (features.iloc[train], target.iloc[train], features.iloc[test], target.iloc[test])
        found = Split(*parts, Folding("random", None, data.task, seed))
    _check(found)
    return found


def sample(
    features: pd.DataFrame, target: pd.Series, rows: int, task: Task, seed: int
) -> tuple[pd.DataFrame, pd.Series]:
    """Return so many random rows, in which classes keep their shares."""
    by_class = target if task == "classification" else None
    features, _, target, _ = train_test_split(features, target, train_size=rows, random_state=seed, stratify=by_class)
    return features, target


def _keys(data: Data, option: Literal["time", "group"], name: str) -> pd.Series:
    """Return the column of an option; raise DataError if rows can't be split by it."""
    if name == data.target.name:
        raise DataError(f"--{option} {name!r} is the target; pass another column.")
    if name not in data.features:
        columns = listed(list(data.features))
        raise DataError(f"{data.name} has no column {name!r} for --{option}; its columns are {columns}.")
    keys = data.features[name]
    if missing := int(keys.isna().sum()):
        raise DataError(
            f"--{option} {name!r} is NULL in {missing:,} of {len(keys):,} rows; remove or complete these rows."
        )
    if (count := keys.nunique()) < MIN_VALUES[option]:
        raise DataError(f"--{option} {name!r} has {quantity(count, 'value')}; expected at least {MIN_VALUES[option]}.")
    if option == "time" and not (
        pd.api.types.is_datetime64_any_dtype(keys.dtype) or pd.api.types.is_numeric_dtype(keys.dtype)
    ):
        raise DataError(f"--time {name!r} holds texts such as {keys.iloc[0]!r}; expected dates or numbers.")
    if option == "group" and len(data.features.columns) == 1:
        raise DataError(f"--group {name!r} is the only feature of {data.name}; expected at least one more column.")
    return keys


def _shown(start: Any) -> str:
    """Return a time or a number without a fraction of zero."""
    if isinstance(start, pd.Timestamp):
        return str(start.date() if start == start.normalize() else start)
    return f"{start:.15g}"


def _start(times: pd.Series) -> Any:
    """Return the time from which on about 30% of the rows are, some of them and not all."""
    counts = times.value_counts().sort_index(ascending=False)
    shares = counts.cumsum()[:-1] / len(times)
    return (shares - HELD_OUT).abs().idxmin()


def _in_time(times: pd.Series, count: int) -> Folds:
    """Return folds that score what comes after the rows they fit; rows of the same time are on one side."""
    order = np.argsort(times.to_numpy(), kind="stable")
    found = []
    for before, after in TimeSeriesSplit(count).split(order):
        fitted, scored = order[before], order[after]
        fitted = fitted[times.to_numpy()[fitted] < times.to_numpy()[scored[0]]]
        if len(fitted):
            found.append((fitted, scored))
    return found


def _check(found: Split) -> None:
    """Raise DataError if a model can't be learned from the training rows of this split."""
    target, option = found.train_target, found.folding.by
    if target.nunique() == 1:
        raise DataError(
            f"With --{option} {found.column!r}, the target {target.name!r} is {target.iloc[0]!r} in all training rows; "
            "split the rows in another way."
        )
    if not found.folding.folds(target):
        raise DataError(
            f"With --{option} {found.column!r}, the training rows can't be split into folds; split the rows in another "
            "way."
        )
