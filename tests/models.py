"""Small real models, saved by MLflow as their users save them; each function writes one and returns its folder."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

RANDOM = np.random.default_rng(7)
PINS = ["scikit-learn"]  # given, so that MLflow does not spend ten seconds on finding out


def save(folder: Path, estimator: Any, X: Any, *, outputs: bool = True, **options: Any) -> Path:
    """Save a scikit-learn model with signature and input example, by cloudpickle unless told otherwise."""
    signature = infer_signature(X, estimator.predict(X) if outputs else None)
    arguments = {"serialization_format": "cloudpickle", "signature": signature, "input_example": X[:5], **options}
    mlflow.sklearn.save_model(estimator, str(folder), pip_requirements=PINS, **arguments)
    return folder


def numbers(rows: int = 200, columns: int = 4) -> pd.DataFrame:
    """Return double columns a, b, c, ..."""
    names = [chr(ord("a") + at) if columns <= 26 else f"column_{at}" for at in range(columns)]
    return pd.DataFrame(RANDOM.normal(size=(rows, columns)), columns=names)


def tree_regressor(folder: Path, **options: Any) -> Path:
    X = numbers()
    y = X.sum(axis=1).to_numpy() + RANDOM.normal(size=len(X))
    return save(folder, make_pipeline(StandardScaler(), DecisionTreeRegressor(random_state=1)).fit(X, y), X, **options)


def classifier(folder: Path, **options: Any) -> Path:
    X = numbers()
    y = np.where(X.a + X.b > 0, "yes", "no")
    return save(folder, DecisionTreeClassifier(max_depth=5, random_state=1).fit(X, y), X, **options)


def categories(folder: Path, **options: Any) -> Path:
    """Two texts, a long and a boolean beside a double, through a ColumnTransformer with one-hot encoding."""
    X = numbers(columns=1).assign(
        city=RANDOM.choice(["Bern", "Zürich", "Genf"], 200),
        size=RANDOM.choice(["S", "M", "L"], 200),
        rooms=RANDOM.integers(1, 9, 200),
        lift=RANDOM.integers(0, 2, 200).astype(bool),
    )
    encode = ColumnTransformer(
        [("texts", OneHotEncoder(handle_unknown="ignore"), ["city", "size"])], remainder="passthrough"
    )
    model = make_pipeline(encode, DecisionTreeRegressor(random_state=1)).fit(X, X.a * X.rooms + X.lift)
    return save(folder, model, X, **options)


def calendar(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the features of a time."""
    moment = frame["at"].dt
    return pd.DataFrame(
        {"year": moment.year, "day": moment.dayofyear, "hour": moment.hour, "micro": moment.microsecond}
    )


def times(folder: Path, **options: Any) -> Path:
    start = np.datetime64("2015-01-01", "us").astype(np.int64)
    X = pd.DataFrame({"at": (start + RANDOM.integers(0, 3 * 10**14, 300)).astype("datetime64[us]")})
    X["at"] = X["at"].astype("datetime64[ns]")
    model = make_pipeline(FunctionTransformer(calendar), DecisionTreeRegressor(random_state=1))
    return save(folder, model.fit(X, X["at"].dt.hour + X["at"].dt.microsecond / 1e6), X, **options)
