"""A FastAPI application that serves a model to BigQuery the way blog posts do: `uvicorn main:app`.

It loads the model from local disk at startup. pydantic validates each request, which becomes one DataFrame with column
names, because models that select columns by name need them.
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
