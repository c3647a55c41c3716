"""What a fitted model tells about its input: whether an array will do, and what stood for a missing text."""

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, StackingRegressor, VotingRegressor
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)  # fmt: skip
from sklearn.utils import all_estimators
from starlette.testclient import TestClient

from loading.fitted import (
    first_steps,
    missing_texts,
    scores_rows_alone,
    steps_of_columns,
    takes_array,
    takes_text_series,
)
from model_loader import load
from model_steps import DateParts, RowArithmetic, Stacked
from serving.decoding import from_arguments
from serving.errors import ModelUnusable
from tests import models

X = models.numbers(60)
Y = X.a * 2 + X.b
NAN = float("nan")


class Custom(StandardScaler):
    """A step of the author."""


def add_one(values: Any) -> Any:
    """Change the input itself."""
    values += 1
    return values


def same(values: Any) -> Any:
    """Return the values."""
    return values


def row_mean(values: Any) -> Any:
    """Return the values with their mean beside them: pandas skips NaN, NumPy doesn't."""
    return np.c_[values, np.mean(values, axis=1)]


class Sampler(BaseEstimator):
    """A step as those of imbalanced-learn, whose pipelines sample rows only to fit."""

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Return the rows as they are."""
        return X, y


ARRAYS: dict[str, tuple[Any, bool]] = {
    "estimator": (Ridge(), True),
    "pipeline": (make_pipeline(StandardScaler(), SimpleImputer(), Ridge()), True),
    "union": (make_pipeline(make_union(StandardScaler(), SimpleImputer()), Ridge()), True),
    "stacking": (StackingRegressor([("a", Ridge())], Ridge()), True),
    "voting": (VotingRegressor([("a", HistGradientBoostingRegressor(max_iter=2))]), True),
    "search": (GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=2), True),
    "our own steps": (make_pipeline(RowArithmetic("sum"), Stacked(Ridge()), Ridge()), True),
    "our own step around another's": (make_pipeline(Stacked(make_pipeline(Custom(), Ridge())), Ridge()), False),
    "function": (make_pipeline(FunctionTransformer(row_mean), Ridge()), False),
    "function within a union": (make_pipeline(make_union(FunctionTransformer(row_mean)), Ridge()), False),
    "function for the target": (TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1), True),
    "function within a regressor": (
        TransformedTargetRegressor(make_pipeline(FunctionTransformer(row_mean), Ridge())), False,
    ),
    "function within a stack": (
        StackingRegressor([("a", make_pipeline(FunctionTransformer(row_mean), Ridge()))], Ridge()), False,
    ),
    "columns by name": (make_pipeline(ColumnTransformer([("a", StandardScaler(), ["a"])]), Ridge()), False),
    "subclass": (make_pipeline(Custom(), Ridge()), False),
}  # fmt: skip


@pytest.mark.parametrize(("model", "expected"), ARRAYS.values(), ids=ARRAYS)
def test_takes_array(model: Any, expected: bool) -> None:
    """A model gets an array only if every step, inner ones included, turns its input into an array itself."""
    assert takes_array(model.fit(X, Y.abs())) is expected


def test_replaced_method_gets_a_frame() -> None:
    """An estimator whose instance has a predict of its own may do anything with its input."""
    model = Ridge().fit(X, Y)
    model.predict = lambda data: data["a"]
    assert not takes_array(model)
    assert not takes_array(None)
    assert not takes_array(DateParts())


def fitted(cls: type) -> Any:
    """Return an estimator of this class, fitted; None for one that takes other data."""
    inner = LogisticRegression() if "lassif" in cls.__name__ else Ridge()
    given = {"estimator": inner, "estimators": [("a", inner)], "steps": [("a", inner)], "param_grid": {},
             "param_distributions": {}, "transformer_list": [("a", StandardScaler())]}  # fmt: skip
    required = [name for name, each in inspect.signature(cls).parameters.items() if each.default is each.empty]
    if not set(required) <= set(given):
        return None
    for target in (Y, (Y > 0).astype(int), pd.concat([Y, Y], axis=1)):
        try:
            return cls(**{name: given[name] for name in required}).fit(X.abs(), target)
        except Exception:  # needs another target, texts, or more rows
            continue
    return None


def answer(model: Any, method: str, data: Any) -> Any:
    try:
        found = getattr(model, method)(data)
    except Exception as error:
        return type(error)
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found)


@pytest.mark.check
@pytest.mark.filterwarnings("ignore")
def test_every_estimator_of_scikit_learn() -> None:
    """Each that takes_array accepts gives an array's answers for a DataFrame, bit for bit, with NaN and without."""
    tried = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, cls in all_estimators():
            model = fitted(cls)
            if model is None or not takes_array(model):
                continue
            tried += 1
            for rows in (1, 60):
                for gap in (False, True):
                    frame = X.abs()[:rows].copy()
                    frame.iloc[0, 1] = NAN if gap else 1.0
                    for method in {"predict", "transform", "predict_proba"} & set(dir(model)):
                        one = answer(model, method, frame)
                        other = answer(model, method, np.asfortranarray(frame.to_numpy()))
                        assert (
                            np.array_equal(one, other, equal_nan=True) if isinstance(one, np.ndarray) else one is other
                        ), name
    assert tried > 100


