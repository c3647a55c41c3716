"""Parity reads a file in the types of the model's signature, and as training read its own file."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from sklearn.tree import DecisionTreeRegressor

from bqlocal import BigQuery, SourceError
from local.rows import load_rows
from model_loader import load
from serving.model import Model
from tests import models

COLUMNS = [("double", "Sepal.Length"), ("string", "code"), ("boolean", "lift"), ("datetime", "sold"), ("double", "x")]
LEARNED = {
    "delimiter": ";",
    "null_markers": ["n/k"],
    "columns": {
        "Sepal.Length": {"kind": "number", "decimal": ","},
        "sold": {"kind": "date", "day_first": {"/": True}},
        "x": {"kind": "number", "lenient": True},
    },
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """The same model with the metadata that training leaves, and without."""
    X = pd.DataFrame({"a": np.arange(5.0)})
    inputs = Schema([ColSpec(kind, name, required=False) for kind, name in COLUMNS])
    signature = ModelSignature(inputs, Schema([ColSpec("double")]))
    found = {}
    for name, metadata in {"trained": {"reading": LEARNED}, "other": {}, "odd": {"reading": [1]}}.items():
        folder = tmp_path_factory.mktemp(name) / "model"
        estimator = DecisionTreeRegressor().fit(np.zeros((5, len(COLUMNS))), np.arange(5.0))
        models.save(folder, estimator, X, outputs=False, signature=signature, input_example=None, metadata=metadata)
        found[name] = load(str(folder))
    return found


def rows(bigquery: BigQuery, folder: Path, model: Model, content: str) -> list[list[Any]]:
    """Return the rows of a file with this content, as texts."""
    (folder / "rows.csv").write_text(content)
    names, found = load_rows(bigquery, folder / "rows.csv", model)
    assert names == ["Sepal_Length", "code", "lift", "sold", "x"]
    return [[value if value is None else str(value) for value in row] for row in found]


def test_as_training_read(saved: dict[str, Model], bigquery: BigQuery, tmp_path: Path) -> None:
    """Notations, the order of dates, units and NULL markers are those of training, though this file is ambiguous."""
    content = "Sepal.Length;code;lift;sold;x\n1,234;01;TRUE;02/01/2024;$ 5\ninf;NA;;n/k;many\nn/a;7;false;;$ 7\n"
    assert rows(bigquery, tmp_path, saved["trained"], content) == [
        ["1.234", "01", "True", "2024-01-02 00:00:00+00:00", "5.0"],
        [None, "NA", None, None, None],
        [None, "7", "False", None, "7.0"],
    ]


@pytest.mark.parametrize("name", ["other", "odd"])
def test_as_the_signature_says(name: str, saved: dict[str, Model], bigquery: BigQuery, tmp_path: Path) -> None:
    """For other models, the types of the signature decide."""
    content = "x,sold,lift,code,Sepal.Length\n1,20141013T000000,TRUE,01,NA\n2,,,NA,2.5\n"
    assert rows(bigquery, tmp_path, saved[name], content) == [
        [None, "01", "True", "2014-10-13 00:00:00+00:00", "1.0"],
        ["2.5", "NA", None, None, "2.0"],
    ]


def test_values_that_do_not_fit(saved: dict[str, Model], bigquery: BigQuery, tmp_path: Path) -> None:
    """A value that is no number is named with its row."""
    content = "x,sold,lift,code,Sepal.Length\n1,,,a,many\n"
    with pytest.raises(SourceError, match=r"'Sepal.Length' should hold numbers, but holds 'many' \(in row 1\)"):
        rows(bigquery, tmp_path, saved["other"], content)
