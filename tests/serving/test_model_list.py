"""Several models in one service: which one a request means, and lists that can't be served."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving import functions, model_list
from tests.assertions import assert_error

ROW = [0.5, 1.5, -0.5, 2.5]
Saved = Callable[[str], str]
App = Callable[..., TestClient]


@pytest.fixture
def client(app: App, saved: Saved, tmp_path: Path) -> TestClient:
    """Return the function with three models, of which the first is the default, and one that isn't there."""
    path = tmp_path / "models.yaml"
    path.write_text(
        f"houses: {{uri: {saved('tree_regressor')}, default: true}}\n"
        f"churn: {saved('classifier')}\n"
        f"both: {{uri: {saved('two_outputs')}, threads: 1}}\n"
        "broken: /nowhere\n"
    )
    return app("", MODELS=str(path))


def ask(client: TestClient, path: str = "/", calls: Any = (ROW,), **context: str) -> Any:
    response = client.post(path, json={"calls": list(calls), "userDefinedContext": context})
    assert response.status_code == 200, response.text
    return response.json()["replies"]


def test_model_of_a_request(client: TestClient) -> None:
    """The context or the path names the model; a request that names none gets the default."""
    (price,), (label,) = ask(client), ask(client, model="churn")
    assert isinstance(price, float)
    assert label in ("yes", "no")
    assert (
        ask(client, "/houses") == ask(client, "/houses/predict") == ask(client, "/predict", model="houses") == [price]
    )
    assert ask(client, "/churn") == ask(client, "/churn", model="churn") == [label]
    assert set(ask(client, "/churn/predict_proba")[0]) == {"yes", "no"}
    assert ask(client, "/both", function="predict_row", calls=[[dict(zip("abcd", ROW, strict=True))]])[0].keys() == {
        "low",
        "high",
    }
    assert ask(client, "/v1/churn/predict") == [label]


def test_wrong_model(client: TestClient) -> None:
    """A name that isn't there and two names are a 400 with what there is; a broken model's failure is its own."""
    body = {"calls": [ROW]}
    assert_error(client.post("/nothing", json=body), 400, 'no model "nothing"', "houses, churn, both, broken")
    named = {**body, "userDefinedContext": {"model": "churn"}}
    assert_error(client.post("/houses/predict", json=named), 400, '"churn", but the path names "houses"')
    assert_error(client.post("/broken", json=body), 424, "/nowhere")
    assert_error(client.post("/churn", json={**body, "userDefinedContext": {"schema": "0" * 16}}), 400, "schema")
    assert ask(client)


def test_list_is_shown(client: TestClient) -> None:
    """Probes, the page, its JSON and the OpenAPI document list the models; each has its own below its path."""
    assert client.get("/live").json() == {"status": "ok", "models": ["houses", "churn", "both", "broken"]}
    assert client.get("/ready").status_code == 503  # it loads the default
    ask(client)
    loaded = {"houses": True, "churn": False, "both": False, "broken": False}
    assert client.get("/ready").json() == {"status": "ok", "models": loaded}
    listed = client.get("/").json()
    assert listed["models"][0] == {"name": "houses", "default": True, "loaded": True}
    assert [model["name"] for model in listed["models"]] == list(loaded)
    page = client.get("/", headers={"accept": "text/html"})
    assert 'href="/churn"' in page.text
    assert "nonce-" in page.headers["content-security-policy"]
    assert client.get("/churn").json()["flavor"] == "sklearn"
    assert "predict_proba" in client.get("/churn", headers={"accept": "text/html"}).text
    assert "/churn/openapi.json" in client.get("/openapi.json").json()["paths"]
    assert "/churn/predict_proba" in client.get("/churn/openapi.json").json()["paths"]
    assert_error(client.get("/metrics"), 404, 'no model "metrics"')


def test_no_default(app: App, saved: Saved, tmp_path: Path) -> None:
    """Without a default, a request has to name a model, and the service is ready at once."""
    (tmp_path / "models.yaml").write_text(f"houses: {saved('tree_regressor')}\n")
    client = app("", MODELS=str(tmp_path / "models.yaml"))
    assert_error(client.post("/", json={"calls": [ROW]}), 400, "names no model", "name one of houses")
    assert client.get("/ready").status_code == 200


def test_model_without_list(app: App, saved: Saved) -> None:
    """A service of one model doesn't know the key."""
    response = app(saved("tree_regressor")).post("/", json={"calls": [ROW], "userDefinedContext": {"model": "houses"}})
    assert_error(response, 400, 'model = "houses", but this service has one model')


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("a: gs://b/a", {"MODEL_URI": "gs://b/c"}, "MODELS and MODEL_URI are both set"),
        ("a: gs://b/a", {"MODEL_THREADS": "2"}, "MODELS and MODEL_THREADS are both set"),
        ("a: [", {}, "which isn't YAML"),
        ("a: gs://b/a\na: gs://b/c", {}, "'a' is there twice"),
        ("a: {uri: gs://b/a, uri: gs://b/c}", {}, "'uri' is there twice"),
        ("", {}, "lists no model"),
        ("- gs://b/a", {}, "lists no model"),
        ("a/b: gs://b/a", {}, 'The model name "a/b" doesn\'t fit into a path'),
        ("no: gs://b/a", {}, "The model name false doesn't fit into a path"),
        ("predict: gs://b/a", {}, "'predict' is taken"),
        ("live: gs://b/a", {}, "'live' is taken"),
        ("a: 3", {}, 'The entry "a" is 3; expected a URI'),
        ("a: {digest: x}", {}, 'The entry "a" has no uri'),
        ("a: {uri: gs://b/a, digest: x}", {}, 'has digest "x"; expected 64 hex digits'),
        ("a: {uri: gs://b/a, thread: 1}", {}, 'has the key "thread"; expected uri, digest'),
        ("a: {uri: gs://b/a, threads: 0}", {}, "has threads 0; expected a whole number"),
        ("a: {uri: gs://b/a, plan: on}", {}, "has plan true; expected"),
        ("a: {uri: gs://b/a, rows_depend: yes}", {}, "has rows_depend true; expected refuse or allow"),
        ("a: {uri: x, default: true}\nb: {uri: y, default: true}", {}, "a, b all have default: true"),
        ("a: {uri: x, refresh_seconds: 9, version: a/1}", {}, "omit version"),
    ],
)
def test_unusable_list(text: str, environment: dict[str, str], expected: str, tmp_path: Path) -> None:
    """A list that can't be served ends the process with a sentence that says what is wrong with it."""
    path = tmp_path / "models.yaml"
    path.write_text(text)
    with pytest.raises(SystemExit) as ended:
        model_list.read(str(path), environment, functions.names())
    assert expected in str(ended.value)


def test_every_fault_at_once(tmp_path: Path) -> None:
    """All that is wrong is said at once, a sentence a line; a list that can't be read is one of these."""
    path = tmp_path / "models.yaml"
    path.write_text("a: {uri: x, threads: no}\n'b c': x\n")
    with pytest.raises(SystemExit) as ended:
        model_list.read(str(path), {"MODEL_URI": "x"}, ())
    assert len(str(ended.value).splitlines()) == 3
    with pytest.raises(SystemExit, match="can't be read: No such file"):
        model_list.read(str(tmp_path / "nothing"), {}, ())
