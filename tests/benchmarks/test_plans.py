"""The table of plans has the time of the model and that of its plan, or says why the model answers."""

from pathlib import Path

import pytest

from benchmarks.models import saved
from benchmarks.plans import ROWS, gain_of
from benchmarks.workloads import STRINGS

pytestmark = pytest.mark.slow


def test_gain(tmp_path: Path) -> None:
    """Both are measured for each number of rows."""
    gain = gain_of(STRINGS, saved("strings", tmp_path), 1)
    assert (gain.model, gain.answers) == ("strings", "the plan")
    assert tuple(gain.asked) == tuple(gain.planned) == ROWS
    assert min(*gain.asked.values(), *gain.planned.values()) > 0


def test_model_without_a_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that answers itself is measured alone."""
    monkeypatch.setenv("MODEL_PLAN", "off")
    gain = gain_of(STRINGS, saved("strings", tmp_path), 1)
    assert (tuple(gain.asked), gain.planned, gain.answers) == (ROWS, {}, "the model")
