"""Makes every step fail: the run must end with a status, the step and what to do, and the next run must continue."""

import copy
import re
from dataclasses import dataclass
from typing import Any

import pytest

from tests.deploy.conftest import ANALYST, BUCKET, PREFIX, Deployment, Run
from tests.google_cloud.cloud import PROJECT

pytestmark = pytest.mark.slow

FUNCTION = f"projects/{PROJECT}/locations/us-central1/functions/predict"
FUNCTIONS = "/v2/projects/my-project/locations/us-central1/functions"


@dataclass
class Case:
    """A failure: the resources missing from a deployment, the request that fails, its status, and the step to be named."""

    missing: tuple[str, ...]
    fails: str
    status: int
    step: str
    times: int | None = None
    wait: str = "600"


EVERYTHING = ("accounts", "policies", "functions", "connections", "datasets", "routines", "record")
CASES = {
    "record-not-writable": Case(EVERYTHING, "POST /upload/storage", 403, "Recording what deploy.sh creates"),
    "account-forbidden": Case(EVERYTHING, "POST /v1/projects/.*/serviceAccounts", 403, "Creating the service account"),
    "account-made-meanwhile": Case(EVERYTHING, "POST /v1/projects/.*/serviceAccounts", 409, "Creating the service account", wait="6"),
    "bucket-policy-forbidden": Case(("policies",), "PUT /storage/v1/b/models/iam", 403, "Allowing sql-fn-predict@"),
    "upload-place-not-found": Case(("functions",), f"POST {FUNCTIONS}:generateUploadUrl", 404, "Deploying the function"),
    "function-forbidden": Case(("functions",), f"POST {FUNCTIONS}$", 403, "Deploying the function"),
    "operation-never-ends": Case(("functions",), "stuck", 0, "Deploying the function", wait="6"),
    "connection-forbidden": Case(("connections",), "POST /v1/.*/connections$", 403, "Creating the connection"),
    "connection-quota-for-long": Case(("connections",), "POST /v1/.*/connections$", 429, "Creating the connection", wait="6"),
    "connection-server-error": Case(("connections",), "POST /v1/.*/connections$", 500, "Creating the connection", wait="9"),
    "invoker-forbidden": Case(("policies",), "POST /v1/.*/services/predict:setIamPolicy", 403, "Allowing the connection to call"),
    "dataset-made-meanwhile": Case(("datasets", "routines"), "POST /bigquery/.*/datasets$", 409, "Creating the dataset", wait="6"),
    "sql-forbidden": Case(("routines",), "POST /bigquery/.*/jobs$", 403, "Registering the SQL functions"),
    "connection-user-forbidden": Case(("policies",), "connections/predict:setIamPolicy", 403, f"Allowing {ANALYST} to use"),
    "routine-right-forbidden": Case(("policies",), "routines/predict:setIamPolicy", 403, f"Allowing {ANALYST} to call"),
    "grant-never-takes-effect": Case((), "delay", 0, "Comparing what SQL returns", wait="6"),
}  # fmt: skip


@pytest.fixture
def complete(deployment: Deployment, first: tuple[Run, dict[str, Any]]) -> dict[str, Any]:
    """Restore the state after a deployment, and return a copy to change."""
    deployment.restore(first[1])
    return copy.deepcopy(first[1])


@pytest.mark.parametrize("name", CASES)
def test_failing_step(name: str, deployment: Deployment, complete: dict[str, Any], before: dict[str, Any]) -> None:
    """A failing step is named, with the reason and what to do next."""
    case = CASES[name]
    for resources in case.missing:
        complete[resources] = copy.deepcopy(before[resources])
    deployment.restore(complete)
    if case.fails == "stuck":
        deployment.cloud.stuck = True
    elif case.fails == "delay":
        deployment.cloud.delay = 1000
    else:
        deployment.cloud.fail(case.fails, case.status, case.times)
    flags = ("--grant", ANALYST) if ANALYST in case.step else ()
    run = deployment.run(*flags, wait=case.wait)
    assert run.status == 1
    assert re.match(rf"deploy\.sh: failed: {re.escape(case.step)}", run.err)
    assert re.search(r"\n  Why: \S.*\n  Next: \S.* Then run deploy\.sh again; it continues from here\.\n$", run.err)
    assert "Traceback" not in run.err


