"""Nobody else's SQL functions are replaced or deleted, whatever the dataset; a second dataset works and can be destroyed."""

import copy
from typing import Any

import pytest

from tests.deploy.conftest import Deployment, Run
from tests.google_cloud.cloud import PROJECT

pytestmark = pytest.mark.slow


def test_second_dataset(deployment: Deployment, first: tuple[Run, dict[str, Any]]) -> None:
    """A deployment to a second dataset leaves the first one's functions, and --destroy deletes those of both."""
    deployment.restore(first[1])
    run = deployment.run(dataset="ds2")
    assert (run.status, run.err) == (0, "")
    assert {"ds.predict", "ds2.predict"} <= set(deployment.cloud.routines)
    assert f'"{PROJECT}.ds2.predict"' in deployment.record()
    assert deployment.run("--destroy", dataset="ds2").status == 0
    assert (deployment.cloud.routines, deployment.cloud.datasets, deployment.record()) == ({}, {}, "")


def test_function_of_others(deployment: Deployment, first: tuple[Run, dict[str, Any]]) -> None:
    """Another one's function in a second dataset is not replaced, and --destroy leaves it."""
    state = copy.deepcopy(first[1])
    state["datasets"]["ds2"] = {**state["datasets"]["ds"], "id": f"{PROJECT}:ds2"}
    reference = {"projectId": PROJECT, "datasetId": "ds2", "routineId": "predict"}
    state["routines"]["ds2.predict"] = {**state["routines"]["ds.predict"], "routineReference": reference}
    deployment.restore(state)
    run = deployment.run(dataset="ds2")
    assert (run.status, run.changes) == (2, [])
    assert "ds2.predict exists and was not created by this deployment; it calls http" in run.err
    assert "choose another --name or --dataset." in run.err
    assert deployment.run("--destroy", dataset="ds2").status == 0
    assert list(deployment.cloud.routines) == ["ds2.predict"]


def test_destroy_after_manual_deletions(deployment: Deployment, first: tuple[Run, dict[str, Any]]) -> None:
    """--destroy skips what somebody deleted by hand, takes the rest away, and says on a second run that nothing is left."""
    state = copy.deepcopy(first[1])
    for kind in ("functions", "accounts", "routines", "datasets", "connections"):
        state[kind] = {}
    deployment.restore(state)
    run = deployment.run("--destroy")
    assert (run.status, run.err, deployment.record()) == (0, "", "")
    again = deployment.run("--destroy")
    assert (again.status, again.changes) == (0, [])
    assert "There is nothing to delete" in again.out
