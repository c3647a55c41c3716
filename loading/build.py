"""From the folder of a fetched and verified model to a Model that has made its first prediction."""

import contextlib
import importlib.metadata
import json
import platform
import sys
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from loading.failures import loading_errors
from loading.flavors import check_trusted, flavor_of
from loading.libraries import has_user_code
from loading.mlmodel import read_mlmodel, requirements
from loading.own_code import admit_code, own_code
from serving.model import Model, ModelInfo
from serving.signature import read_signature


def build(folder: Path, uri: str, digest: str) -> tuple[Model, Mapping[str, Any]]:
    """Return the model in a folder, and its flavors as the MLmodel file has them; raise ModelUnusable."""
    mlmodel = read_mlmodel(folder, uri)
    with loading_errors(folder, uri):
        signature = read_signature(mlmodel, uri)
        code = own_code(folder, mlmodel)
    if code:  # bytecode written beside it would change the digest
        sys.dont_write_bytecode = True
    flavors = mlmodel["flavors"]
    check_trusted(flavors, uri)
    admit_code(folder, mlmodel, code, uri)
    with loading_errors(folder, uri):
        flavor = flavor_of(flavors)
        parts = flavor.load(folder, flavors, uri)
        parts["user_code"] |= flavor.user_code or has_user_code(code)
    model = Model(
        info=ModelInfo(
            uri=uri,
            digest=digest,
            flavor=next((name for name in flavors if name != "python_function"), "python_function"),
            schema=signature.schema,
            signature={key: json.loads(text) for key, text in mlmodel["signature"].items() if text},
            saved=str(mlmodel.get("utc_time_created", "")),
            versions={
                "python": platform.python_version(),
                **_versions("mlflow-skinny", "numpy", "pandas", "scikit-learn"),
            },
            code=sorted(code),
            requirements=requirements(folder),
            metadata=mlmodel.get("metadata") or {},
            loaded=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
        signature=signature,
        example=_example(folder, mlmodel, [column.name for column in signature.columns]),
        **parts,
    )
    return model, flavors


def warm_up(model: Model) -> bool:
    """Predict the input example, so that no request waits for what a first prediction sets up.

    Return whether an array of the columns gives exactly the answers of a DataFrame, whose construction takes as long as
    a tree's prediction. A model that accesses columns by name fails on an array or gives other answers; it keeps
    getting DataFrames.
    """
    # scikit-learn warns about an array after it was fitted on a DataFrame; the answers are compared here.
    warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
    rows = model.example_rows
    if rows is None:
        return False
    try:
        answers = model.predictor(rows.model_input(), None)
        if not model.signature.all_double:
            return False
        same = np.array_equal(answers, model.predictor(rows.array(), None))
        if model.probabilities and same:
            same = np.array_equal(model.probabilities(rows.model_input()), model.probabilities(rows.array()))
    except Exception:  # requests will get the error
        return False
    return bool(same)


def _example(folder: Path, mlmodel: Mapping[str, Any], names: Sequence[str]) -> list[list[Any]]:
    """Return the rows of the input example as argument lists; none when MLflow saved it in another form."""
    info = mlmodel.get("saved_input_example_info") or {}
    with contextlib.suppress(KeyError, ValueError, TypeError, OSError):
        saved = json.loads((folder / info["artifact_path"]).read_text())
        if info["type"] == "ndarray":
            return [list(row) for row in saved]
        order = [[str(column) for column in saved["columns"]].index(name) for name in names]
        return [[row[position] for position in order] for row in saved["data"]]
    return []


def _versions(*packages: str) -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in packages}
