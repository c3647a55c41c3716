"""Held-out rows, and the folds in which the search scores pipelines."""

import dataclasses

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from train.data import Data, Task

HELD_OUT = 0.3  # share of the rows
FIVE_FOLD_ROWS = 5000  # below this many rows, pipelines are scored on five folds, otherwise on three

Folds = list[tuple[np.ndarray, np.ndarray]]  # positions of the rows to fit and of the rows to score


@dataclasses.dataclass(frozen=True)
class Split:
    """Training rows, and held-out rows that neither the search nor the final fit sees."""

    train_features: pd.DataFrame
    train_target: pd.Series
    test_features: pd.DataFrame
    test_target: pd.Series


def split(data: Data, seed: int) -> Split:
    """Hold out 30% of the rows, the same rows for the same seed; classes keep their shares."""
    by_class = data.target if data.task == "classification" else None
    parts = train_test_split(data.features, data.target, test_size=HELD_OUT, random_state=seed, stratify=by_class)
    train_features, test_features, train_target, test_target = parts
    return Split(train_features, train_target, test_features, test_target)


def folds(target: pd.Series, task: Task, seed: int) -> Folds:
    """Return the folds for training rows with this target."""
    kind = StratifiedKFold if task == "classification" else KFold
    count = 5 if len(target) < FIVE_FOLD_ROWS else 3
    return list(kind(count, shuffle=True, random_state=seed).split(np.empty(len(target)), target))
