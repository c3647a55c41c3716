"""What a frame needs before scikit-learn's estimators can take it: numbers only, none of them missing.

Rule: only what the columns at hand need is added, as steps that become part of the saved pipeline, so that raw
rows can be sent to the model.
"""

from collections.abc import Collection

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from model_steps import DateParts

RARE = 0.01  # categories in fewer than this share of the rows are one category together


def preparation(features: pd.DataFrame, optional: Collection[str] = ()) -> Pipeline | None:
    """Return the step that fills gaps, present ones or those of optional columns, and makes numbers of all.

    None when there is nothing to do.
    """
    numbers = list(features.select_dtypes(["number", "bool", "boolean"]).columns)
    dates = list(features.select_dtypes("datetime").columns)
    texts = [column for column in features.columns if column not in {*numbers, *dates}]
    if not dates and not texts and not optional and not features.isna().any(axis=None):
        return None
    median = SimpleImputer(strategy="median", keep_empty_features=True)
    encode = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=RARE, sparse_output=False)
    # A missing category is a category of its own; a missing number or date gets the column's median.
    parts = [
        ("numbers", median, numbers),
        ("dates", make_pipeline(DateParts(), median), dates),
        ("categories", encode, texts),
    ]
    return make_pipeline(ColumnTransformer([part for part in parts if part[2]]))
