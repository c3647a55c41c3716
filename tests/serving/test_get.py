"""What GET answers besides the page: probes, the contract as OpenAPI, and 404 for everything else."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import schemathesis
from hypothesis import given, settings
from mlflow.types import Schema, TensorSpec
from starlette.testclient import TestClient

from serving.openapi import REPLIES, SCALARS
from serving.tensor_types import TENSOR_TYPES
from serving.types import BY_SQL_TYPE, TYPES
from tests import models
from tests.assertions import assert_error

HTML = {"accept": "text/html"}
ROW = [0.5, -0.25, 1, 2]


@pytest.fixture
def client(app: Callable[..., TestClient], saved: Callable[[str], str]) -> TestClient:
    return app(saved("tree_regressor"))


def test_get(client: TestClient) -> None:
    """GET describes the model that answers POST, at the root and at the path of a function."""
    info = client.post("/model_info", json={"calls": [[]]}).json()["replies"][0]
    for path in ("/", "/predict", "/v1/predict/"):
        assert client.get(path).json()["schema"] == info["schema"]


@pytest.mark.parametrize(
    "path", ["/metrics", "/healthz", "/docs", "/nothing", "/predict.v1", "/predict/x", "/live/", "/%2e%2e/main", "/a b"]
)
@pytest.mark.parametrize("headers", [{}, HTML], ids=["program", "browser"])
def test_unknown_path(client: TestClient, path: str, headers: dict[str, str]) -> None:
    """GET of any other path is a 404, and needs no model."""
    assert_error(client.get(path, headers=headers), 404, "There is nothing at this path")


def test_probes(app: Callable[..., TestClient], saved: Callable[[str], str]) -> None:
    """/live says that the process answers; /ready loads the model without waiting, and says when it is loaded."""
    with app(saved("tree_regressor")) as client:
        assert client.get("/live").json() == {"status": "ok"}
        assert_error(client.get("/ready"), 503, "still loading")
        response = wait_until_loaded(client)
        assert (response.status_code, response.json()) == (200, {"status": "ok"})
        assert client.post("/", json={"calls": [ROW]}).status_code == 200


def wait_until_loaded(client: TestClient) -> Any:
    """Return the first answer of /ready after the model was loaded, or failed to."""
    deadline = time.monotonic() + 300
    while "still loading" in (response := client.get("/ready")).text and time.monotonic() < deadline:
        time.sleep(0.02)
    return response


def test_not_ready(app: Callable[..., TestClient], tmp_path: Path) -> None:
    """/ready gives the reason why the model can't be loaded, again and again, while the process stays alive."""
    with app(str(tmp_path / "none")) as client:
        for _ in range(2):
            assert_error(client.get("/ready"), 503, "still loading")
            assert_error(wait_until_loaded(client), 424, "no such folder")
        assert client.get("/live").status_code == 200


@pytest.mark.parametrize("path", ["/", "/live", "/ready", "/openapi.json", "/nothing"])
def test_nosniff(client: TestClient, path: str) -> None:
    """No answer in JSON may be taken for anything else."""
    for response in (client.get(path), client.post(path, json={"calls": [ROW]}), client.put(path)):
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "name",
    [
        "tree_regressor",
        "classifier",
        "categories",
        "times",
        "structured",
        "tensor",
        "two_outputs",
        "optionals",
        "odd_names",
    ],
)
def test_openapi(app: Callable[..., TestClient], saved: Callable[[str], str], name: str) -> None:
    """Every model has a valid document with its functions, whose reply the document describes."""
    client = app(saved(name))
    document: dict[str, Any] = client.get("/openapi.json").json()
    schemathesis.openapi.from_dict(document).validate()
    posts = {path for path, operations in document["paths"].items() if "post" in operations}
    assert posts == {f"/{each['name']}" for each in client.get("/").json()["functions"]}
    assert {"/", "/live", "/ready", "/openapi.json"} == document["paths"].keys() - posts


def test_openapi_of_proba(app: Callable[..., TestClient], saved: Callable[[str], str]) -> None:
    """The document has the classes, the schema and the policies that the function accepts in a context."""
    client = app(saved("classifier"))
    document = client.get("/openapi.json").json()
    request = document["paths"]["/predict_proba"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    keys = request["properties"]["userDefinedContext"]["properties"]
    assert keys["schema"]["const"] == client.get("/").json()["schema"]
    assert keys["on_null"]["enum"] == ["null", "pass", "error"]
    for label in keys["class"]["enum"]:
        context = {"function": "predict_proba", "class": label}
        response = client.post("/", json={"calls": [ROW], "userDefinedContext": context})
        assert type(response.json()["replies"][0]) is float


def test_openapi_has_every_type() -> None:
    """The document can describe each type that a column or a reply may have."""
    assert SCALARS.keys() | {"array", "object", "map", "tensor"} == TYPES.keys() | TENSOR_TYPES.keys()
    assert REPLIES.keys() == BY_SQL_TYPE.keys()


def test_page_links_to_openapi(client: TestClient) -> None:
    """The page leads to the document."""
    assert 'href="/openapi.json"' in client.get("/", headers=HTML).text


@pytest.mark.parametrize("dtype", sorted(TENSOR_TYPES.keys() - {"tensor"}))
def test_openapi_of_tensors(app: Callable[..., TestClient], tmp_path: Path, dtype: str) -> None:
    """Requests that match the document of a model with several tensors of a dtype are answered."""
    inputs = Schema([TensorSpec(np.dtype(dtype), (-1,), "a"), TensorSpec(np.dtype(dtype), (-1, 2, 3), "b")])
    outputs = Schema([TensorSpec(np.dtype("float64"), (-1,))])
    folder = models.formula(tmp_path / "model", "np.zeros(len(d['a']))", inputs, outputs)
    client = app(str(folder), ROWS_DEPEND="allow")
    document = schemathesis.openapi.from_dict(client.get("/openapi.json").json())

    @settings(max_examples=15, database=None)
    @given(document["/predict"]["POST"].as_strategy())
    def check(case: schemathesis.Case) -> None:
        context = {**(case.body.get("userDefinedContext") or {}), "on_null": "null", "on_error": "fail"}
        response = client.post("/predict", json={**case.body, "userDefinedContext": context})
        assert response.status_code == 200, response.text
        assert set(response.json()["replies"]) <= {0.0, None}

    check()


@pytest.mark.parametrize(
    "metadata", ["{2024: x, 2024-01-01: y, null: z}", '{a: "\\ud800"}', "[1]", f"{'[' * 300}{']' * 300}", "{a: .nan}"]
)
def test_odd_metadata(app: Callable[..., TestClient], tmp_path: Path, metadata: str) -> None:
    """Whatever YAML a model has as its metadata, every GET answers."""
    folder = models.tree_regressor(tmp_path / "model")
    with (folder / "MLmodel").open("a") as file:
        file.write(f"\nmetadata: {metadata}\n")
    client = app(str(folder))
    for path, headers in (("/", {}), ("/", HTML), ("/openapi.json", {})):
        assert client.get(path, headers=headers).status_code == 200
    client.get("/").json()
