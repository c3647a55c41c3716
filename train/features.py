"""Encoders of raw columns, as the first step of a pipeline: the model takes texts, dates and gaps as they come.

There are two: `encoder` makes numbers for any estimator; `native_encoder` makes category codes and leaves gaps, for
histogram gradient boosting. Both fit inside the folds, since an encoder may learn from the target.

Texts become codes first. A code is NaN for a text that is missing, whether as None, NaN or pd.NA, and for one that
training never saw; OneHotEncoder and TargetEncoder alone would take the three for different texts.
"""

import dataclasses
from collections.abc import Collection
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, TargetEncoder

from model_steps import DateParts

Texts = Literal["one-hot", "one-hot and codes", "target", "one-hot and target"]

MAX_NATIVE = 255  # categories of one column in histogram gradient boosting
MAX_ONE_HOT = 250  # columns for one text column
DOCUMENT_SHARE = 0.5  # of a column's texts are different in free text,
DOCUMENT_WORDS = 3.0  # and this is their mean number of words at least
MIN_VOCABULARY = 40  # different words of free text; fewer are no language
MAX_WORDS = 5000  # the most frequent words of free text that count


@dataclasses.dataclass(frozen=True)
class Columns:
    """The names of a table's columns, by how they are encoded."""

    numbers: list[str]
    flags: list[str]  # booleans
    dates: list[str]
    texts: list[str]
    many: list[str]  # those of `texts` with more categories than MAX_NATIVE
    documents: list[str]  # free text, not in `texts`
    gaps: bool  # whether a number or a boolean is missing, or may be later

    @classmethod
    def of(cls, features: pd.DataFrame, optional: Collection[str] = ()) -> "Columns":
        """Sort the columns; `optional` names those that may have missing values later even if these rows have none."""
        numbers = list(features.select_dtypes("number").columns)
        flags = list(features.select_dtypes(["bool", "boolean"]).columns)
        dates = list(features.select_dtypes("datetime").columns)
        others = [name for name in features.columns if name not in {*numbers, *flags, *dates}]
        documents = [name for name in others if _is_document(features[name])]
        texts = [name for name in others if name not in documents]
        many = [name for name in texts if features[name].nunique() >= MAX_NATIVE]
        gaps = bool(optional) or bool(features[[*numbers, *flags]].isna().any(axis=None))
        return cls(numbers, flags, dates, texts, many, documents, gaps)

    @property
    def plain(self) -> bool:
        """Whether every estimator takes the columns as they are."""
        return not (self.dates or self.texts or self.documents or self.gaps)


def encoder(columns: Columns, texts: Texts = "one-hot", rare: float = 0.01, words: int = 30, seed: int = 0) -> Any:
    """Return an unfitted ColumnTransformer whose output is numbers, none missing; "passthrough" if nothing needs it.

    `texts` says what becomes of a text column: a column for each category, its codes, the mean of the target, or two of
    these. Categories with less than a share of `rare` of the rows are one for the one-hot. Free text becomes `words`
    components of its TF-IDF.
    """
    if columns.plain:
        return "passthrough"
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=rare, max_categories=MAX_ONE_HOT, sparse_output=False
    )
    encodings: dict[str, Any] = {
        "one-hot": make_pipeline(_codes(), one_hot),
        "codes": make_pipeline(_codes(), SimpleImputer(strategy="constant", fill_value=-1)),
        "target": make_pipeline(_codes(), _target_means(seed)),
    }
    parts = [
        ("numbers", _median(), [*columns.numbers, *columns.flags]),
        ("dates", make_pipeline(DateParts(), _median()), columns.dates),
        *((name, encodings[name], columns.texts) for name in texts.split(" and ")),
    ]
    return _transformer(parts, columns, words, seed)


def native_encoder(columns: Columns, words: int = 30, seed: int = 0) -> Any:
    """Return an unfitted ColumnTransformer for histogram gradient boosting; "passthrough" if nothing needs it.

    Its first columns are the codes of `columns.texts`, in their order. Gaps stay NaN. The rarest texts of a column with
    too many categories get one code, and such a column is encoded by the mean of the target besides.
    """
    if not (columns.flags or columns.dates or columns.texts or columns.documents):
        return "passthrough"
    parts = [
        ("codes", _codes(max_categories=MAX_NATIVE), columns.texts),
        ("target", make_pipeline(_codes(), _target_means(seed)), columns.many),
        ("numbers", "passthrough", columns.numbers),
        ("flags", _median(), columns.flags),
        ("dates", DateParts(), columns.dates),
    ]
    return _transformer(parts, columns, words, seed)


def _transformer(parts: list[tuple[str, Any, list[str]]], columns: Columns, words: int, seed: int) -> ColumnTransformer:
    """Return these parts that have columns, and one for each column of free text."""
    for name in columns.documents:
        to_texts = [
            SimpleImputer(missing_values=pd.NA, strategy="constant", fill_value=""),
            FunctionTransformer(np.ravel),
        ]
        components = TruncatedSVD(words, random_state=seed)
        parts.append(
            (f"words of {name}", make_pipeline(*to_texts, TfidfVectorizer(max_features=MAX_WORDS), components), [name])
        )
    return ColumnTransformer([part for part in parts if part[2]])


def _median() -> SimpleImputer:
    return SimpleImputer(strategy="median", keep_empty_features=True)


def _codes(max_categories: int | None = None) -> OrdinalEncoder:
    return OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        max_categories=max_categories,
    )


def _target_means(seed: int) -> TargetEncoder:
    """Return an encoder that takes a training row's mean from other rows than its own."""
    return TargetEncoder(cv=KFold(5, shuffle=True, random_state=seed))


def _is_document(column: pd.Series) -> bool:
    """Return whether a column holds free text: most values differ, and have several words of a vocabulary."""
    texts = column.dropna().astype(str)
    if not len(texts) or texts.nunique() < DOCUMENT_SHARE * len(texts):
        return False
    words = texts.str.findall(r"(?u)\b\w\w+\b")
    return bool(words.str.len().mean() >= DOCUMENT_WORDS and words.explode().nunique() >= MIN_VOCABULARY)
