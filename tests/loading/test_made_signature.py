"""A model that was saved without a signature gets one from its fitted estimator, or is refused with a way out."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import Schema, TensorSpec
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor, VotingRegressor
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from starlette.testclient import TestClient

from loading.made_signature import HOW, ORDER_UNKNOWN, make_signature
from model_loader import load
from serving.errors import ModelUnusable
from sql.declarations import declarations
from tests import models
from tests.assertions import assert_error

X = models.numbers(80)
Y = (X.a * 2 + X.b).to_numpy()
LABELS = np.where(Y > 0, "high", "low")


def mixed() -> pd.DataFrame:
    """A double with gaps, a text with gaps, a text, a boolean and an integer."""
    return pd.DataFrame(
        {
            "size": [1.0, np.nan, 3.0, 4.0] * 20,
            "city": pd.Series(["Bern", None, "Genf", "Bern"] * 20, dtype=object),
            "kind": ["x", "y"] * 40,
            "new": [True, False] * 40,
            "rooms": [1, 2, 3, 4] * 20,
        }
    )


def encoded(frame: pd.DataFrame) -> Any:
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["size"]),
            ("categories", OneHotEncoder(handle_unknown="ignore"), ["city", "kind", "new"]),
        ],
        remainder="passthrough",
    )
    return make_pipeline(columns, LinearRegression()).fit(frame, np.arange(80.0))


def save(folder: Path, estimator: Any) -> str:
    mlflow.sklearn.save_model(estimator, str(folder), pip_requirements=models.PINS, serialization_format="cloudpickle")
    return str(folder)


MODELS: dict[str, tuple[Callable[[], Any], str, str]] = {
    "forest on a frame": (
        lambda: RandomForestRegressor(5, n_jobs=-1).fit(X, Y), "a FLOAT64, b FLOAT64, c FLOAT64, d FLOAT64", "FLOAT64",
    ),
    "labels": (lambda: LogisticRegression().fit(X[["a", "b"]], LABELS), "a FLOAT64, b FLOAT64", "STRING"),
    "classes that are numbers": (lambda: KNeighborsClassifier().fit(X[["a"]], Y > 0), "a FLOAT64", "BOOL"),
    "pipeline": (lambda: make_pipeline(StandardScaler(), LinearRegression()).fit(X[["b", "a"]], Y),
                 "b FLOAT64, a FLOAT64", "FLOAT64"),
    "array": (lambda: LinearRegression().fit(X[["a", "b"]].to_numpy(), Y), "x0 FLOAT64, x1 FLOAT64", "FLOAT64"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "arguments", "returns"), MODELS.values(), ids=MODELS)
def test_made(make: Callable[[], Any], arguments: str, returns: str, tmp_path: Path, app: Any) -> None:
    """Names or the number of columns, and what a row made from them returns, are the signature; it is said so."""
    estimator = make()
    folder = save(tmp_path / "model", estimator)
    model = load(folder)
    assert model.signature.arguments == arguments
    assert model.sql_type == returns
    rows = X.to_numpy()[:5, : len(model.signature.columns)]
    frame = pd.DataFrame(rows, columns=getattr(estimator, "feature_names_in_", None))
    replies = app(folder).post("/", json={"calls": rows.tolist()}).json()["replies"]
    assert replies == pytest.approx(estimator.predict(frame).tolist())
    assert model.info.made_signature in model.notes
    described = declarations(model)[0].description
    assert "saved without a signature" in described
    assert (ORDER_UNKNOWN in described) == (not hasattr(estimator, "feature_names_in_"))


def test_types_from_categories(tmp_path: Path, app: Any) -> None:
    """An encoder's categories are texts or booleans; a column may be NULL where it is filled or was missing."""
    frame = mixed()
    estimator = encoded(frame)
    folder = save(tmp_path / "model", estimator)
    signature = load(folder).signature
    assert signature.arguments == "size FLOAT64, city STRING, kind STRING, new BOOL, rooms FLOAT64"
    assert [column.required for column in signature.columns] == [False, False, True, True, True]
    calls = [[None, "Genf", "x", True, 2], [3.0, None, "y", False, 4], [1.0, "Bern", None, True, 1]]
    replies = app(folder).post("/", json={"calls": calls}).json()["replies"]
    asked = pd.DataFrame(calls[:2], columns=frame.columns).astype({"size": float, "city": object})
    asked.loc[1, "city"] = None  # as in training; pandas 3 would make NaN of it
    expected = estimator.predict(asked).tolist()
    assert replies == [pytest.approx(expected[0]), pytest.approx(expected[1]), None]


