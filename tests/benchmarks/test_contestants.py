"""Who answers wrongly is not timed: real servers are asked, and their answers compared with the bare model's."""

import json
from pathlib import Path

import numpy as np
import psutil
import pytest

from benchmarks import contestants
from benchmarks.contestants import FASTAPI, OURS, Server, difference
from benchmarks.measurements import BARE, Cell, Plan, compare
from benchmarks.workloads import NUMERIC, WORKLOADS, saved
from tests.benchmarks.conftest import Recorder

TIMESTAMPS = next(workload for workload in WORKLOADS if workload.kind == "timestamps")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ([1.0, 2.0, 3.0], None),
        ([1.0, None, 3.0], None),
        ([None, 2.0, 3.0], "wrong: None instead of 1.0"),
        ([1.0, 2.0, 3.0000000000000004], "wrong: 3.0000000000000004 instead of 3.0"),
        ([1.0, 2.0, "3.0"], "wrong: '3.0' instead of 3.0"),
        ([1.0, 2.0], "2 replies to 3 rows"),
    ],
    ids=str,
)
def test_only_a_row_with_null_may_be_answered_by_null(values: list[object], fault: str | None) -> None:
    assert difference(values, np.array([1.0, 2.0, 3.0]), np.array([False, True, False])) == fault


def test_who_cannot_answer_is_shown_as_such_and_the_others_are_measured(work: Path) -> None:
    cell = Cell(TIMESTAMPS, 3, 2)
    (result,) = compare([cell], [OURS, FASTAPI], Plan(1, 0.1), work, lambda _: None)
    assert result.faults == {FASTAPI.name: "fails: HTTP 500"}
    assert set(result.rates) == {OURS.name, BARE}
    assert result.rate(OURS.name) == pytest.approx(
        result.runs[OURS.name][0].requests * 3 / result.runs[OURS.name][0].seconds
    )


def test_a_server_whose_answers_differ_in_one_row_is_noticed(work: Path, recorder: Recorder) -> None:
    right = NUMERIC.expected(saved("tree", work))
    given = iter([right[:5], right[5:10], right[10:15] + np.array([0, 0, 0, 1e-9, 0]), right[15:20]])
    recorder.answer = lambda _: (200, json.dumps({"replies": next(given).tolist()}).encode())
    found = Server(OURS, recorder.port, psutil.Process()).exchanges(NUMERIC, right, 5)
    assert isinstance(found, str)
    assert found == f"wrong: {float(right[13] + 1e-9)!r} instead of {float(right[13])!r}"
    assert [len(json.loads(body)["calls"]) for body in recorder.bodies] == [5, 5, 5, 5]


def test_what_hinders_the_installation_of_a_rival_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(f"no-such-package @ file://{tmp_path}/nothing.whl\n")
    monkeypatch.setattr(contestants, "MLSERVER", tmp_path / "venv")
    monkeypatch.setattr(contestants, "MLSERVER_LOCK", lock)
    reason = contestants.install_mlserver()
    assert reason is not None
    assert reason.startswith("MLServer cannot be installed: ")
    assert "nothing.whl" in reason
