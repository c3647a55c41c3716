"""A Cloud Function that calls the model once per row: `functions-framework --target predict`."""

import importlib
import os
from typing import Any

import flask
import functions_framework
import mlflow
import numpy as np
import pandas as pd
from mlflow.models import Model

saved = Model.load(os.environ["MODEL_URI"])
flavor = next(name for name in ("lightgbm", "xgboost", "sklearn") if name in saved.flavors)
model = importlib.import_module(f"mlflow.{flavor}").load_model(os.environ["MODEL_URI"])
fills_texts = any(not it.required and it.type is mlflow.types.DataType.string for it in saved.signature.inputs)
is_wide = len(model.feature_names_in_) > 256  # more than a function may have arguments, so its only one is an object


@functions_framework.http
def predict(request: flask.Request) -> Any:
    """Score a batch."""
    replies = []
    for call in request.get_json()["calls"]:
        frame = pd.DataFrame(call if is_wide else [call], columns=model.feature_names_in_)
        if fills_texts:
            frame = frame.fillna(np.nan)  # scikit-learn's imputers fill NaN and leave None alone
        replies.append(model.predict(frame).tolist()[0])
    return flask.jsonify(replies=replies)