@pytest.mark.parametrize("values", [["a", "b"], [3, 7], [0.5, 1.5]], ids=["texts", "integers", "floats"])
@pytest.mark.parametrize("encoder", [OneHotEncoder(), OrdinalEncoder()], ids=["one-hot", "ordinal"])
def test_output_behind_strict_encoder(encoder: Any, values: list[Any], tmp_path: Path) -> None:
    """An encoder that refuses unknown categories gets known ones, so what the model returns is found out."""
    frame = pd.DataFrame({"code": values * 40})
    folder = save(tmp_path / "model", make_pipeline(encoder, LogisticRegression()).fit(frame, LABELS))
    assert load(folder).sql_type == "STRING"


@pytest.mark.filterwarnings("ignore:Skipping features")
def test_text_that_fills_a_column(tmp_path: Path) -> None:
    """A column that an imputer fills with a text holds texts, although the encoder behind it isn't reached."""
    frame = pd.DataFrame({"city": pd.Series(["Bern", np.nan] * 40, dtype=object), "none": np.nan})
    fill = SimpleImputer(strategy="most_frequent")
    estimator = make_pipeline(fill, OneHotEncoder(), LinearRegression()).fit(frame, Y)
    assert load(save(tmp_path / "model", estimator)).signature.arguments == "city STRING, none FLOAT64"


def test_categories_in_an_ensemble(tmp_path: Path) -> None:
    """All estimators of a vote get the columns, so the encoder of the second tells the type."""
    folder = save(tmp_path / "model", voting(OneHotEncoder(), ["city"]))
    arguments = load(folder).signature.arguments
    assert arguments == "size FLOAT64, city STRING, kind FLOAT64, new FLOAT64, rooms FLOAT64"


def test_categories_of_histogram_boosting(tmp_path: Path, app: Any) -> None:
    """HistGradientBoosting encodes category columns itself, so their texts are arguments."""
    frame = X[["a"]].assign(city=pd.Categorical(np.where(X.b > 0, "Bern", "Genf")))
    estimator = HistGradientBoostingRegressor(max_iter=5, categorical_features=["city"]).fit(frame, Y)
    folder = save(tmp_path / "model", estimator)
    assert load(folder).signature.arguments == "a FLOAT64, city STRING"
    replies = app(folder).post("/", json={"calls": frame.to_numpy().tolist()}).json()
    assert replies == {"replies": pytest.approx(estimator.predict(frame).tolist())}


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("native", [True, False], ids=["booster", "wrapper"])
def test_boosters(library: str, native: bool, tmp_path: Path, app: Any) -> None:
    """A booster and its scikit-learn wrapper tell the names of their columns."""
    module = pytest.importorskip(library)
    wrapper = {"xgboost": "XGBRegressor", "lightgbm": "LGBMRegressor"}[library]
    quiet = {"verbose": -1} if library == "lightgbm" else {}
    fitted = getattr(module, wrapper)(n_estimators=5, **quiet).fit(X, Y)
    expected = fitted.predict(X[:3]).tolist()
    saved: Any = fitted
    if native:
        saved = fitted.get_booster() if library == "xgboost" else fitted.booster_
    folder = str(tmp_path / "model")
    getattr(mlflow, library).save_model(saved, folder, pip_requirements=models.PINS)
    assert load(folder).signature.arguments == "a FLOAT64, b FLOAT64, c FLOAT64, d FLOAT64"
    replies = app(folder).post("/", json={"calls": X[:3].to_numpy().tolist()}).json()["replies"]
    assert replies == pytest.approx(expected)


def texts_in_a_column(vectorizer: Any) -> Any:
    """Return a pipeline that takes a column of texts and one of numbers, and knows the names of both."""
    columns = ColumnTransformer([("text", vectorizer, "city"), ("number", StandardScaler(), ["size"])])
    return make_pipeline(columns, LinearRegression()).fit(mixed().assign(city="in Bern", size=X.a), Y)


def lengths(rows: Any) -> Any:
    """Return the lengths of texts: a function of the author behind a step that passes its input on."""
    return np.array([[len(text.lower()) for text in row] for row in np.asarray(rows)])


def behind_identity() -> Any:
    """Return a pipeline whose first step is the identity, which tells nothing about the type of a column."""
    steps = (FunctionTransformer(feature_names_out="one-to-one"), FunctionTransformer(lengths), LinearRegression())
    return make_pipeline(*steps).fit(mixed()[["kind"]], Y)


def voting(text_step: Any, columns: Any) -> Any:
    """Return a vote of a model that takes numbers and one that takes texts, of the same frame."""
    each = [("number", StandardScaler(), ["size"]), ("text", text_step, columns)]
    parts = [(name, make_pipeline(ColumnTransformer([part]), LinearRegression())) for part in each for name in part[:1]]
    return VotingRegressor(parts).fit(mixed().assign(city="in Bern", size=X.a), Y)


