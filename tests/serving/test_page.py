"""The page at GET /: who gets it, what it says, and that its SQL is GoogleSQL; test_page_in_browser.py uses it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests import googlesql
from tests.assertions import assert_error

HTML = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.parametrize(
    ("accept", "kind"),
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
def test_a_browser_gets_the_page_and_a_program_json(
    app: Callable[..., TestClient], saved: Callable[[str], str], accept: str, kind: str
) -> None:
    response = app(saved("tree_regressor")).get("/", headers={"accept": accept})
    assert (response.status_code, response.headers["content-type"]) == (200, kind)


def test_json_has_what_the_page_shows(app: Callable[..., TestClient], saved: Callable[[str], str]) -> None:
    client = app(saved("classifier"))
    client.post("/", json={"requestId": "r", "calls": [[1, 2, 3, 4], [None, 2, 3, 4]]})
    client.post("/", json={"requestId": "bad", "calls": [["x", 2, 3, 4]]})
    shown = client.get("/").json()
    assert shown["digest"] in client.get("/", headers=HTML).text
    assert [it["name"] for it in shown["functions"]] == ["predict", "predict_row", "predict_proba", "model_info"]
    counted = {key: shown["instance"][key] for key in ("requests", "rows", "nullRows", "refused", "failed")}
    assert counted == {"requests": 2, "rows": 2, "nullRows": 1, "refused": 1, "failed": 0}
    (error,) = shown["instance"]["lastErrors"]
    assert (error["requestId"], error["status"], error["function"]) == ("bad", 400, "predict")
    assert error["message"].startswith('Row 0, column a: "x" is not FLOAT64')


def test_only_the_last_errors_are_kept(app: Callable[..., TestClient], saved: Callable[[str], str]) -> None:
    client = app(saved("tree_regressor"))
    for number in range(15):
        client.post("/", json={"requestId": str(number), "calls": [[]]})
    instance = client.get("/").json()["instance"]
    assert instance["refused"] == 15
    assert [error["requestId"] for error in instance["lastErrors"]] == [str(number) for number in range(14, 4, -1)]


def test_the_policy_allows_the_page_its_own_script_alone(
    app: Callable[..., TestClient], saved: Callable[[str], str]
) -> None:
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


def test_a_model_that_cannot_be_had_has_a_page_that_says_why(app: Callable[..., TestClient], tmp_path: Path) -> None:
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
def test_every_kind_of_model_has_a_page_with_sql_that_googlesql_reads(
    app: Callable[..., TestClient], saved: Callable[[str], str], name: str
) -> None:
    client = app(saved(name))
    assert client.get("/", headers=HTML).status_code == 200
    offers = client.get("/").json()["functions"]
    assert googlesql.statements("\n".join(offer["sql"] for offer in offers)) == len(offers)
    assert all(f"ds.{offer['name']}(" in offer["sql"] for offer in offers)
    assert ("predict" in [offer["name"] for offer in offers]) == (name != "wide")
