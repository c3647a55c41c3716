"""A handler in the style of a blog post: FastAPI, a DataFrame per batch, errors left to the framework."""

import os
import pickle
from pathlib import Path
from typing import Any

import pandas as pd
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel

app = FastAPI()
model = pickle.loads((Path(os.environ["MODEL_URI"]) / "model.pkl").read_bytes())


class Request(BaseModel):
    requestId: str  # noqa: N815
    caller: str
    sessionUser: str  # noqa: N815
    userDefinedContext: dict[str, str] = {}  # noqa: N815
    calls: list[list[Any]]


@app.post("/")
def predict(request: Request) -> JSONResponse:
    return JSONResponse({"replies": model.predict(pd.DataFrame(request.calls)).tolist()})