CITY = {"None": None, "NaN": NAN, "NA": pd.NA}


def texts(marker: Any) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(8.0), "city": pd.Series(["a", "b", marker, "a"] * 2, dtype=object)})


def by_column(step: Any) -> Any:
    return ColumnTransformer([("city", step, ["city"])], remainder="passthrough")


TEXTS = {
    "one-hot in a column transformer": lambda _: make_pipeline(by_column(OneHotEncoder()), Ridge()),
    "ordinal in an inner pipeline": lambda _: make_pipeline(
        by_column(make_pipeline(OrdinalEncoder(encoded_missing_value=-1))), Ridge()
    ),
    "target encoder": lambda _: make_pipeline(by_column(TargetEncoder(target_type="continuous", cv=2)), Ridge()),
    "imputer before an encoder": lambda marker: make_pipeline(
        by_column(make_pipeline(SimpleImputer(missing_values=marker, strategy="most_frequent"), OneHotEncoder())),
        Ridge(),
    ),
    "after passthrough": lambda _: make_pipeline(
        ColumnTransformer([("city", "passthrough", ["city"])]), OneHotEncoder(handle_unknown="ignore"), Ridge()
    ),
    "after a function of the author": lambda _: make_pipeline(
        ColumnTransformer([("city", FunctionTransformer(same), ["city"])]), OneHotEncoder(), Ridge()
    ),
    "within a search": lambda _: GridSearchCV(
        make_pipeline(by_column(OneHotEncoder(handle_unknown="ignore")), Ridge()), {"ridge__alpha": [1.0]}, cv=2
    ),
}


@pytest.mark.parametrize("marker", ["None", "NaN"])
@pytest.mark.parametrize("make", TEXTS.values(), ids=TEXTS)
def test_missing_text(make: Any, marker: str, tmp_path: Path) -> None:
    """NULL reaches the model as what stood for a missing text when it was fitted, and gives that row's prediction."""
    data = texts(CITY[marker])
    y = np.where(data.city.isna(), 100.0, 20.0) + data.x
    estimator = make(CITY[marker]).fit(data, y)
    assert repr(missing_texts(estimator, ["x", "city"])["city"]) == repr(CITY[marker])
    signature = models.infer_signature(data, y)
    model = load(str(models.save(tmp_path / "model", estimator, data, signature=signature)))
    rows = from_arguments(model.signature, [[2.0, None], [1.0, "b"], [6.0, None]])
    assert model.predict(rows).tolist() == estimator.predict(data.iloc[[2, 1, 6]]).tolist()


def test_imputer_decides_before_the_encoder() -> None:
    """An imputer for a word leaves the decision to the encoder; one for None decides though the encoder has NaN."""
    data = texts(None)
    word = make_pipeline(SimpleImputer(missing_values="b", strategy="constant", fill_value="a"), OneHotEncoder())
    assert missing_texts(by_column(word).fit(data), ["x", "city"])["city"] is None
    assert missing_texts(by_column(OneHotEncoder()).fit(texts("c")), ["x", "city"]) == {}


class OddEncoder(TransformerMixin, BaseEstimator):
    """An encoder of the author, with categories in a form of its own."""

    def fit(self, X: Any, y: Any = None) -> "OddEncoder":
        self.categories_ = {"city": ["a"]}
        return self

    def transform(self, X: Any) -> Any:
        return np.zeros((len(X), 1))


@pytest.mark.filterwarnings("ignore:Skipping features")
def test_odd_categories(tmp_path: Path) -> None:
    """Categories in another form, and columns that an imputer drops, decide nothing and break nothing."""
    data = texts(None)
    assert missing_texts(make_pipeline(OddEncoder(), Ridge()).fit(data, data.x), ["x", "city"]) == {}
    empty = pd.DataFrame({"a": pd.Series([""] * 8, dtype=object), "b": pd.Series(["x", "y"] * 4, dtype=object)})
    imputer = SimpleImputer(missing_values="", strategy="most_frequent")
    model = make_pipeline(imputer, OneHotEncoder(), Ridge()).fit(empty, data.x)
    load(str(models.save(tmp_path / "model", model, empty, signature=models.infer_signature(empty, data.x))))


class OwnVectorizer(TfidfVectorizer):
    """A vectorizer of the author."""


