"""report.html is one file that a browser shows whole, without a network."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.train.conftest import Run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *(
        "--disable-component-update",
        "--disable-sync",
        "--no-proxy-server",
        "--disable-extensions",
        "--enable-logging=stderr",
    ),
)
# Written into the page by the page itself, after everything of it has been loaded.
PROBE = """
<script>
const faults = [];
addEventListener("error", event => faults.push(event.message || event.target.src), true);
addEventListener("load", () => {
  const images = [...document.images];
  document.body.dataset.probe = JSON.stringify({
    faults, images: images.length, missing: images.filter(image => !image.naturalWidth).map(image => image.alt),
    wide: document.documentElement.scrollWidth > innerWidth,
  });
});
</script>
"""
PICTURES = {
    "diabetes": ["Predicted against actual", "Residuals", "Permutation importance", "Score by generation"],
    "breast_cancer": ["Confusion matrix", "ROC curve", "Calibration", "Permutation importance", "Score by generation"],
    "houses": ["Predicted against actual", "Residuals", "Permutation importance", "Score by generation"],
}


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
@pytest.mark.parametrize("name", PICTURES)
def test_a_browser_shows_the_report_without_errors(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    page = (request.getfixturevalue(name).folder / "report.html").read_text()
    (tmp_path / "report.html").write_text(page.replace("<head>", f"<head>{PROBE}", 1))
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [str(CHROMIUM), *FLAGS, profile, "--dump-dom", f"file://{tmp_path / 'report.html'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "Uncaught" not in done.stderr  # what scripts throw, as the console has it
    found = re.search(r'data-probe="([^"]*)"', done.stdout)
    assert found is not None
    count = len(PICTURES[name])
    assert found[1].replace("&quot;", '"') == f'{{"faults":[],"images":{count},"missing":[],"wide":false}}'


@pytest.mark.parametrize("name", PICTURES)
def test_the_report_holds_all_that_it_shows(name: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(name)
    page = (run.folder / "report.html").read_text()
    assert re.findall(r"<figcaption>(.*?)</figcaption>", page) == PICTURES[name]
    assert not re.findall(r"""(?:src|href)=["'](?!data:|https://scikit-learn\.org|#)[^"']*""", page)
    assert not re.findall(r"@import|url\((?!data:)", page)
    for part in ("baseline", "linear", "Pipeline", "CREATE OR REPLACE FUNCTION", "ds.predict("):
        assert part in page


def test_names_in_the_sql_are_those_that_bigquery_takes(houses: Run) -> None:
    page = (houses.folder / "report.html").read_text()
    assert "FLOAT64,  -- Größe in m²" in page
    assert "ds.predict(t.`Größe in m²`, t.`select`, t.built, t.city, t.garden, t.lift)" in page
