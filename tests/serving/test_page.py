"""The page at GET /: who gets it and what it contains; test_page_in_browser.py uses it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from sklearn.linear_model import LinearRegression
from starlette.testclient import TestClient

from tests import googlesql, models
from tests.assertions import assert_error

HTML = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (HTML["accept"], "text/html; charset=utf-8"),
        ("text/html", "text/html; charset=utf-8"),
        ("application/json;q=0.5, text/html", "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("application/json, text/html;q=0.5", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
        ("image/png", "application/json"),
    ],
)
def test_content_negotiation(
    app: Callable[..., TestClient], saved: Callable[[str], str], accept: str, content_type: str
) -> None:
    """A browser gets the page, and a program gets JSON."""
    response = app(saved("tree_regressor")).get("/", headers={"accept": accept})
    assert (response.status_code, response.headers["content-type"]) == (200, content_type)


def test_json(app: Callable[..., TestClient], saved: Callable[[str], str]) -> None:
    """The JSON has the model, its functions and the statistics of the instance."""
    client = app(saved("classifier"))
    client.post("/", json={"requestId": "r", "calls": [[1, 2, 3, 4], [None, 2, 3, 4]]})
    client.post("/", json={"requestId": "bad", "calls": [["x", 2, 3, 4]]})
    page = client.get("/").json()
    assert page["digest"] in client.get("/", headers=HTML).text
    assert [function["name"] for function in page["functions"]] == [
        "predict",
        "predict_row",
        "predict_proba",
        "model_info",
    ]
    counts = {key: page["instance"][key] for key in ("requests", "rows", "nullRows", "refused", "failed")}
    assert counts == {"requests": 2, "rows": 2, "nullRows": 1, "refused": 1, "failed": 0}
    (error,) = page["instance"]["lastErrors"]
    assert (error["requestId"], error["status"], error["function"]) == ("bad", 400, "predict")
    assert error["message"].startswith('Row 0, column a: "x" is not FLOAT64')


def test_registered_version(app: Callable[..., TestClient], saved: Callable[[str], str]) -> None:
    """The page and model_info show MODEL_VERSION; the page's title is the name in it."""
    client = app(saved("tree_regressor"), MODEL_VERSION="houses/3")
    page = client.get("/", headers=HTML).text
    assert "<h1>houses</h1>" in page
    assert "<dt>Version</dt><dd>houses/3</dd>" in page
    (info,) = client.post("/model_info", json={"calls": [[]]}).json()["replies"]
    assert info["version"] == client.get("/").json()["version"] == "houses/3"


def test_sql_name(app: Callable[..., TestClient], saved: Callable[[str], str]) -> None:
    """The page's queries and headings, and model_info, have the name that --name gave; the form calls the function."""
    client = app(saved("classifier"), SQL_NAME="irises")
    functions = {function["name"]: function for function in client.get("/").json()["functions"]}
    names = {
        "predict": "irises",
        "predict_row": "irises_row",
        "predict_proba": "irises_proba",
        "model_info": "irises_info",
    }
    assert {name: function["sql_name"] for name, function in functions.items()} == names
    assert all(f"ds.{names[name]}(" in function["sql"] for name, function in functions.items())
    page = client.get("/", headers=HTML).text
    assert "<h3>irises_proba <span" in page
    assert '<option value="predict_proba" data-takes="columns">irises_proba</option>' in page
    (info,) = client.post("/model_info", json={"calls": [[]]}).json()["replies"]
    assert info["sql_name"] == "irises"


def test_title_without_a_registry(app: Callable[..., TestClient], tmp_path: Path) -> None:
    """The title of a trained model is its target and data; of any other, its folder."""
    X = models.numbers()
    fitted = LinearRegression().fit(X, X.sum(axis=1))
    trained = models.save(tmp_path / "a", fitted, X, metadata={"data": "houses.csv", "target": "price"})
    assert "<h1>price of houses.csv</h1>" in app(str(trained)).get("/", headers=HTML).text
    assert "<h1>b</h1>" in app(str(models.save(tmp_path / "b", fitted, X))).get("/", headers=HTML).text


def test_last_errors(app: Callable[..., TestClient], saved: Callable[[str], str]) -> None:
    """The last ten errors are kept, the latest first."""
    client = app(saved("tree_regressor"))
    for number in range(15):
        client.post("/", json={"requestId": str(number), "calls": [[]]})
    instance = client.get("/").json()["instance"]
    assert instance["refused"] == 15
    assert [error["requestId"] for error in instance["lastErrors"]] == [str(number) for number in range(14, 4, -1)]


def test_content_security_policy(app: Callable[..., TestClient], saved: Callable[[str], str]) -> None:
    """The policy allows only the page's own script and style, with a nonce of one response."""
    client = app(saved("tree_regressor"))
    first, second = (client.get("/", headers=HTML) for _ in range(2))
    policy = first.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    (nonce,) = set(re.findall(r"'nonce-([\w-]+)'", policy))
    assert re.findall(r"<(?:script|style)[^>]*>", first.text) == [
        f'<{tag} nonce="{nonce}">' for tag in ("style", "script")
    ]
    assert nonce not in second.text
    assert not re.search(r"\s(?:on\w+|style)=|javascript:|https?:", first.text)


def test_page_without_model(app: Callable[..., TestClient], tmp_path: Path) -> None:
    """Without a model the page shows the status and the reason, escaped."""
    client = app(str(tmp_path / "<none>"))
    response = client.get("/", headers=HTML)
    assert response.status_code == 424
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "status 424" in response.text
    assert "&lt;none&gt;" in response.text
    assert "no such folder" in response.text
    assert "<script" not in response.text
    assert_error(client.get("/"), 424, "no such folder")


@pytest.mark.parametrize(
    "name",
    ["tree_regressor", "classifier", "categories", "times", "tensor", "two_outputs", "wide", "odd_names", "optionals"],
)
def test_sql_of_page(app: Callable[..., TestClient], saved: Callable[[str], str], name: str) -> None:
    """The page of any model offers its functions, in SQL that GoogleSQL parses."""
    client = app(saved(name))
    assert client.get("/", headers=HTML).status_code == 200
    functions = client.get("/").json()["functions"]
    assert googlesql.statements("\n".join(function["sql"] for function in functions)) == len(functions)
    assert all(f"ds.{function['name']}(" in function["sql"] for function in functions)
    assert ("predict" in [function["name"] for function in functions]) == (name != "wide")
