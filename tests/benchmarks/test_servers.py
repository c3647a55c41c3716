"""Servers that answer incorrectly are not timed: real ones are called, and compared with the bare model."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks import servers
from benchmarks.measurements import BARE, Cell, Plan, compare
from benchmarks.models import MODELS, saved
from benchmarks.servers import FASTAPI, MLFLOW, OURS, Server, difference
from benchmarks.workloads import IMPUTED_RIDGE, NUMERIC, TIMESTAMPS, WIDE, WITH_NULL, WORKLOADS, Workload
from tests.sizing.conftest import Recorder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that keeps the trained models."""
    return tmp_path_factory.mktemp("work")


@pytest.mark.parametrize(
    ("values", "error"),
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
def test_difference(values: list[object], error: str | None) -> None:
    """Only the row that contains NULL may be answered by NULL."""
    assert difference(values, np.array([1.0, 2.0, 3.0]), np.array([False, True, False])) == error


def test_difference_of_a_linear_model() -> None:
    """The last bits may differ where a matrix product gives them; nothing else may."""
    right, never_null = np.array([1.0, 3.0]), np.zeros(2, np.bool_)
    assert difference([1.0, 3.0000000000000004], right, never_null, 1e-12) is None
    assert difference([1.0, 3.0000001], right, never_null, 1e-12) == "wrong: 3.0000001 instead of 3.0"
    assert difference([None, 3.0], right, never_null, 1e-12) == "wrong: None instead of 1.0"


@pytest.mark.parametrize("workload", [it for it in WORKLOADS if it is not TIMESTAMPS], ids=lambda it: it.name)
def test_right_answers(workload: Workload, work: Path) -> None:
    """This function and the FastAPI app answer each workload as its bare model does, alone and together."""
    cells = [Cell(workload, rows, connections) for rows, connections in ((1, 4), (20, 2))]
    for result in compare(cells, [OURS, FASTAPI], Plan(1, 0.1), work, lambda _: None):
        assert result.errors == {}
        assert set(result.rates) == {OURS.name, FASTAPI.name, BARE}


def test_rows_with_null() -> None:
    """NULL is no answer of a model that was trained on NULLs."""
    assert [bool(workload.may_be_null.any()) for workload in (WITH_NULL, IMPUTED_RIDGE)] == [True, False]
    assert {name for name, recipe in MODELS.items() if recipe.fills_gaps} == {"imputed ridge", "imputed boosting"}


def test_wide_rows() -> None:
    """Rows of more columns than a function may have arguments are sent as one object each, as BigQuery has to."""
    body = json.loads(OURS.body(WIDE, slice(2)))
    assert body["userDefinedContext"] == {"function": "predict_row"}
    assert [list(call[0]) for call in body["calls"]] == [WIDE.names] * 2
    assert json.loads(MLFLOW.body(WIDE, slice(1)))["dataframe_split"]["data"] == [list(body["calls"][0][0].values())]


def test_failing_baseline(work: Path) -> None:
    """A baseline that fails is reported as failing; the others are measured."""
    cell = Cell(TIMESTAMPS, 3, 2)
    (result,) = compare([cell], [OURS, FASTAPI], Plan(1, 0.1), work, lambda _: None)
    assert result.errors == {FASTAPI.name: "fails: HTTP 500"}
    assert set(result.rates) == {OURS.name, BARE}
    assert result.rate(OURS.name) == pytest.approx(
        result.runs[OURS.name][0].requests * 3 / result.runs[OURS.name][0].seconds
    )


def test_one_wrong_value(work: Path) -> None:
    """A server whose reply differs in a single row is not timed."""
    right = NUMERIC.expected(saved("tree", work))
    replies = iter([right[:5], right[5:10], right[10:15] + np.array([0, 0, 0, 1e-9, 0]), right[15:20]])
    with Recorder() as recorder:
        recorder.answer = lambda _: (200, json.dumps({"replies": next(replies).tolist()}).encode())
        found = Server(OURS, recorder.port, os.getpid()).exchanges(NUMERIC, right, 5)
    assert isinstance(found, str)
    assert found == f"wrong: {float(right[13] + 1e-9)!r} instead of {float(right[13])!r}"
    assert [len(json.loads(body)["calls"]) for body in recorder.bodies] == [5, 5, 5, 5]


def test_failing_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The report says why MLServer could not be installed."""
    lock = tmp_path / "lock.txt"
    lock.write_text(f"no-such-package @ file://{tmp_path}/nothing.whl\n")
    monkeypatch.setattr(servers, "MLSERVER", tmp_path / "venv")
    monkeypatch.setattr(servers, "MLSERVER_LOCK", lock)
    reason = servers.install_mlserver()
    assert reason is not None
    assert reason.startswith("MLServer cannot be installed: ")
    assert "nothing.whl" in reason
