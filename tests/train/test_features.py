"""Encoders take texts, dates and gaps as they come, and end in steps that the function scores fast or that are listed."""

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline

from loading.plan.kernels import PREDICTORS, TRANSFORMERS
from loading.plan.lookup import BY_COLUMN
from loading.trusted_types import TRUSTED_TYPES
from train.data import Task
from train.features import Columns, encoder, native_encoder
from train.known import FOREST, LINEAR
from train.space import Table, boosting, search_space

COUNT = 900
RANDOM = np.random.default_rng(2)
KEYS = RANDOM.integers(0, 300, COUNT)
WORDS = np.array([f"word{number:02}" for number in range(60)])
ROWS = pd.DataFrame(
    {
        "size": np.where(RANDOM.random(COUNT) < 0.1, np.nan, RANDOM.normal(size=COUNT)),
        "garden": pd.Series(RANDOM.random(COUNT) < 0.5).astype("boolean"),
        "city": pd.Series(RANDOM.choice(["Bern", "Köln", None], COUNT)).astype("str"),
        "key": pd.Series([f"k{key}" for key in KEYS]).astype("str"),
        "note": pd.Series([" ".join(RANDOM.choice(WORDS, 5)) for _ in range(COUNT)]).astype("str"),
    }
)
TARGET = pd.Series(np.sin(KEYS) * 5 + RANDOM.normal(size=COUNT), name="price")
COLUMNS = Columns.of(ROWS)
ENCODINGS = ("one-hot", "one-hot and codes", "target", "one-hot and target", "native")


def encoding(texts: str) -> BaseEstimator:
    """Return one of the encodings."""
    return native_encoder(COLUMNS, words=8) if texts == "native" else encoder(COLUMNS, texts, words=8)


def test_columns_are_sorted_by_content() -> None:
    """A text with many categories, free text and gaps are found."""
    assert Columns(["size"], ["garden"], [], ["city", "key"], ["key"], ["note"], True) == COLUMNS


@pytest.mark.parametrize("texts", ENCODINGS)
def test_missing_texts_are_the_same(texts: str) -> None:
    """None, NaN and pd.NA in a text column mean the same, in every dtype that a text column has."""
    encode = encoding(texts).fit(ROWS, TARGET)
    rows = ROWS[:4].astype(dict.fromkeys(("city", "key", "note"), object))
    names = ["city", "key", "note"]
    expected = None
    for missing in (None, np.nan, pd.NA):
        given = rows.copy()
        given.loc[1:2, names] = missing
        for dtype in (object, "str", "string"):
            found = np.asarray(encode.transform(given.astype(dict.fromkeys(names, dtype))), np.float64)
            expected = found if expected is None else expected
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("texts", ENCODINGS)
def test_keys_keep_their_information(texts: str) -> None:
    """300 keys of three rows each carry most of the target; one rare category for all of them would carry none of it."""
    model = HistGradientBoostingRegressor(random_state=0) if texts != "one-hot" else Ridge()
    features = ROWS.drop(columns="note")
    columns = Columns.of(features)
    first = native_encoder(columns) if texts == "native" else encoder(columns, texts, rare=0.002)
    pipeline = make_pipeline(first, model).fit(features[:800], TARGET[:800])
    assert pipeline.score(features[800:], TARGET[800:]) > 0.25


@pytest.mark.parametrize("texts", ENCODINGS)
def test_unseen_texts_are_encoded(texts: str) -> None:
    """A text that training never saw makes numbers, none missing except in native categories."""
    encode = encoding(texts).fit(ROWS, TARGET)
    found = encode.transform(ROWS[:2].assign(city="Oslo", key="new", note="unknown words here"))
    assert texts == "native" or np.isfinite(found).all()


def test_native_boosting_is_saved_with_skops() -> None:
    """Boosting on native categories consists of trusted types only, and is the same after loading."""
    columns = Columns.of(ROWS[["size", "city", "key"]])
    last = boosting("regression", 2, log_target=True, max_iter=5, early_stopping=False)
    pipeline = Pipeline([("encode", native_encoder(columns)), ("boost", last)]).fit(ROWS, TARGET + 20)
    dumped = skops.io.dumps(pipeline)
    untrusted = skops.io.get_untrusted_types(data=dumped)
    assert set(untrusted) <= TRUSTED_TYPES
    np.testing.assert_array_equal(skops.io.loads(dumped, untrusted).predict(ROWS), pipeline.predict(ROWS))


# Steps that the function calls as they are, since they have no kernel: rare, or compiled inside already.
UNCOVERED = {
    *("AdaBoostClassifier", "AdaBoostRegressor", "BernoulliNB", "GaussianNB", "KNeighborsClassifier"),
    *("KNeighborsRegressor", "MLPClassifier", "MLPRegressor"),
    *("Binarizer", "FastICA", "FunctionTransformer", "Normalizer", "Nystroem", "PCA", "PowerTransformer"),
    *("QuantileTransformer", "RBFSampler", "TfidfVectorizer", "TruncatedSVD"),
}
CONTAINERS = {"ColumnTransformer", "FeatureUnion", "Pipeline", "TransformedTargetRegressor"}


@pytest.mark.filterwarnings("ignore:Value `:FutureWarning")  # TPOT uses a parameter's old name; rewriting replaces it
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_every_step_has_a_kernel_or_is_listed(task: Task) -> None:
    """Every class that a pipeline of the default space can contain has a kernel in the plan, or stands in UNCOVERED."""
    target = TARGET if task == "regression" else TARGET > 0
    space = search_space("plain", Table.of(ROWS, target, task, COLUMNS, 0))
    covered = {name.removeprefix("sklearn.") for name in (*TRANSFORMERS, *PREDICTORS, *BY_COLUMN)}
    found = {type(part).__name__ for seed in range(400) for part in _parts(space.generate(seed).export_pipeline())}
    assert {"OrdinalEncoder", "TargetEncoder", LINEAR[task], FOREST[task]} <= found
    sklearn = {name for name in found if name not in ("Passthrough", "SkipTransformer", "Maker")}
    assert sklearn - covered - CONTAINERS <= UNCOVERED


def _parts(pipeline: Pipeline) -> list[BaseEstimator]:
    return [part for part in pipeline.get_params(deep=True).values() if isinstance(part, BaseEstimator)]
