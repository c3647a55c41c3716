"""The page at GET / in a real browser: it sends what is typed, shows what comes back, and runs nothing else."""

import contextlib
import functools
import json
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from functions_framework.aio import create_asgi_app
from playwright.sync_api import Browser, Page, sync_playwright
from sklearn.tree import DecisionTreeClassifier

from tests import models
from tests.conftest import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 300_000  # milliseconds, for a busy machine
ATTACK = """</script></textarea><img src=x onerror="document.body.dataset.owned = 1">'"`&\\"""


def hostile(folder: Path) -> Path:
    """Save a classifier with HTML and script in its columns, classes and metadata."""
    X = models.numbers().set_axis([ATTACK, f'"><script>{ATTACK}', "{{ 7 * 7 }}", "select"], axis=1)
    metadata = {"scores": {ATTACK: ATTACK, "R2": 0.75}, ATTACK: [ATTACK]}
    labels = np.where(X["select"] > 0, ATTACK, "none")
    return models.save(folder, DecisionTreeClassifier(random_state=1).fit(X, labels), X, metadata=metadata)


@contextlib.contextmanager
def serve(app: Any) -> Iterator[str]:
    """Serve an app in a thread, which takes seconds less than starting a process, and return its URL."""
    listener = socket.create_server(("127.0.0.1", 0))  # from here on connections wait until they are accepted
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Return a function from a function that saves a model to the URL where that model is served."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def url(save: Callable[[Path], Path]) -> str:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("MODEL_URI", str(save(tmp_path_factory.mktemp("served") / "model")))
                patch.setenv("LOG_LEVEL", "CRITICAL")
                return stack.enter_context(serve(create_asgi_app("predict", str(ROOT / "main.py"))))

        yield url


@pytest.fixture
def open_page(browser: Browser, served: Callable[..., str]) -> Iterator[Callable[..., Page]]:
    """Open the page of a model; afterwards check for errors, console messages and requests to other servers."""
    pages: list[Page] = []
    problems: list[str] = []

    def open_page(save: Callable[[Path], Path], **options: Any) -> Page:
        url = served(save)
        page = browser.new_page(**options)
        pages.append(page)
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda it: None if it.url.startswith((url, "data:")) else problems.append(it.url))
        page.on("console", lambda it: None if "status of 400" in it.text else problems.append(it.text))
        page.goto(url)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert problems == []


def send(page: Page, **values: str) -> str:
    """Fill in fields of the form, send it, and return the answer that the page shows."""
    for name, value in values.items():
        field = page.locator(f"[data-name={name}]")
        field.select_option(value) if field.evaluate("it => it.tagName") == "SELECT" else field.fill(value)
    with page.expect_response(lambda it: it.request.method == "POST"):
        page.get_by_role("button", name="Send").click()
    page.locator("#send[aria-busy=false]").wait_for()
    return page.locator("#answer").inner_text()


def calls(page: Page) -> str:
    return page.locator("#request").inner_text().partition('"calls": ')[2]


def test_example(open_page: Callable[..., Page], served: Callable[..., str]) -> None:
    """The form contains the model's example; sending it shows the prediction."""
    page = open_page(models.tree_regressor)
    example = [float(page.locator(f"[data-name={name}]").input_value()) for name in "abcd"]
    expected = httpx.post(served(models.tree_regressor), json={"calls": [example]}).json()["replies"][0]
    assert float(send(page)) == expected
    high = send(page, **dict.fromkeys("abcd", "5"))
    low = send(page, **dict.fromkeys("abcd", "-5"))
    assert float(high) > float(low)  # the model predicts about the columns' sum
    assert json.loads(page.locator("#reply").inner_text()) == {"replies": [float(low)]}
    assert re.fullmatch(r"Status 200, \d+\.\d ms round trip\.", page.locator("#took").inner_text())


def test_bad_value(open_page: Callable[..., Page]) -> None:
    """A bad value shows the function's message, which then is among the last errors."""
    page = open_page(models.tree_regressor)
    message = send(page, b="many")
    assert message.startswith('Row 0, column b: "many" is not FLOAT64')
    assert "Status 400" in page.locator("#took").inner_text()
    page.locator("#errors").get_by_text(message).first.wait_for()  # without loading the page again


def test_empty_field(open_page: Callable[..., Page]) -> None:
    """An empty field is sent as NULL, and the page says which required column it was."""
    page = open_page(models.tree_regressor)
    assert send(page, a="", c="") == "NULL"
    assert calls(page).startswith("[[null, ")
    assert page.locator("#took").inner_text().startswith("NULL in a required column: a, c. Status 200")


def test_empty_text(open_page: Callable[..., Page]) -> None:
    """A text is empty or NULL, as its box says; what is typed is neither."""
    page = open_page(models.optionals)
    send(page, s="x")
    assert '"x"' in calls(page)
    send(page, s="")
    assert '"x"' not in calls(page)
    assert '""' not in calls(page)
    page.get_by_label("NULL", exact=True).uncheck()
    send(page)
    assert ', "", ' in calls(page)


