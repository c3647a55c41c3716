"""What a frame needs before scikit-learn's estimators can take it: numbers only, none of them missing.

Rule: only what the columns at hand need is added, as plain scikit-learn steps that become part of the saved
pipeline, so that raw rows can be sent to the model.
"""

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

RARE = 0.01  # categories in fewer than this share of the rows are one category together


def preparation(features: pd.DataFrame) -> Pipeline | None:
    """Return the step that fills gaps and encodes text, or None when the frame has neither."""
    numeric = list(features.select_dtypes(["number", "bool"]).columns)
    text = [column for column in features.columns if column not in numeric]
    if not text and not features.isna().any(axis=None):
        return None
    encode = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=RARE, sparse_output=False)
    # A missing category is a category of its own; a missing number gets the column's median.
    parts = [
        ("numbers", SimpleImputer(strategy="median"), numeric),
        ("categories", encode, text),
    ]
    return make_pipeline(ColumnTransformer([part for part in parts if part[2]]))
