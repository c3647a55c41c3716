"""RESULTS.md says what was measured: medians, ratios within rounds, who failed and why, what was wanted and met."""

import re
from pathlib import Path

import pytest

from benchmarks import targets
from benchmarks.cold_start import FROM_BUCKET
from benchmarks.contestants import FASTAPI, MLFLOW, OURS
from benchmarks.generator import Limit
from benchmarks.instances import Callers, Growth, Memory
from benchmarks.load import Outcome
from benchmarks.measurements import BARE, Plan, Ratio, Result
from benchmarks.report import Findings, write
from benchmarks.stages import STAGES

RATES = {OURS.name: [100.0, 300.0, 200.0], FASTAPI.name: [10.0, 10.0, 40.0], BARE: [400.0, 400.0, 400.0]}


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
    growth = Growth([100.0], [190.0])
    flatness = {1_000: 1.0, 1_000_000: 1.5}
    wanted = [*targets.speed(results), *targets.instances(callers, starts, memories, growth, flatness)]
    return Findings(
        Plan(3, 1.0), [OURS, FASTAPI, MLFLOW], {"MLServer": "MLServer cannot be installed: no wheel."}, results, wanted,
        starts, memories, callers, growth, flatness, [("numeric", 1, dict.fromkeys(STAGES, 7.0))],
        [Limit(1, run(10_000, 1))],
    )  # fmt: skip


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    write(findings(), folder / "RESULTS.md")
    written = (folder / "RESULTS.md").read_text()
    for picture in re.findall(r"\]\(([^)]+)\)", written):
        assert (folder / picture).read_text().startswith("<?xml")
    assert written.count("](pictures/") == 4
    assert str(Path.home()) not in written
    return written


@pytest.mark.parametrize(
    "line",
    [
        "| rows/s against FastAPI app, 128 rows per request | at least 6 | 10.00 (5.00 to 30.00) | yes |",
        "| rows/s against mlflow models serve, 1 row per request | at least 12 |  | not measured |",
        "| rows/s of the bare predict's, 1000 rows | at least 0.5 | 0.50 (0.25 to 0.75) | yes |",
        "| start to first right reply, from a bucket, against FastAPI app from disk | at most 0.75 "
        "| 0.62 (0.50 to 0.75) | yes |",
        "| rows/s of two processes against one | at least 1.8 | 1.90 (1.90 to 1.90) | yes |",
        "| time per row from 1,000 to 1,000,000 rows, largest of smallest | at most 1.15 | 1.50 (1.50 to 1.50) | NO |",
        "| numeric | 1 | 4 | 200 | 10<br>×10.00 (5.00 to 30.00) | fails: HTTP 500 | 400<br>×0.50 (0.25 to 0.75) |",
        "MLServer is missing: MLServer cannot be installed: no wheel.",
        "| 1 | 10,001 | 301 | 33.2 | 25% |",
    ],
)
def test_what_was_measured_stands_there(text: str, line: str) -> None:
    assert line in text.splitlines()


def test_a_target_is_met_by_its_median() -> None:
    ratio = Ratio([1.0, 5.0, 4.0])
    assert [targets.at_least("x", wanted, ratio).met for wanted in (4.0, 4.1)] == [True, False]
    assert [targets.at_most("x", wanted, ratio).met for wanted in (4.0, 3.9)] == [True, False]
    assert targets.at_least("x", 1.0, None).verdict == "not measured"
