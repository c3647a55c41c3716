"""A handler in the style of BigFrames: a Python function per row; every failure is a 400 with the traceback."""

import functools
import json
import os
import pickle
import traceback
from pathlib import Path

import functions_framework


@functools.cache
def model():
    return pickle.loads((Path(os.environ["MODEL_URI"]) / "model.pkl").read_bytes())


def udf(*row):
    return float(model().predict([list(row)])[0])


@functions_framework.http
def predict(request):
    try:
        return json.dumps({"replies": [udf(*call) for call in request.get_json()["calls"]]})
    except Exception:
        return {"errorMessage": traceback.format_exc()}, 400