def test_all_blockers_at_once(deployment: Deployment, before: dict[str, Any]) -> None:
    """Preflight lists every blocker at once and changes nothing."""
    deployment.restore(before)
    cloud = deployment.cloud
    cloud.services -= {"run.googleapis.com", "cloudbuild.googleapis.com"}
    cloud.denied = {"bigquery.jobs.create"}
    cloud.fail("GET /storage/v1/b/models/iam", 404)
    cloud.functions[FUNCTION] = {"name": FUNCTION, "state": "ACTIVE", "environment": "GEN_2", "serviceConfig": {}}
    cloud.datasets["ds"] = {"location": "EU", "datasetReference": {"projectId": PROJECT, "datasetId": "ds"}}
    run = deployment.run(
        location="", service_account=f"another@{PROJECT}.iam.gserviceaccount.com", model=f"gs://{BUCKET}/none"
    )
    assert (run.status, run.changes) == (2, [])
    for said in (
        "APIs are not enabled; run: gcloud services enable cloudbuild.googleapis.com run.googleapis.com --project=my-project",
        "You lack these permissions on my-project: bigquery.jobs.create",
        "The bucket gs://models does not exist",
        "The function predict was not created by deploy.sh",
        "The dataset's location EU and the region us-central1 do not match",
        "The service account another@my-project.iam.gserviceaccount.com does not exist",
        "There is no MLmodel file at gs://models/none",
    ):
        assert len([line for line in run.err.splitlines() if said in line]) == 1, said
    assert len(run.err.splitlines()) == 7


def test_unreadable_project(deployment: Deployment, before: dict[str, Any]) -> None:
    """A project that cannot be read is a blocker."""
    deployment.restore(before)
    deployment.cloud.fail("GET /v1/projects/my-project/services$", 403)
    run = deployment.run()
    assert (run.status, run.changes) == (2, [])
    assert "The project my-project cannot be read" in run.err


def test_too_many_requests(deployment: Deployment, complete: dict[str, Any]) -> None:
    """A request answered with 429 is retried."""
    deployment.restore({**complete, "connections": {}})
    deployment.cloud.fail("POST /v1/.*/connections$", 429, times=1)
    run = deployment.run()
    assert (run.status, run.err) == (0, "")
    assert len([change for change in run.changes if change.endswith("/connections")]) == 2


def test_run_after_a_failure(deployment: Deployment, before: dict[str, Any]) -> None:
    """A run after a failed one continues from there."""
    deployment.restore(before)
    deployment.cloud.fail(f"POST {FUNCTIONS}$", 403, times=1)
    broken, whole = deployment.run(), deployment.run()
    assert (broken.status, whole.status, whole.err) == (1, 0, "")
    assert not [change for change in whole.changes if "serviceAccounts" in change or change.startswith("PUT /storage")]


def test_failed_build(deployment: Deployment, complete: dict[str, Any]) -> None:
    """A function whose build failed is deployed again."""
    complete["functions"][FUNCTION]["state"] = "FAILED"
    deployment.restore(complete)
    run = deployment.run()
    assert (run.status, run.err) == (0, "")
    assert run.changes[-1] == f"PATCH /v2/{FUNCTION}"


def test_foreign_sql_function(deployment: Deployment, complete: dict[str, Any]) -> None:
    """A SQL function that is not in the record is not replaced."""
    deployment.restore({**complete, "record": ""})
    run = deployment.run()
    assert (run.status, run.changes) == (2, [])
    assert "ds.predict exists and was not created by this deployment; it calls http" in run.err


def test_destroy_nothing(deployment: Deployment, before: dict[str, Any]) -> None:
    """--destroy without a record deletes nothing and says so."""
    deployment.restore(before)
    run = deployment.run("--destroy")
    assert (run.status, run.changes, run.err) == (0, [], "")
    assert "There is nothing to delete" in run.out
    assert f"{PREFIX}/MLmodel" in deployment.objects()