SILENT: dict[str, Callable[[], Any]] = {
    "texts in a column": lambda: texts_in_a_column(TfidfVectorizer()),
    "texts in a column, hashed": lambda: texts_in_a_column(HashingVectorizer(n_features=8)),
    "texts in a column, in a pipeline": lambda: texts_in_a_column(
        make_pipeline(CountVectorizer(), StandardScaler(with_mean=False))
    ),
    "texts in an ensemble": lambda: voting(TfidfVectorizer(), "city"),
    "texts behind the identity": behind_identity,
    "texts": lambda: make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good film", "bad film"], [0, 1]),
    "function of the author": lambda: make_pipeline(FunctionTransformer(np.abs), LinearRegression()).fit(X, Y),
}


@pytest.mark.parametrize("make", SILENT.values(), ids=SILENT)
def test_silent_model_refused(make: Callable[[], Any], tmp_path: Path, app: Callable[..., TestClient]) -> None:
    """A model that doesn't tell its arguments is a 424 that says how to save it."""
    client = app(save(tmp_path / "model", make()))
    assert_error(client.post("/", json={"calls": [[1]]}), 424, "no signature")


@pytest.mark.parametrize("vectorizer", [DictVectorizer(), FeatureHasher(4)], ids=["vectorizer", "hasher"])
def test_dictionaries_refused(vectorizer: Any, tmp_path: Path) -> None:
    """A model that takes dictionaries is refused by name, with a way out; no table of columns helps it."""
    estimator = make_pipeline(vectorizer, LinearRegression()).fit([{"a": 1.0}, {"b": 2.0}], [0, 1])
    with pytest.raises(ModelUnusable) as refused:
        load(save(tmp_path / "model", estimator))
    assert f"starts with a {type(vectorizer).__name__}, which takes dictionaries" in str(refused.value)
    assert "PythonModel" in str(refused.value)
    assert "--signature-from" not in str(refused.value)


def test_transformer_refused(tmp_path: Path) -> None:
    """A transformer alone can't predict."""
    with pytest.raises(ModelUnusable, match="its StandardScaler has no method predict"):
        load(save(tmp_path / "model", StandardScaler().fit(X)))


def test_mixed_categories_refused(tmp_path: Path) -> None:
    """Categories of several types have no SQL type."""
    frame = pd.DataFrame({"code": [1, 2] * 40})
    estimator = make_pipeline(OneHotEncoder(), LinearRegression()).fit(frame, Y)
    estimator[0].categories_ = [np.array([1, "a"], dtype=object)]
    with pytest.raises(ModelUnusable, match="several types"):
        load(save(tmp_path / "model", estimator))


def test_sklearn_flavor_alone(tmp_path: Path) -> None:
    """A model with the sklearn flavor and no python_function is loaded by the former."""
    folder = Path(save(tmp_path / "model", LinearRegression().fit(X, Y)))
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    del mlmodel["flavors"]["python_function"]
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))
    assert load(str(folder)).signature.arguments.startswith("a FLOAT64")


FILES = {
    "Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
    "missing": (None, "no file model.pkl, which its MLmodel file names"),
}


@pytest.mark.parametrize(("content", "words"), FILES.values(), ids=FILES)
def test_file_without_content(content: bytes | None, words: str, tmp_path: Path) -> None:
    """A file that isn't there, or is only a pointer to its content, is named."""
    folder = Path(save(tmp_path / "model", LinearRegression().fit(X, Y)))
    (folder / "model.pkl").unlink()
    if content:
        (folder / "model.pkl").write_bytes(content)
    with pytest.raises(ModelUnusable, match=words):
        load(str(folder))


def test_one_output_declared_for_several_columns(tmp_path: Path) -> None:
    """`predict_fn: predict_proba` with one declared output is JSON, as is any model that returns k columns for one."""
    classifier = LogisticRegression().fit(X, LABELS)
    folder = tmp_path / "model"
    models.save(folder, classifier, X, pyfunc_predict_fn="predict_proba")
    assert load(str(folder)).sql_type == "JSON"


def test_forest_predicts_in_one_thread(tmp_path: Path) -> None:
    """A forest saved with n_jobs=-1 predicts in one thread, so its sums are always in the same order."""
    model = load(save(tmp_path / "model", RandomForestRegressor(5, n_jobs=-1).fit(X, Y)))
    assert model.estimator.n_jobs == 1


