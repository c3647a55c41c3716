"""`make compare` keeps results, resumes, and says on how many data sets training is ahead or behind."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.compare import __main__ as compare


def result(train: float, **rivals: float) -> dict[str, object]:
    """Return what is kept for one split of one data set."""
    return {"measure": "MAE", "rows": 1400, "train": train, **dict.fromkeys(compare.RIVALS, 2.0), **rivals}


def test_report_counts_ahead_and_behind() -> None:
    """A ratio is of the mean errors over the seeds; over 3% more than a rival's error is behind."""
    found = {"a-0": result(1.0), "a-1": result(2.0), "b-b-0": result(2.04), "c-0": result(2.2, FLAML=1.0)}
    lines = compare.report(found).splitlines()
    assert lines[2] == "| a (2) | 1,400 | MAE | 1.5 | 0.75 | 0.75 | 0.75 | 0.75 |"
    assert lines[3].startswith("| b-b (1) | 1,400 | MAE | 2.04 | 1.02 |")
    assert lines[4].endswith("| 1.10 | 1.10 | 1.10 | 2.20 |")
    assert lines[5] == "| ahead, of 3 | | | | 1 | 1 | 1 | 1 |"
    assert lines[6] == "| behind by over 3% | | | | 1 | 1 | 1 | 1 |"


def test_stopped_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what has no result yet is compared."""
    monkeypatch.setattr(compare, "install", lambda *_: None)
    done = []
    monkeypatch.setattr(compare, "compared", lambda table, seed, *_: done.append((table.name, seed)) or result(1.0))
    arguments = ["--only", "diabetes", "--only", "wine", "--results", str(tmp_path), "--minutes", "2"]
    assert CliRunner().invoke(compare.main, [*arguments, "--seeds", "1"]).exit_code == 0
    (tmp_path / "2-minutes" / "wine-0.json").write_text(json.dumps(result(4.0)))
    second = CliRunner().invoke(compare.main, [*arguments, "--seeds", "2"])
    assert done == [("diabetes", 0), ("wine", 0), ("diabetes", 1), ("wine", 1)]
    assert "| wine (2) | 1,400 | MAE | 2.5 | 1.25 |" in second.stdout


def test_unknown_data_set_is_refused() -> None:
    """A name that is no data set ends the command with status 2 and the names that there are."""
    done = CliRunner().invoke(compare.main, ["--only", "titanic"])
    assert done.exit_code == 2
    assert "--only 'titanic' is no data set; expected one of diabetes, breast_cancer, california," in done.stderr