@pytest.mark.parametrize(
    "make", [TfidfVectorizer, CountVectorizer, lambda: make_union(CountVectorizer()), OwnVectorizer]
)
def test_text_model_gets_a_series(make: Any, tmp_path: Path) -> None:
    """A model fitted on a column of texts gets the texts, and answers for each row, alone as among others."""
    text = pd.Series(["good film", "bad film", "nice words", "awful words", "good good", "bad bad"], name="text")
    estimator = make_pipeline(make(), LogisticRegression()).fit(text, [1, 0, 1, 0, 1, 0])
    assert takes_text_series(estimator)
    signature = models.infer_signature(text.to_frame(), np.array([1, 0]))
    folder = models.save(
        tmp_path / "model", estimator, text.to_frame(), signature=signature, input_example=text[:3].to_frame()
    )
    model = load(str(folder))
    for texts in (["good film"], ["good film", "bad film"]):
        rows = from_arguments(model.signature, [[each] for each in texts])
        assert model.predict(rows).tolist() == estimator.predict(texts).tolist()


def test_text_model_with_two_columns(tmp_path: Path) -> None:
    """A vectorizer that would get two columns is refused: it would go through their names."""
    frame = pd.DataFrame({"a": ["good film", "bad film", "nice"], "b": ["x", "y", "z"]})
    estimator = make_pipeline(FeatureUnion([("a", CountVectorizer())]), LogisticRegression()).fit(frame.a, [1, 0, 1])
    signature = models.infer_signature(frame, np.array([1, 0]))
    folder = models.save(tmp_path / "model", estimator, frame, signature=signature, input_example=frame[:2])
    with pytest.raises(ModelUnusable, match=r"expected one value per row|fails with"):
        load(str(folder))


IN_PLACE = {
    "standard": StandardScaler(copy=False),
    "minmax": MinMaxScaler(copy=False),
    "robust": RobustScaler(copy=False),
    "power": PowerTransformer(copy=False),
    "quantile": QuantileTransformer(n_quantiles=10, copy=False),
    "function": FunctionTransformer(add_one),
}


@pytest.mark.parametrize("scaler", IN_PLACE.values(), ids=IN_PLACE)
def test_in_place_steps_scale_once(scaler: Any, app: Callable[..., TestClient], tmp_path: Path) -> None:
    """Rows beside a row that fails get the answers they get alone, though steps change their input in place."""
    estimator = make_pipeline(scaler, Ridge()).fit(X.copy(), Y)
    client = app(str(models.save(tmp_path / "model", estimator, X.copy())))
    context = {"on_null": "pass", "on_error": "null"}
    calls = [[1.5, 2.5, 3.5, 1.0], [4.5, None, 6.5, 1.0], [7.5, 8.5, 9.5, 1.0]]
    together = client.post("/", json={"calls": calls, "userDefinedContext": context}).json()["replies"]
    alone = [client.post("/", json={"calls": [call]}).json()["replies"][0] for call in calls]
    assert together[::2] == pytest.approx(alone[::2], rel=1e-12)
    assert together[1] is alone[1] is None


def test_row_mean_skips_null(app: Callable[..., TestClient], tmp_path: Path) -> None:
    """A function of the author gets the DataFrame it was fitted on: pandas leaves NULL out of a mean."""
    frame = X.copy()
    frame.loc[::3, "b"] = NAN
    estimator = make_pipeline(FunctionTransformer(row_mean), HistGradientBoostingRegressor(max_iter=20)).fit(frame, Y)
    client = app(str(models.save(tmp_path / "model", estimator, frame)))
    calls = [[1.5, None, 3.5, 0.0], [4.5, 1.0, 6.5, 0.0], [-7.5, None, 9.5, 0.0]]
    expected = estimator.predict(pd.DataFrame(calls, columns=frame.columns, dtype=float)).tolist()
    assert client.post("/", json={"calls": calls}).json() == {"replies": expected}


@pytest.mark.parametrize(
    ("estimator", "alone"),
    [
        (make_pipeline(StandardScaler(), Ridge()), True),
        (make_pipeline(FunctionTransformer(), Ridge()), True),
        (make_pipeline(FunctionTransformer(np.cumsum), Ridge()), False),
        (None, False),  # of user code
    ],
    ids=["known steps", "passed through", "a function", "user code"],
)
def test_rows_scored_alone(estimator: Any, alone: bool) -> None:
    """Known steps score each row by itself; what an author's function does with other rows is unknown."""
    assert scores_rows_alone(estimator) == alone


def test_sampler_is_no_first_step() -> None:
    """The step behind a sampler gets the model's own columns, with the categories that it knows."""
    encoder = OneHotEncoder().fit(pd.DataFrame({"code": ["a", "b"]}))
    pipeline = Pipeline([("sampler", Sampler()), ("encoder", encoder), ("model", LogisticRegression())])
    assert first_steps(pipeline) == [encoder]
    assert steps_of_columns(pipeline, ["code"]) == {"code": [(encoder, 0)]}