def test_page_says_so(tmp_path: Path, app: Callable[..., TestClient]) -> None:
    """The page says that the signature was made, and that nobody can check the order of the arguments."""
    folder = save(tmp_path / "model", LinearRegression().fit(X.to_numpy(), Y))
    page = app(folder).get("/", headers={"accept": "text/html"}).text
    assert "saved without a signature" in page
    assert "can&#39;t be checked" in page


MODULE = """
from sklearn.base import BaseEstimator, RegressorMixin


class Constant(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        self.mean_ = y.mean()
        return self

    def predict(self, X):
        return [self.mean_] * len(X)
"""


def test_module_that_was_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose class is in a module of the author's machine is refused with the module and the remedy."""
    (tmp_path / "custom_transformers.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("custom_transformers")
    folder = save(tmp_path / "model", module.Constant().fit(X, Y))
    monkeypatch.undo()
    monkeypatch.delitem(sys.modules, "custom_transformers")
    importlib.invalidate_caches()
    with pytest.raises(ModelUnusable, match=r"'custom_transformers', which was not saved with it: .*code_paths="):
        load(folder)


def session(*inputs: tuple[str, str, list[Any]]) -> Any:
    """Return what tells the inputs of an ONNX model."""
    found = [SimpleNamespace(name=name, type=dtype, shape=shape) for name, dtype, shape in inputs]
    return SimpleNamespace(get_inputs=lambda: found)


def test_onnx_session() -> None:
    """The inputs of an ONNX model are its signature; the first dimension is that of the rows."""
    inputs = [
        ("x", "tensor(float)", [None, 3]),
        ("n", "tensor(int64)", ["batch", 1]),
        ("s", "tensor(string)", [None, 1]),
    ]
    signature, told = make_signature(session(*inputs), "gs://b/m")
    assert [(each.name, each.dtype, each.shape) for each in signature.tensors] == [
        ("x", "float32", (3,)), ("n", "int64", (1,)), ("s", "str", (1,)),
    ]  # fmt: skip
    assert told == HOW


@pytest.mark.parametrize("each", [("x", "tensor(float16)", [None, 3]), ("x", "seq(map(int64,tensor(float)))", [])])
def test_onnx_input_that_sql_lacks(each: tuple[str, str, list[Any]]) -> None:
    """An input of a type that SQL can't send is refused by name."""
    with pytest.raises(ModelUnusable, match=r"gs://b/m"):
        make_signature(session(each), "gs://b/m")


def test_labels_declared_as_probabilities(tmp_path: Path, app: Any) -> None:
    """A signature of two columns of numbers on a model that returns labels is false: the labels are served."""
    outputs = Schema([TensorSpec(np.dtype("float64"), (-1, 2))])
    signature = ModelSignature(infer_signature(X).inputs, outputs)
    estimator = LogisticRegression().fit(X, LABELS)
    folder = str(models.save(tmp_path / "model", estimator, X, signature=signature))
    replies = app(folder).post("/", json={"calls": X[:5].to_numpy().tolist()}).json()
    assert replies == {"replies": estimator.predict(X[:5]).tolist()}


def results(module: str, names: list[str], formula: str | None = None) -> Any:
    """Return what tells the columns of a model of statsmodels, which isn't installed here."""
    model = type("Model", (), {"__module__": module, "exog_names": names, "formula": formula})()
    made = type("Results", (), {"__module__": "statsmodels.base.model", "predict": lambda _, rows: rows})()
    made.model = model
    return made


OLS = "statsmodels.regression.linear_model"
REGRESSIONS: dict[str, tuple[Any, str]] = {
    "names": (results(OLS, ["const", "area", "rooms"]), "const FLOAT64, area FLOAT64, rooms FLOAT64"),
    "logit": (results("statsmodels.discrete.discrete_model", ["area"]), "area FLOAT64"),
    "array": (results(OLS, ["const", "x1", "x2"]), "x0 FLOAT64, x1 FLOAT64, x2 FLOAT64"),
    "formula": (results(OLS, ["Intercept", "np.square(area)"], "y ~ np.square(area)"), ""),
    "time series": (results("statsmodels.tsa.arima.model", ["const", "area"]), ""),
    "two parts": (results("statsmodels.discrete.count_model", ["inflate_const", "area"]), ""),
}


@pytest.mark.parametrize(("fitted", "arguments"), REGRESSIONS.values(), ids=REGRESSIONS)
def test_regressions_of_statsmodels(fitted: Any, arguments: str) -> None:
    """A regression tells the columns of its matrix; a formula and a time series don't take those."""
    if arguments:
        signature, told = make_signature(fitted, "gs://b/m")
        assert signature.arguments == arguments
        assert (ORDER_UNKNOWN in told) == arguments.startswith("x0")
    else:
        with pytest.raises(ModelUnusable, match="no signature"):
            make_signature(fitted, "gs://b/m")