def test_connection_error(open_page: Callable[..., Page]) -> None:
    """A function that can't be reached is said in words."""
    page = open_page(models.tree_regressor)
    page.evaluate("() => { window.fetch = () => Promise.reject(new TypeError('Failed to fetch')); }")
    page.get_by_role("button", name="Send").click()
    page.locator("#result").wait_for()
    assert page.locator("#answer").inner_text().startswith("No answer: the function has stopped")


def test_values_sent_as_typed(open_page: Callable[..., Page]) -> None:
    """Numbers and strings are sent as they were typed, every digit of them."""
    page = open_page(models.optionals)
    answer = send(page, n="9007199254740993", b="true", x="0.1000000000000000055", s=' "x" ', t="2020-02-29T12:00:00Z")
    assert calls(page) == '[["9007199254740993", true, 0.1000000000000000055, " \\"x\\" ", "2020-02-29T12:00:00Z"]]}'
    assert answer.endswith(': 9007199254740993 True 0.1  "x"  2020-02-29 12:00:00')
    send(page, n="-12", b="", x="-Infinity", s="")
    assert calls(page) == '[[-12, null, "-Infinity", null, "2020-02-29T12:00:00Z"]]}'
    send(page, x="NaN")
    assert calls(page) == '[[-12, null, "NaN", null, "2020-02-29T12:00:00Z"]]}'
    assert 'column n: "1.5" is not INT64' in send(page, n="1.5")


def test_json_fields(open_page: Callable[..., Page]) -> None:
    """A JSON field is sent as JSON; text that isn't JSON is not sent."""
    page = open_page(models.structured)
    assert json.loads(send(page, points="[1, 2.5]", who='{"name": "a", "age": 1}', n="7")) == {
        "sum": 3.5,
        "name": "a",
        "n": 7,
    }
    page.locator("[data-name=points]").fill("[1,")
    page.get_by_role("button", name="Send").click()
    assert "This is not JSON" in page.locator("[data-name=points]").evaluate("it => it.validationMessage")
    assert json.loads(send(page, points="[4]"))["sum"] == 4
    assert page.locator("#answer").evaluate("it => parseFloat(getComputedStyle(it).fontSize)") < 16


def test_every_function(open_page: Callable[..., Page]) -> None:
    """Every function can be called from the page."""
    page = open_page(hostile)
    answers = {}
    for name in page.locator("#function option").all_inner_texts():
        page.locator("#function").select_option(name)
        answers[name] = send(page)
    assert answers["predict"] == answers["predict_row"]
    assert sum(json.loads(answers["predict_proba"]).values()) == 1
    assert json.loads(answers["model_info"])["digest"] in page.locator("dl").first.inner_text()


def test_keyboard(open_page: Callable[..., Page]) -> None:
    """The form works with the keyboard alone."""
    page = open_page(models.tree_regressor)
    page.keyboard.press("Tab")
    page.keyboard.type("1.25")  # Tab selects what is in the field, so this replaces it
    page.keyboard.press("Enter")
    page.locator("#result").wait_for()
    assert calls(page).startswith("[[1.25, ")
    for _ in range(5):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#send[aria-busy=false]").wait_for()
    assert page.evaluate("document.activeElement.id") == "send"


@pytest.mark.parametrize("policy", [True, False])
def test_script_injection(open_page: Callable[..., Page], policy: bool) -> None:
    """Names and values that contain HTML stay text, with and without the policy."""
    page = open_page(hostile, bypass_csp=not policy, viewport={"width": 360, "height": 800})
    assert "is not FLOAT64" in send(page, select=ATTACK)
    page.reload()
    assert page.locator("label").first.inner_text().startswith(ATTACK)
    assert ATTACK in page.locator("#sql-1").inner_text().replace("\\`", "`").replace("\\\\", "\\").replace('\\"', '"')
    assert "is not FLOAT64" in page.locator("#errors").inner_text()
    page.locator("summary").click()
    assert "onerror" in page.locator("details").inner_text()
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 1
    assert page.evaluate("document.body.dataset.owned ?? null") is None
    assert page.evaluate("document.documentElement.scrollWidth") == 360  # no horizontal scrolling


def test_color_scheme(open_page: Callable[..., Page]) -> None:
    """The page follows the reader's color scheme."""
    for scheme, light in (("light", True), ("dark", False)):
        page = open_page(models.tree_regressor, color_scheme=scheme)
        colors = page.evaluate("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
        background, text = (sum(map(int, re.findall(r"\d+", color))) for color in colors)
        assert (background > text) == light


def test_copy_button(open_page: Callable[..., Page]) -> None:
    """A copy button copies the SQL to the clipboard."""
    page = open_page(models.tree_regressor, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the SQL of predict", exact=True).click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#sql-1").inner_text()
