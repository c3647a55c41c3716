"""Pipeline steps that scikit-learn lacks.

A model with one of these classes carries this file in its folder (MLflow's code_paths), so it loads where the project
is not installed. Hence this file imports only NumPy, pandas and scikit-learn. A class must never change what it
computes, because older models load the newer file wherever the project is installed: new behavior needs a new class.
"""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import LabelEncoder
from sklearn.utils.metaestimators import available_if


class DateParts(TransformerMixin, BaseEstimator):
    """Replace each timestamp by numbers: days since 1970, year, month, day, day of the week and hour."""

    parts = ("days", "year", "month", "day", "day_of_week", "hour")

    def fit(self, X: pd.DataFrame, y: Any = None) -> "DateParts":
        self.feature_names_in_ = np.asarray(X.columns, object)
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        columns = []
        for name in self.feature_names_in_:
            times = X[name]
            columns.append((times - pd.Timestamp(0)) / pd.Timedelta(days=1))
            columns.extend(getattr(times.dt, part) for part in self.parts[1:])
        return np.column_stack([column.to_numpy(np.float64, na_value=np.nan) for column in columns])

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        return np.asarray([f"{name}_{part}" for name in self.feature_names_in_ for part in self.parts], object)


class ZeroCount(TransformerMixin, BaseEstimator):
    """Prepend two columns: the number of zeros in each row, and the number of other values."""

    def fit(self, X: Any, y: Any = None) -> "ZeroCount":
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        values = np.asarray(X)
        nonzero = np.count_nonzero(values, axis=1).reshape(-1, 1)
        return np.hstack([self.n_features_in_ - nonzero, nonzero, values])


class Recode(TransformerMixin, BaseEstimator):
    """Replace some values, such as the 0, 1 and 2 of a genotype; `values` maps old to new, others stay."""

    def __init__(self, values: dict[float, float]) -> None:
        self.values = values

    def fit(self, X: Any, y: Any = None) -> "Recode":
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        values = np.asarray(X, np.float64)
        return np.select([values == old for old in self.values], list(self.values.values()), values)


class RowArithmetic(TransformerMixin, BaseEstimator):
    """Reduce each row to one value (sum, prod, min, max), or transform each value (its sign, negative, reciprocal)."""

    def __init__(self, function: str) -> None:
        self.function = function

    def fit(self, X: Any, y: Any = None) -> "RowArithmetic":
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        values = np.asarray(X, np.float64)
        match self.function:
            case "sum" | "prod" | "min" | "max":
                return getattr(np, self.function)(values, axis=1, keepdims=True)  # type: ignore[no-any-return]
            case "greater" | "greater_equal" | "less" | "less_equal":
                return getattr(np, self.function)(values, 0).astype(np.float64)  # type: ignore[no-any-return]
            case "negative":
                return -values
            case "reciprocal":
                return np.divide(1.0, values, out=np.zeros_like(values), where=values != 0)
        raise ValueError(f"RowArithmetic has no function {self.function!r}.")


class Stacked(TransformerMixin, BaseEstimator):
    """Replace the rows by an estimator's probabilities, decision values or predictions.

    With `cv`, the next step is fitted on predictions for rows that the estimator was not fitted on.
    """

    def __init__(self, estimator: Any, cv: Any = None) -> None:
        self.estimator = estimator
        self.cv = cv

    def fit(self, X: Any, y: Any = None) -> "Stacked":
        self.estimator_ = clone(self.estimator).fit(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        self.fit(X, y)
        if self.cv is None:
            return self.transform(X)
        return self._columns(cross_val_predict(self.estimator, X, y, cv=self.cv))

    def transform(self, X: Any) -> np.ndarray:
        for method in ("predict_proba", "decision_function"):
            if hasattr(self.estimator_, method):
                return np.asarray(getattr(self.estimator_, method)(X)).reshape(len(X), -1)
        return self._columns(self.estimator_.predict(X))

    def _columns(self, predicted: np.ndarray) -> np.ndarray:
        """Return predictions as one column, with classes as their positions."""
        if hasattr(self.estimator_, "classes_"):
            predicted = np.searchsorted(self.estimator_.classes_, predicted)
        return np.asarray(predicted).reshape(len(predicted), -1)


class LabelEncoded(ClassifierMixin, BaseEstimator):
    """Let a classifier that accepts only the classes 0, 1, 2, ... predict any labels."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: Any) -> "LabelEncoded":
        labels = LabelEncoder().fit(y)
        self.classes_ = labels.classes_
        self.estimator_ = clone(self.estimator).fit(X, labels.transform(y))
        return self

    def predict(self, X: Any) -> np.ndarray:
        return self.classes_[self.estimator_.predict(X)]  # type: ignore[no-any-return]

    @available_if(lambda self: hasattr(self.estimator, "predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> np.ndarray:
        return self.estimator_.predict_proba(X)  # type: ignore[no-any-return]
