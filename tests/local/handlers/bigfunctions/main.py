"""A handler in the style of BigFunctions: Flask, all rows at once; every failure is a 400 with the error's text."""

import os
import pickle
from pathlib import Path

import functions_framework
from flask import jsonify


@functions_framework.http
def predict(request):
    try:
        model = pickle.loads((Path(os.environ["MODEL_URI"]) / "model.pkl").read_bytes())
        return jsonify({"replies": model.predict(request.get_json()["calls"]).tolist()})
    except Exception as error:
        return jsonify({"errorMessage": str(error)}), 400
