"""A FastAPI application as blog posts serve a model to BigQuery, for comparison: `uvicorn main:app`.

The model lies beside it and is loaded at the start; a request is checked by pydantic and becomes one DataFrame.
The columns get their names, without which a model that picks columns by name could not be served at all.
"""

import os
from typing import Any

import mlflow.sklearn
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = mlflow.sklearn.load_model(os.environ["MODEL_URI"])


class Request(BaseModel):
    requestId: str  # noqa: N815
    caller: str
    sessionUser: str  # noqa: N815
    userDefinedContext: dict[str, str] = {}  # noqa: N815
    calls: list[list[Any]]


@app.post("/")
def predict(request: Request) -> dict[str, list[Any]]:
    """Score a batch."""
    frame = pd.DataFrame(request.calls, columns=model.feature_names_in_)
    return {"replies": model.predict(frame).tolist()}
