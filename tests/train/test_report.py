"""report.html is one file that a browser shows whole, without a network."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from tests.train.conftest import Run
from train.report import report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FIGURES = {
    "diabetes": ["Predicted against actual", "Residuals", "Permutation importance", "Score by generation"],
    "breast_cancer": ["Confusion matrix", "ROC curve", "Calibration", "Permutation importance", "Score by generation"],
    "houses": ["Predicted against actual", "Residuals", "Permutation importance", "Score by generation"],
}
# The other searches take longest, and houses has the widest table.
RUNS = [name if name == "houses" else pytest.param(name, marks=pytest.mark.slow) for name in FIGURES]
# What only a browser knows: images that it could not decode, and whether the page is wider than the window.
PROBE = """() => ({
    images: document.images.length,
    missing: [...document.images].filter(image => !image.naturalWidth).map(image => image.alt),
    wide: document.documentElement.scrollWidth > innerWidth,
})"""


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
def test_browser_shows_the_report(name: str, browser: Browser, request: pytest.FixtureRequest) -> None:
    """A browser decodes every figure, fits the page into the window, reports no error and requests nothing else."""
    url = f"file://{request.getfixturevalue(name).folder / 'report.html'}"
    page = browser.new_page()
    page.set_default_timeout(300_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda it: None if it.url.startswith((url, "data:")) else wrong.append(it.url))
    page.on("console", lambda it: wrong.append(it.text) if it.type == "error" else None)
    page.goto(url)
    assert page.evaluate(PROBE) == {"images": len(FIGURES[name]), "missing": [], "wide": False}
    page.close()
    assert wrong == []


@pytest.mark.check
@pytest.mark.parametrize("name", RUNS)
def test_report_is_self_contained(name: str, request: pytest.FixtureRequest) -> None:
    """The file holds all figures, scores and SQL, and refers to nothing outside but scikit-learn's documentation."""
    run: Run = request.getfixturevalue(name)
    page = (run.folder / "report.html").read_text()
    assert re.findall(r"<figcaption>(.*?)</figcaption>", page) == FIGURES[name]
    assert not re.findall(r"""(?:src|href)=["'](?!data:|https://scikit-learn\.org|#)[^"']*""", page)
    assert not re.findall(r"@import|url\((?!data:)", page)
    for part in ("baseline", "linear", "Pipeline", "CREATE OR REPLACE FUNCTION", "ds.predict("):
        assert part in page


@pytest.mark.check
def test_sql_names_are_valid_in_bigquery(houses: Run) -> None:
    """Columns whose names are no SQL identifiers are renamed as arguments and quoted in the query."""
    page = (houses.folder / "report.html").read_text()
    assert "FLOAT64,  -- Größe in m²" in page
    assert "ds.predict(t.`Größe in m²`, t.`select`, t.built, t.city, t.garden, t.lift)" in page


def test_text_of_the_data_is_escaped(saved: Callable[[str], str]) -> None:
    """Titles, names and values that look like HTML reach the page as text."""
    script = "<script>'\"&"
    page = report(
        title=script, lead=script, scores={"model": {script: 1.0}, script: {script: 2.0}}, notes=[script],
        figures={script: b"png"}, pipeline=make_pipeline(LinearRegression()), model=Path(saved("tree_regressor")),
        model_uri=script, target=script, details={script: script},
    )  # fmt: skip
    diagram = page[page.index('<div class="diagram">') : page.index("<h2>Call it from SQL")]
    assert "<script>" not in page.replace(diagram, "")
    assert page.count("&lt;script&gt;&#39;&#34;&amp;") >= 12
