"""Other changes under way: deploy.sh waits for them within --wait, and two runs at once both end well."""

import copy
import signal
from typing import Any

import pytest

from tests.deploy.conftest import MAX_SECONDS, Deployment, Run
from tests.deploy.test_failures import FUNCTION
from tests.faults.processes import wait_for
from tests.google_cloud.cloud import PROJECT

pytestmark = pytest.mark.slow

# What is missing from a complete deployment, and the request that is answered with a conflict once.
CONFLICTS = {
    "function": ("functions", f"POST /v2/projects/{PROJECT}/locations/us-central1/functions$", 409),
    "function-change": ("", f"PATCH /v2/{FUNCTION}", 409),
    "bucket-policy": ("policies", "PUT /storage/v1/b/models/iam", 409),
    "service-policy": ("policies", "POST /v1/.*/services/predict:setIamPolicy", 409),
    "account": ("accounts", "POST /v1/projects/.*/serviceAccounts", 409),
    "connection": ("connections", "POST /v1/.*/connections$", 409),
    "dataset": ("datasets", "POST /bigquery/.*/datasets$", 409),
}
# A policy that names an account which Google Cloud doesn't know everywhere yet: ours, and that of the new connection.
YOUNG_ACCOUNTS = {"function": "PUT /storage/v1/b/models/iam", "connection": "POST /v1/.*/services/predict:setIamPolicy"}


def test_young_accounts(deployment: Deployment, before: dict[str, Any]) -> None:
    """Grants to accounts that were created a moment ago are repeated until Google Cloud knows them."""
    deployment.restore(before)
    for name, pattern in YOUNG_ACCOUNTS.items():
        deployment.cloud.fail(pattern, 400, times=2, message=f"Service account {name}@example.com does not exist.")
    run = deployment.run()
    assert (run.status, run.err) == (0, "")


@pytest.mark.parametrize("name", CONFLICTS)
def test_one_conflict(
    name: str, deployment: Deployment, first: tuple[Run, dict[str, Any]], before: dict[str, Any]
) -> None:
    """A conflict is waited for, whichever step meets it."""
    missing, fails, status = CONFLICTS[name]
    state = copy.deepcopy(first[1])
    if missing:
        state[missing] = copy.deepcopy(before[missing])
    if missing == "datasets":
        state["routines"] = {}
    deployment.restore(state)
    deployment.cloud.fail(fails, status, times=1)
    run = deployment.run(memory="4Gi" if not missing else "")
    assert (run.status, run.err) == (0, "")


def test_two_at_once(deployment: Deployment, before: dict[str, Any]) -> None:
    """Two runs in an empty project both end with status 0, and --destroy deletes what they created."""
    deployment.restore(before)
    runs = [deployment.start() for _ in range(2)]
    ends = [run.communicate(timeout=MAX_SECONDS) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], ends
    assert deployment.run("--destroy").status == 0
    assert not deployment.cloud.functions


def test_run_after_ctrl_c(deployment: Deployment, before: dict[str, Any]) -> None:
    """A run right after Ctrl-C waits for the function that is still being deployed, then goes on."""
    deployment.restore(before)
    with deployment.start() as run:
        wait_for(lambda: FUNCTION in deployment.cloud.functions or run.poll() is not None)
        run.send_signal(signal.SIGINT)
        assert run.wait(MAX_SECONDS) == 130
    again = deployment.run()
    assert (again.status, again.err) == (0, "")


def test_ctrl_c_while_registering(deployment: Deployment, first: tuple[Run, dict[str, Any]]) -> None:
    """A run after Ctrl-C in the middle of the SQL functions replaces those that were made, and finishes."""
    deployment.restore({**copy.deepcopy(first[1]), "routines": {}})
    with deployment.start() as run:
        wait_for(lambda: bool(deployment.cloud.routines) or run.poll() is not None)
        run.send_signal(signal.SIGINT)
        assert run.wait(MAX_SECONDS) in (0, 130)
    again = deployment.run()
    assert (again.status, again.err) == (0, "")
