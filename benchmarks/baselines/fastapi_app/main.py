"""A FastAPI application that serves a model to BigQuery the way blog posts do: `uvicorn main:app`.

It loads the model from local disk at startup, by its flavor's own loader, which checks no schema as mlflow.pyfunc does.
pydantic validates each request, which becomes one DataFrame with column names, because models that select columns by
name need them.
"""

import importlib
import os
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from fastapi import FastAPI
from mlflow.models import Model
from pydantic import BaseModel

app = FastAPI()
saved = Model.load(os.environ["MODEL_URI"])
flavor = next(name for name in ("lightgbm", "xgboost", "sklearn") if name in saved.flavors)
model = importlib.import_module(f"mlflow.{flavor}").load_model(os.environ["MODEL_URI"])
fills_texts = any(not it.required and it.type is mlflow.types.DataType.string for it in saved.signature.inputs)
is_wide = len(model.feature_names_in_) > 256  # more than a function may have arguments, so its only one is an object


class Request(BaseModel):
    requestId: str  # noqa: N815
    caller: str
    sessionUser: str  # noqa: N815
    userDefinedContext: dict[str, str] = {}  # noqa: N815
    calls: list[list[Any]]


@app.post("/")
def predict(request: Request) -> dict[str, list[Any]]:
    """Score a batch."""
    rows = [call[0] for call in request.calls] if is_wide else request.calls
    frame = pd.DataFrame(rows, columns=model.feature_names_in_)
    if fills_texts:
        frame = frame.fillna(np.nan)  # scikit-learn's imputers fill NaN and leave None alone
    return {"replies": model.predict(frame).tolist()}
