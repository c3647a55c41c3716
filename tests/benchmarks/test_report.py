"""RESULTS.md reports what was measured: medians, ratios within rounds, errors with their reasons, targets."""

from pathlib import Path

import pytest
from PIL import Image

from benchmarks import targets
from benchmarks.cold_start import FROM_BUCKET
from benchmarks.instances import Callers, Scaling
from benchmarks.measurements import BARE, Plan, Ratio, Result
from benchmarks.plans import Gain
from benchmarks.report import PICTURE, Findings, write
from benchmarks.servers import FASTAPI, MLFLOW, OURS
from deploy.sizing.load_generator import Outcome
from deploy.sizing.resources import Memory

RATES = {OURS.name: [100.0, 300.0, 200.0], FASTAPI.name: [10.0, 10.0, 40.0], BARE: [400.0, 400.0, 400.0]}

GAIN = Gain(
    "tree", "the plan", {1: 1_200.0, 128: 900.0, 1_000: 5_000.0, 5_000: 9.0}, {1: 100.0, 128: 300.0, 5_000: 18.0}
)


def run(rate: float, rows: int) -> Outcome:
    return Outcome(1.0, [0.001 * at for at in range(1, int(rate // rows) + 2)], 0.25, None)


def findings() -> Findings:
    results = []
    for cell in targets.CELLS:
        runs = {name: [run(rate, cell.rows) for rate in rates] for name, rates in RATES.items() if name != BARE}
        results.append(Result(cell, dict(RATES), runs, {MLFLOW.name: "fails: HTTP 500"}))
    starts = {FROM_BUCKET: [2.0, 3.0], OURS.name: [1.0, 2.0], FASTAPI.name: [4.0, 4.0]}
    memories = {OURS.name: (Memory(90, 100),) * 2, FASTAPI.name: (Memory(100, 100),) * 2}
    callers = Callers({"with": [run(64, 1)], "without": [run(16, 1)]}, {"with": [run(1, 1)], "without": [run(1, 1)]})
    scaling = Scaling([100.0], [190.0])
    flatness = {1_000: 1.0, 1_000_000: 1.5}
    wanted = [*targets.speed(results), *targets.instances(callers, starts, memories, scaling, flatness)]
    missing = {"MLServer": "MLServer cannot be installed: no wheel."}
    single = (starts, memories, callers, scaling, flatness, [GAIN])
    return Findings(Plan(3, 1.0), [OURS, FASTAPI, MLFLOW], missing, results, wanted, *single)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the report and its picture."""
    folder = tmp_path_factory.mktemp("report")
    write(findings(), folder / "RESULTS.md")
    return folder


@pytest.mark.parametrize(
    "line",
    [
        "| tree | 1,200 / 100 (×12.0) | 900 / 300 (×3.0) | 5,000 / - | 9 / 18 (×0.5) | the plan |",
        "| rows/s over FastAPI app: numeric, 1 row, a lone caller | at least 4 | 10.00 (5.00 to 30.00) | yes |",
        "| rows/s over FastAPI app: numeric, 128 rows | at least 6 | 10.00 (5.00 to 30.00) | yes |",
        "| rows/s over mlflow models serve: numeric, 1 row | at least 12 |  | not measured |",
        "| rows/s over bare predict: numeric, 1,000 rows | at least 0.65 | 0.50 (0.25 to 0.75) | NO |",
        "| start to first correct reply, from a bucket, over FastAPI app from disk | at most 0.75 "
        "| 0.62 (0.50 to 0.75) | yes |",
        "| rows/s of two processes over one | at least 1.8 | 1.90 (1.90 to 1.90) | yes |",
        "| time per row from 1,000 to 1,000,000 rows, largest over smallest | at most 1.15 | 1.50 (1.50 to 1.50) | NO |",
        "| numeric | 1 | 4 | 200 | 10<br>×10.00 (5.00 to 30.00) | fails: HTTP 500 | 400<br>×0.50 (0.25 to 0.75) |",
        "MLServer is missing: MLServer cannot be installed: no wheel.",
        "The load generator sends prepared bytes and compares the replies. While it measured this function, it used at "
        "most 25% of one CPU, so it was not the bottleneck.",
    ],
)
def test_line(folder: Path, line: str) -> None:
    """Each kind of figure is reported, in the words of the committed report."""
    assert line in (folder / "RESULTS.md").read_text().splitlines()


def test_no_path_of_this_machine(folder: Path) -> None:
    """The report can be published as it is."""
    assert str(Path.home()) not in (folder / "RESULTS.md").read_text()


def test_picture(folder: Path) -> None:
    """The picture is small, wide enough to read, and shown in the report."""
    assert f"]({PICTURE})" in (folder / "RESULTS.md").read_text()
    assert (folder / PICTURE).stat().st_size < 40_000
    with Image.open(folder / PICTURE) as picture:
        assert picture.width >= 1000


def test_target_is_met_by_its_median() -> None:
    """Outliers neither meet a target nor miss it."""
    ratio = Ratio([1.0, 5.0, 4.0])
    assert [targets.at_least("x", wanted, ratio).met for wanted in (4.0, 4.1)] == [True, False]
    assert [targets.at_most("x", wanted, ratio).met for wanted in (4.0, 3.9)] == [True, False]
    assert targets.at_least("x", 1.0, None).verdict == "not measured"
