"""Only the permissions that a run needs are required; a project that can't be asked is explained in one sentence."""

from typing import Any

import pytest

from deploy.rights import PERMISSIONS
from tests.deploy.conftest import ANALYST, BUCKET, RECORD, Deployment, Run
from tests.google_cloud.cloud import PROJECT

pytestmark = pytest.mark.slow

PLACE = f"projects/{PROJECT}/locations"
ACCOUNT = f"projects/{PROJECT}/serviceAccounts/sql-fn-predict@{PROJECT}.iam.gserviceaccount.com"
STORAGE = {"storage.buckets.getIamPolicy", "storage.buckets.setIamPolicy", "storage.objects.create"}
EVERYTHING = {*PERMISSIONS, *STORAGE} - {"bigquery.jobs.create"}
CREATES = {"bigquery.datasets.create", "bigquery.connections.create", "iam.serviceAccounts.create"}


def test_permissions_to_redeploy(deployment: Deployment, first: tuple[Run, dict[str, Any]]) -> None:
    """Where everything exists, the permissions to create it aren't needed."""
    deployment.restore(first[1])
    deployment.cloud.denied = CREATES | {"cloudfunctions.functions.create", "run.services.setIamPolicy"}
    run = deployment.run("--grant", ANALYST, memory="4Gi")
    assert (run.status, run.err) == (0, "")


def test_permissions_on_resources(deployment: Deployment, first: tuple[Run, dict[str, Any]]) -> None:
    """A permission is asked of the resource that exists, and one that can't be asked is named beforehand."""
    deployment.restore(first[1])
    deployment.cloud.denied = EVERYTHING
    deployment.cloud.granted = {
        BUCKET: {"storage.objects.create"},  # to record the memory
        f"{PLACE}/us-central1/functions/predict": {"cloudfunctions.functions.update"},
        f"{PLACE}/us/connections/predict": {"bigquery.connections.delegate"},
        ACCOUNT: {"iam.serviceAccounts.actAs"},
    }
    run = deployment.run("--grant", ANALYST, memory="4Gi")
    assert (run.status, run.err) == (0, "")
    assert f"You lack bigquery.routines.create on {PROJECT}; it must be granted on the dataset ds" in run.out
    assert "actAs" not in run.out
    del deployment.cloud.granted[ACCOUNT]
    run = deployment.run("--grant", ANALYST, memory="8Gi", cpu="2")
    assert (run.status, run.changes) == (2, [])
    assert f"You lack iam.serviceAccounts.actAs on {PROJECT} and on the service account sql-fn-predict@" in run.err


def test_permissions_to_create(deployment: Deployment, before: dict[str, Any]) -> None:
    """In an empty project every permission is required, and all that lack are in one sentence."""
    deployment.restore(before)
    deployment.cloud.denied = CREATES
    run = deployment.run()
    assert (run.status, run.changes) == (2, [])
    assert run.err == f"deploy.sh: You lack these permissions on {PROJECT}: {' '.join(sorted(CREATES))}\n"


def test_bucket_of_others(deployment: Deployment, before: dict[str, Any]) -> None:
    """Who may not write to the model's bucket keeps the record in another one, from which --destroy works."""
    deployment.restore(before)
    deployment.cloud.denied = {"storage.objects.create"}
    run = deployment.run()
    assert (run.status, run.changes) == (2, [])
    assert "You lack these permissions on gs://models: storage.objects.create; or keep the record in another" in run.err
    deployment.google.create_bucket("ops")
    deployment.cloud.granted = {"ops": {"storage.objects.create"}}
    run = deployment.run(record="gs://ops/deployments")
    assert (run.status, run.err) == (0, "")
    assert deployment.objects(bucket="ops") == [RECORD]
    run = deployment.run("--destroy", record="gs://ops/deployments")
    assert (run.status, deployment.cloud.functions, deployment.objects(bucket="ops")) == (0, {}, [])


def test_resource_manager_off(deployment: Deployment, before: dict[str, Any]) -> None:
    """Resource Manager that is off is one sentence with the command that enables it."""
    deployment.restore(before)
    deployment.cloud.services.remove("cloudresourcemanager.googleapis.com")
    deployment.cloud.fail(f"/v1/projects/{PROJECT}:testIamPermissions", 403)
    run = deployment.run()
    assert (run.status, run.changes) == (2, [])
    said = f"run: gcloud services enable cloudresourcemanager.googleapis.com --project={PROJECT}"
    assert run.err == f"deploy.sh: APIs are not enabled; {said}\n"


def test_expired_login(deployment: Deployment, before: dict[str, Any]) -> None:
    """An expired login is one sentence with the command that renews it."""
    deployment.restore(before)
    deployment.cloud.fail("(GET|POST) /(v1|v2|bigquery)/", 401)
    run = deployment.run()
    assert (run.status, run.changes) == (2, [])
    assert run.err.count("run 'gcloud auth login'") == 1
    assert "401" not in run.err
