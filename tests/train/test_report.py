"""report.html is one file that a browser shows whole, without a network; its SQL runs on the held-out rows."""

import dataclasses
import html
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, sync_playwright
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from bqlocal import BigQuery
from model_loader import load
from tests.endpoint import Endpoint
from tests.train.conftest import Run
from train.diagnosis import Diagnosis, HeldOut
from train.figures import figures
from train.report import Files, report
from train.search import SearchSettings

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FIGURES = {
    "diabetes": {"Predicted against actual", "Residuals", "Permutation importance"},
    "breast_cancer": {"Precision and recall", "Calibration", "Permutation importance"},
    "houses": {"Predicted against actual", "Residuals", "Permutation importance"},
}
# The other searches take longest, and houses has the widest table.
RUNS = [name if name == "houses" else pytest.param(name, marks=pytest.mark.slow) for name in FIGURES]
# These appear where a run has several generations, or enough held-out rows with a date.
SOMETIMES = {"Score by generation", "Error over time"}
SECTIONS = {
    "diabetes": {"Errors by segment", "The worst rows", "Pipelines tried"},
    "breast_cancer": {"Thresholds", "Confusions", "The worst rows", "Pipelines tried"},
    "houses": {"The worst rows", "Pipelines tried"},
}
# What only a browser knows: figures without a size, whether the page is wider than the window, and its colors.
PROBE = """() => ({
    hidden: [...document.querySelectorAll("figure svg")].filter(svg => svg.getBoundingClientRect().height < 100).length,
    wide: document.documentElement.scrollWidth > innerWidth,
    paper: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.querySelector("figure svg text")).fill,
})"""
LIGHT = {"paper": "rgb(255, 255, 255)", "ink": "rgb(28, 39, 51)"}
SCRIPT = "<script>'\"&"
IMPORTANCE = pd.DataFrame({"column": [SCRIPT, "b"], "mean": [1.0, 0.5], "spread": [0.1, 0.1]})
SETTINGS = SearchSettings(1, None, 2, 0, 1, "neg_mean_absolute_error", "plain", None)
DARK = {"paper": "rgb(20, 25, 31)", "ink": "rgb(228, 233, 238)"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, started once."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=300_000)
        yield browser
        browser.close()


@pytest.mark.check
@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize(("scheme", "width", "colors"), [("light", 1200, LIGHT), ("dark", 400, DARK)])
def test_browser_shows_the_report(
    name: str,
    scheme: Literal["light", "dark"],
    width: int,
    colors: dict[str, str],
    browser: Browser,
    request: pytest.FixtureRequest,
) -> None:
    """A browser shows every figure, fits the page into the window, reports no error and requests nothing else."""
    url = f"file://{request.getfixturevalue(name).folder / 'report.html'}"
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.set_default_timeout(300_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda it: None if it.url.startswith((url, "data:")) else wrong.append(it.url))
    page.on("console", lambda it: wrong.append(it.text) if it.type == "error" else None)
    page.goto(url)
    assert page.evaluate(PROBE) == {"hidden": 0, "wide": False, **colors}
    page.close()
    assert wrong == []


@pytest.mark.check
@pytest.mark.parametrize("name", RUNS)
def test_report_is_self_contained(name: str, request: pytest.FixtureRequest) -> None:
    """The file has all figures, tables and SQL, and refers to nothing outside but scikit-learn's documentation."""
    run: Run = request.getfixturevalue(name)
    page = (run.folder / "report.html").read_text()
    shown = set(re.findall(r"<figcaption>(.*?)</figcaption>", page))
    assert FIGURES[name] <= shown <= FIGURES[name] | SOMETIMES
    assert set(re.findall(r"<h2>(.*?)</h2>", page)) >= SECTIONS[name]
    assert not re.findall(r"""(?:src|href)=["'](?!data:|https://scikit-learn\.org|#)[^"']*""", page)
    assert not re.findall(r"@import|url\((?!data:|#)", page)
    for part in ("baseline", "linear", "Pipeline", "CREATE OR REPLACE FUNCTION", "ds.predict("):
        assert part in page


@pytest.mark.check
def test_sql_names_are_valid_in_bigquery(houses: Run) -> None:
    """Columns whose names are no SQL identifiers are renamed as arguments and quoted in the query."""
    page = (houses.folder / "report.html").read_text()
    assert "FLOAT64,  -- Größe in m²" in page
    assert "ds.predict(t.`Größe in m²`, t.`select`, CAST(t.built AS TIMESTAMP), t.city, t.garden, t.lift)" in page


@pytest.mark.check
@pytest.mark.parametrize("name", RUNS)
def test_sql_runs_on_the_heldout_rows(name: str, endpoint: Endpoint, request: pytest.FixtureRequest) -> None:
    """The statements and the query of the page run as they are, once the endpoint is that of a function."""
    folder = request.getfixturevalue(name).folder
    page = (folder / "report.html").read_text().partition("<h2>Call it from SQL")[2]
    statements, query = map(html.unescape, re.findall(r"<pre>(.*?)</pre>", page, re.S))
    if name == "breast_cancer":
        endpoint.answer = lambda body: (200, json.dumps({"replies": ["benign"] * len(body["calls"])}))
    with BigQuery() as bigquery:
        bigquery.load("ds.heldout", folder / "heldout.parquet")
        bigquery.sql(statements.replace("https://predict-abc-uc.a.run.app", endpoint.url))
        rows = bigquery.sql(query).table
    assert rows.column_names == ["actual", "predicted"]
    assert rows.num_rows == len(endpoint.calls) > 80


def test_text_of_the_data_is_escaped(saved: Callable[[str], str], tmp_path: Path) -> None:
    """Titles, names and values that look like HTML reach the page as text."""
    script = SCRIPT
    model = Path(saved("tree_regressor"))
    names = [column.name for column in load(str(model)).signature.columns]
    pd.DataFrame({name: [1.0] for name in names}).to_parquet(tmp_path / "heldout.parquet")
    entry = {"row": 0, "actual": script, "predicted": script, "columns": {script: script}}
    segment = {"column": script, "values": script, "rows": 10, "loss": 0.5, "bias": None}
    found = Diagnosis(pd.DataFrame(), [segment], [], [entry], [], [{"rows": 1, "share": 0.5, **entry}])
    column = {"name": script, "type": script, "nulls": 0, "distinct": 1, "left_out": True}
    check = {"task_reason": script, "notes": [script], "columns": [column], "findings": [{"text": script}]}
    rows = HeldOut(
        pd.DataFrame({script: [1.0, 2.0]}),
        pd.Series([1.0, 2.0], name=script),
        "regression",
        np.array([1.0, 3.0]),
        None,
        [],
    )
    page = report(
        title=script, lead=script, results={"model": {script: 1.0}, "data_check": check}, notes=[script],
        figures=figures(rows, dataclasses.replace(found, importance=IMPORTANCE), [], SETTINGS), diagnosis=found,
        loss_name=script, pipeline=make_pipeline(LinearRegression()),
        files=Files(model, script, tmp_path / "heldout.parquet"), target=script, details={"task": script, script: script},
    )  # fmt: skip
    diagram = page[page.index('<div class="scroll diagram">') : page.index("<h2>Call it from SQL")]
    assert "<script>" not in page.replace(diagram, "")
    assert page.count("&lt;script&gt;&#39;&#34;&amp;") >= 20
