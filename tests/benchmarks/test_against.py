"""Two checkouts are compared as they are: real processes, the same requests, an exact interval."""

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from benchmarks.against import CELLS, checkout, compare_checkouts, main
from benchmarks.comparison import Comparison, Speed, interval, summary, table
from benchmarks.startup import Starts, compare_starts, plans_table, starts_table
from launch.function import ROOT

pytestmark = pytest.mark.slow

IN_GIT = not subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, check=False).returncode
needs_git = pytest.mark.skipif(not IN_GIT, reason="the tests do not run in a git repository")


@needs_git
def test_head_beside_itself(tmp_path: Path) -> None:
    """Every cell gets a ratio for each round, and the progress is reported."""
    steps: list[str] = []
    with checkout("HEAD") as old:
        (found,) = compare_checkouts(old, ROOT, CELLS[:1], 1, 0.05, tmp_path, steps.append)
    assert steps == ["round 1 of 1: numeric, 1 row"]
    assert (found.error, len(found.ratios), len(found.cpu_ratios)) == (None, 1, 1)
    assert found.ratios[0] == found.new.rates[0] / found.old.rates[0] > 0
    assert found.cpu_ratios[0] > 0
    assert not old.exists()


@needs_git
def test_other_replies(tmp_path: Path) -> None:
    """A checkout that replies otherwise is reported and not timed."""
    (tmp_path / "main.py").write_text(
        "import functions_framework\n\n\n"
        "@functions_framework.http\ndef predict(request):\n"
        "    return {'replies': [0.0] * len(request.get_json()['calls'])}\n"
    )
    (found,) = compare_checkouts(ROOT, tmp_path, CELLS[:1], 1, 0.05, tmp_path / "models", lambda _: None)
    assert found.error == "the new checkout's replies differ from the old checkout's first ones"
    assert found.ratios == []


def test_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each round has a start of both checkouts, the first of all not counted, and a line for time and memory."""
    steps: list[str] = []
    old, new = compare_starts(ROOT, ROOT, 6, tmp_path, steps.append)
    assert len(steps) == 7
    for starts in (old, new):
        assert len(starts.seconds) == len(starts.memory) == 6
        assert min(starts.seconds) > 0.1
        assert min(starts.memory) > 50e6
    more = Starts([2 * seconds for seconds in old.seconds], old.memory)
    Console(width=160).print(starts_table(old, more, "abc123"))
    printed = capsys.readouterr().out
    assert "2.000 (2.000 to 2.000)" in printed
    assert "MORE than 1.03" in printed
    assert "1.000 (1.000 to 1.000)" in printed


def test_plans_table(capsys: pytest.CaptureFixture[str]) -> None:
    """The table of plans has the medians of the rounds and their ratio."""
    Console(width=160).print(plans_table({"tree": [[100_000_000, 110_000_000], [100_000_000, 112_000_000]]}))
    printed = [" ".join(line.replace("│", " ").split()) for line in capsys.readouterr().out.splitlines()]
    assert "tree 100.0 111.0 1.110" in printed


@needs_git
def test_unknown_commit() -> None:
    """An unknown commit is one sentence on stderr."""
    ended = CliRunner().invoke(main, ["no-such-commit"])
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert "no-such-commit" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("ratios", "expected", "verdict"),
    [
        ([0.80, 0.90, 0.91, 0.92, 0.93, 0.96], (0.80, 0.96), "SLOWER"),
        ([0.80, 0.90, 0.91, 0.92, 0.93, 0.98], (0.80, 0.98), "not slower"),
        ([0.10] * 3 + [0.94 + at / 100 for at in range(9)] + [9.0] * 3, (0.94, 1.02), "not slower"),
    ],
)
def test_verdict(ratios: list[float], expected: tuple[float, float], verdict: str) -> None:
    """Only an interval that lies wholly below 0.97 is slower; outliers do not move it."""
    found = Comparison(CELLS[3], Speed([1.0] * len(ratios)), Speed(ratios))
    assert interval(found.ratios) == pytest.approx(expected)
    assert found.verdict == verdict
    assert summary([found]).startswith("No interval") == (verdict == "not slower")


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    """The table has a line per workload, also for one that was not measured."""
    old = Speed([100.0] * 6, [200.0] * 6)
    new = Speed([98.0, 99.0, 100.0, 101.0, 102.0, 103.0], [100.0] * 6)
    measured = Comparison(CELLS[3], old, new)
    failed = Comparison(CELLS[0], error="the new checkout fails: HTTP 500")
    Console(width=160).print(table([measured, failed], "abc123"))
    printed = [" ".join(line.replace("│", " ").split()) for line in capsys.readouterr().out.splitlines()]
    assert "numeric, 5,000 rows 100 100 1.005 (0.980 to 1.030) 0.500 (0.500 to 0.500) not slower" in printed
    assert "numeric, 1 row not measured: the new checkout fails: HTTP 500" in printed
