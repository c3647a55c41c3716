"""The client of mlflow deployments, as far as it needs no Google Cloud; tests/deploy/test_plugin.py has the rest."""

import datetime
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from deploy.record import Entry, Record
from deploy.service import ServiceModel
from mlflow_bigquery import BigQueryDeploymentClient, cloud, predictions, run_local
from mlflow_bigquery.cloud import Deployment, Place, Service, deployment_name, grouped, model_uri
from sql.settings import SqlSettings


@pytest.mark.parametrize(
    "target", ["bigquery", "bigquery:/p", "bigquery:/p/d-s", "bigquery://p/ds", "bigquery:/p/ds/x"]
)
def test_target(target: str) -> None:
    """A target without a project and a dataset is refused."""
    with pytest.raises(MlflowException, match="expected bigquery:/PROJECT/DATASET, such as bigquery:/my-project/ds"):
        BigQueryDeploymentClient(target)


def test_target_of_old_organization() -> None:
    """A project may have the domain of its organization."""
    assert Place.parse("bigquery:/example.com:my-project/ds") == Place("example.com:my-project", "ds")


@pytest.mark.parametrize("function", ["predict", "predict_row", "predict_proba", "model_info", "predict_thousands"])
@pytest.mark.parametrize("name", ["houses", "my_row", ""])
def test_deployment_name(function: str, name: str) -> None:
    """The name of a deployment follows from what any of its SQL functions is called and does."""
    assert deployment_name(SqlSettings(name).sql_name(function), function) == (name or "predict")


def routine(name: str, **context: str) -> dict[str, Any]:
    """Return a remote function as BigQuery's REST API describes it."""
    remote = {"endpoint": "https://f", "userDefinedContext": context}
    return {"routineReference": {"routineId": name}, "remoteFunctionOptions": remote}


def test_deployments_of_a_dataset() -> None:
    """Routines are grouped by deployment; those around a remote function, and those of others, are left out."""
    others = [{"routineReference": {"routineId": name}} for name in ("flats", "my_function")]
    found = grouped(
        [
            routine("houses", function="predict"),
            routine("houses_info", function="model_info"),
            routine("flats_json", function="predict", on_error="json"),
            routine("flats_row_json", function="predict_row", on_error="json"),
            routine("their_remote_function", mode="x"),
            *others,
        ]
    )
    assert {name: dict(it.functions) for name, it in found.items()} == {
        "houses": {"predict": "houses", "model_info": "houses_info"},
        "flats": {"predict": "flats", "predict_row": "flats_row"},
    }


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"MODEL_URI": "gs://b/m"}, "gs://b/m"),
        ({"MODEL_URI": "gs://b/m", "MODEL_VERSION": "houses/3"}, "models:/houses/3"),
        ({"MODEL_URI": "gs://b/m", "MODEL_VERSION": "runs:/ID/model"}, "runs:/ID/model"),
        ({"MODEL_URI": "models:/houses@champion"}, "models:/houses@champion"),
    ],
)
def test_model_of_service(variables: dict[str, str], expected: str) -> None:
    """An update without a model deploys the same one, with its name in the registry."""
    service = Service("houses", "us-central1", variables)
    assert model_uri(Place("p", "ds"), Deployment("houses", "https://f", "", {}), service) == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("predict", "gs://b/m"), ("houses", "models:/houses/3"), ("flats", "models:/flats@best")]
)
def test_model_of_many(name: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record tells the model of a deployment whose function serves several."""
    models = (
        ServiceModel("", "gs://b/m", "a" * 64, default=True),
        ServiceModel("houses", "gs://b/houses", version="houses/3"),
        ServiceModel("flats", "models:/flats@best", follow=60),
    )
    record = str(Record((Entry("function", "prices"),), models))
    asked: list[list[str]] = []
    monkeypatch.setattr(cloud, "_printed", lambda command: asked.append(command) or record)
    service = Service("prices", "us-central1", {"MODELS": "models.yaml", "DEPLOY_RECORD": "gs://b/deployments"})
    assert model_uri(Place("p", "ds"), Deployment(name, "https://f", "", {}), service) == expected
    assert asked == [["gcloud", "storage", "cat", "gs://b/deployments/p/us-central1/prices.txt"]]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1 + 0.2, 0.30000000000000004),
        (np.float32(0.1), 0.10000000149011612),
        (np.int64(2**53 + 1), 2**53 + 1),
        (math.nan, None),
        (pd.NA, None),
        (pd.NaT, None),
        (-math.inf, "-Infinity"),
        (np.bool_(True), True),
        ('a "b" \\ \n é', 'a "b" \\ \n é'),
        (b"\x00\xff", "AP8="),
        (pd.Timestamp("2024-06-13T01:02:03Z"), "2024-06-13T01:02:03+00:00"),
        (datetime.date(2024, 6, 13), "2024-06-13"),
        ([1, 2], [1, 2]),
        (np.array([1.5, 2]), [1.5, 2]),
        ({"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_literal(value: Any, expected: Any) -> None:
    """A row is a string literal of JSON that loses nothing: the literal has JSON's escapes."""
    assert json.loads(json.loads(predictions._literal({"x": value}))) == {"x": expected}


def test_rows_are_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are sent in queries of limited size, in order, each row once."""
    monkeypatch.setattr(predictions, "MAX_BYTES", 10)
    rows = ["a" * 4, "b" * 6, "c" * 11, "d"]
    assert list(predictions._parts(rows)) == [rows[:2], rows[2:3], rows[3:]]
    assert list(predictions._parts([])) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"flavor": "sklearn"}, "The flavor is 'sklearn'; omit it"),
        ({"endpoint": "e"}, "The endpoint is 'e'; omit it"),
    ],
)
def test_refused(arguments: dict[str, str], sentence: str) -> None:
    """Flavors and endpoints, which other targets have, are refused."""
    with pytest.raises(MlflowException, match=sentence):
        BigQueryDeploymentClient("bigquery:/p/ds").create_deployment("houses", "gs://b/m", **arguments)


def test_run_local_refuses_keys() -> None:
    """run-local names the keys that it takes."""
    with pytest.raises(MlflowException, match="no key 'memory' for run-local; expected one of port, python, requ"):
        run_local("houses", "model", config={"memory": "2Gi"})
