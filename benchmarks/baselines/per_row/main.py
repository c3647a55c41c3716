"""A Cloud Function that calls the model once per row: `functions-framework --target predict`."""

import os
from typing import Any

import flask
import functions_framework
import mlflow.sklearn
import pandas as pd

model = mlflow.sklearn.load_model(os.environ["MODEL_URI"])


@functions_framework.http
def predict(request: flask.Request) -> Any:
    """Score a batch."""
    replies = []
    for call in request.get_json()["calls"]:
        frame = pd.DataFrame([call], columns=model.feature_names_in_)
        replies.append(model.predict(frame).tolist()[0])
    return flask.jsonify(replies=replies)
