"""Preprocessing for scikit-learn's estimators, which take numbers only, none of them missing.

The steps become part of the saved pipeline, so the model takes raw rows. Only what the given columns need is added.
"""

from collections.abc import Collection

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from model_steps import DateParts

MIN_CATEGORY_SHARE = 0.01  # of the rows; rarer categories are encoded as one


def preprocessor(features: pd.DataFrame, optional: Collection[str] = ()) -> Pipeline | None:
    """Return an unfitted step that imputes missing values and encodes text and dates; None if nothing needs it.

    `optional` names columns that may have missing values later even if these rows have none.
    """
    numbers = list(features.select_dtypes(["number", "bool", "boolean"]).columns)
    dates = list(features.select_dtypes("datetime").columns)
    texts = [column for column in features.columns if column not in {*numbers, *dates}]
    if not dates and not texts and not optional and not features.isna().any(axis=None):
        return None
    median = SimpleImputer(strategy="median", keep_empty_features=True)
    encode = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=MIN_CATEGORY_SHARE, sparse_output=False)
    # A missing text is a category; a missing number or date becomes the column's median.
    parts = [
        ("numbers", median, numbers),
        ("dates", make_pipeline(DateParts(), median), dates),
        ("categories", encode, texts),
    ]
    return make_pipeline(ColumnTransformer([part for part in parts if part[2]]))
