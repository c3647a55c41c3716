"""Draws fitted models of the steps that plans cover, the tables they are fitted on, and rows to compare them on."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import reject
from hypothesis import strategies as st
from sklearn import ensemble, linear_model, pipeline, preprocessing, tree
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer

import model_steps
from loading.trial import try_out
from serving.decoding import from_arguments
from serving.model import Model, ModelInfo
from serving.rows import Rows
from serving.signature import Column, Output, Signature

TEXTS = ["a", "b", "c", "d", "", "é", "long text"]
_TYPES = {"f": ("double", "FLOAT64"), "i": ("long", "INT64"), "b": ("boolean", "BOOL"), "M": ("datetime", "TIMESTAMP")}
Draw = Callable[[st.SearchStrategy[Any]], Any]


def table(random: np.random.Generator, rows: int, kinds: str, *, gaps: float = 0.0) -> pd.DataFrame:
    """Return a table with a column per letter: f(loat), i(nteger), b(oolean), t(ext), M (timestamp), c(onstant)."""
    columns: dict[str, Any] = {}
    for at, kind in enumerate(kinds):
        if kind == "t":
            values = random.choice(TEXTS[: random.integers(1, len(TEXTS))], rows).astype(object)
        elif kind == "i":
            values = random.integers(-3, 4, rows)
        elif kind == "b":
            values = random.random(rows) < 0.5
        elif kind == "M":
            values = random.integers(-(10**9), 2 * 10**9, rows).astype("datetime64[s]").astype("datetime64[ns]")
        elif kind == "c":
            values = np.full(rows, 1.5)
        else:
            values = random.normal(size=rows).round(int(random.integers(0, 6))) * 10.0 ** random.integers(-3, 4)
        if gaps and kind in "ftc":
            missing = random.random(rows) < gaps
            missing[0] = False  # an imputer drops a column without a value
            values[missing] = np.nan
        columns[f"{kind}{at}"] = pd.Series(values, dtype=object) if kind == "t" else values
    return pd.DataFrame(columns)


def target(random: np.random.Generator, frame: pd.DataFrame) -> Any:
    """Return numbers that depend on every column."""
    codes = [pd.factorize(frame[name])[0] * random.normal() for name in frame]
    return np.sum(codes, axis=0) + random.normal(size=len(frame)).round(3)


def as_model(estimator: Any, frame: pd.DataFrame, predict: Callable[[Any], Any] | None = None) -> Model:
    """Return a fitted estimator as the model that the function would load, with the first rows as its example."""
    predict = predict or estimator.predict
    columns = []
    for name in frame:
        mlflow_type, sql_type = _TYPES.get(frame[name].dtype.kind, ("string", "STRING"))
        columns.append(Column(name, mlflow_type, sql_type, required=not frame[name].isna().any()))
    outputs = None if hasattr(estimator, "classes_") else (Output(None, "FLOAT64", "double"),)
    probabilities = getattr(estimator, "predict_proba", None)
    model = Model(
        ModelInfo("model"),
        Signature(tuple(columns), outputs),
        lambda data, _: predict(data),
        probabilities=probabilities,
        classes=list(estimator.classes_) if probabilities else (),
        estimator=estimator,
    )
    model.example = arguments(frame[:5])
    try_out(model, allow_dependence=True)
    return model


def arguments(frame: pd.DataFrame) -> list[list[Any]]:
    """Return the rows of a table as calls of BigQuery have them."""
    columns = []
    for name in frame:
        values = frame[name]
        if values.dtype.kind == "M":
            values = values.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        columns.append([None if value is None or value != value else value for value in values.tolist()])
    return [list(call) for call in zip(*columns, strict=True)]


def rows_of(model: Model, frame: pd.DataFrame) -> Rows:
    """Return a table as typed rows."""
    return from_arguments(model.signature, arguments(frame))


SCALERS = (
    preprocessing.StandardScaler,
    preprocessing.RobustScaler,
    preprocessing.MinMaxScaler,
    preprocessing.MaxAbsScaler,
    lambda: preprocessing.MinMaxScaler(clip=True),
    lambda: preprocessing.StandardScaler(with_mean=False),
    preprocessing.PowerTransformer,
    lambda: preprocessing.QuantileTransformer(n_quantiles=5),
)
IMPUTERS = (
    SimpleImputer,
    lambda: SimpleImputer(strategy="median", add_indicator=True),
    lambda: SimpleImputer(strategy="constant", fill_value=-1.0),
    lambda: SimpleImputer(strategy="most_frequent"),
)
ENCODERS = (
    lambda: preprocessing.OneHotEncoder(handle_unknown="ignore"),
    lambda: preprocessing.OneHotEncoder(drop="first", sparse_output=False),
    lambda: preprocessing.OneHotEncoder(min_frequency=3, handle_unknown="infrequent_if_exist", sparse_output=False),
    lambda: preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    preprocessing.OrdinalEncoder,
    *([preprocessing.TargetEncoder] if hasattr(preprocessing, "TargetEncoder") else []),  # since 1.3
)
REGRESSORS = (
    linear_model.Ridge,
    linear_model.LinearRegression,
    linear_model.Lasso,
    linear_model.SGDRegressor,
    lambda: tree.DecisionTreeRegressor(max_depth=4, random_state=0),
    lambda: ensemble.RandomForestRegressor(n_estimators=7, max_depth=4, random_state=0),
    lambda: ensemble.ExtraTreesRegressor(n_estimators=5, random_state=0),
    lambda: ensemble.GradientBoostingRegressor(n_estimators=5, random_state=0),
    lambda: ensemble.HistGradientBoostingRegressor(max_iter=6, min_samples_leaf=2, random_state=0),
    lambda: TransformedTargetRegressor(linear_model.Ridge(), transformer=preprocessing.StandardScaler()),
    lambda: ensemble.VotingRegressor([("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(random_state=0))]),
    lambda: ensemble.StackingRegressor([("a", linear_model.Ridge()), ("b", linear_model.Lasso())], cv=2),
)
CLASSIFIERS = (
    linear_model.LogisticRegression,
    linear_model.RidgeClassifier,
    linear_model.SGDClassifier,
    lambda: tree.DecisionTreeClassifier(max_depth=4, random_state=0),
    lambda: ensemble.RandomForestClassifier(n_estimators=7, max_depth=4, random_state=0),
    lambda: ensemble.ExtraTreesClassifier(n_estimators=5, random_state=0),
    lambda: ensemble.GradientBoostingClassifier(n_estimators=5, random_state=0),
    lambda: ensemble.HistGradientBoostingClassifier(max_iter=6, min_samples_leaf=2, random_state=0),
    lambda: ensemble.VotingClassifier(
        [("a", linear_model.LogisticRegression()), ("b", tree.DecisionTreeClassifier(random_state=0))], voting="soft"
    ),
)


@st.composite
def fitted(draw: Draw) -> tuple[Any, pd.DataFrame, pd.DataFrame]:
    """Return a fitted model, the table it was fitted on, and further rows with gaps where that has some."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    kinds = draw(st.text("ffftibMc", min_size=1, max_size=7))
    gaps = draw(st.sampled_from([0.0, 0.0, 0.2]))
    frame = table(random, draw(st.integers(6, 60)), kinds, gaps=gaps)
    y = target(random, frame)
    classes = draw(st.sampled_from([0, 0, 2, 3]))
    if classes:
        y = np.array(["no", "yes", "perhaps"])[np.argsort(np.argsort(y)) * classes // len(y)]
    last = draw(st.sampled_from(CLASSIFIERS if classes else REGRESSORS))()
    between = [draw(st.sampled_from(SCALERS))()] if draw(st.booleans()) else []
    if draw(st.booleans()):
        between.append(draw(st.sampled_from([VarianceThreshold(), SelectKBest(k=1), model_steps.ZeroCount()])))
    estimator = pipeline.make_pipeline(_columns(draw, frame), *between, last)
    if draw(st.integers(0, 9)) == 0 and set(kinds) <= set("fc") and not gaps:
        estimator = last
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a model that doesn't converge on five rows
        try:
            estimator.fit(frame, y)
        except (RuntimeError, TypeError, ValueError):  # steps that don't go together, such as an imputer of booleans
            reject()
    return estimator, frame, table(random, 40, kinds, gaps=gaps)


def _columns(draw: Draw, frame: pd.DataFrame) -> ColumnTransformer:
    texts, times = ([name for name in frame if name[0] == kind] for kind in "tM")
    numbers = [name for name in frame if name not in (*texts, *times)]
    steps: list[tuple[str, Any, Any]] = []
    if texts:
        encoder = draw(st.sampled_from(ENCODERS))()
        if draw(st.booleans()):
            filling = draw(st.sampled_from(["most_frequent", "constant"]))
            encoder = pipeline.make_pipeline(SimpleImputer(strategy=filling, fill_value="none"), encoder)
        steps.append(("texts", encoder, texts))
    if times:
        parts = pipeline.make_pipeline(model_steps.DateParts(), SimpleImputer())
        steps.append(("times", parts, times))
    if numbers:
        scaler = draw(st.sampled_from(SCALERS))()
        if frame[numbers].isna().any(axis=None) or draw(st.booleans()):
            scaler = pipeline.make_pipeline(draw(st.sampled_from(IMPUTERS))(), scaler)
        steps.append(("numbers", scaler, numbers))
    return ColumnTransformer(steps, sparse_threshold=draw(st.sampled_from([0.0, 0.3, 1.0])))
