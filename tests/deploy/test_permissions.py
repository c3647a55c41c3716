"""Only the permissions that a run needs are required; a project that can't be asked is explained in one sentence."""

from typing import Any

import pytest

from tests.deploy.conftest import ANALYST, Deployment, Run
from tests.google_cloud.cloud import PROJECT

pytestmark = pytest.mark.slow

CREATES = {"bigquery.datasets.create", "bigquery.connections.create", "iam.serviceAccounts.create"}


def test_permissions_to_redeploy(deployment: Deployment, first: tuple[Run, dict[str, Any]]) -> None:
    """Where everything exists, the permissions to create it aren't needed."""
    deployment.restore(first[1])
    deployment.cloud.denied = CREATES | {"cloudfunctions.functions.create", "run.services.setIamPolicy"}
    run = deployment.run("--grant", ANALYST, memory="4Gi")
    assert (run.status, run.err) == (0, "")


def test_permissions_on_resources(deployment: Deployment, first: tuple[Run, dict[str, Any]]) -> None:
    """A permission that may be granted on an existing resource is named beforehand, and doesn't stop the run."""
    deployment.restore(first[1])
    deployment.cloud.denied = {"bigquery.routines.create", "iam.serviceAccounts.actAs"}
    run = deployment.run("--grant", ANALYST)
    assert run.status == 0
    assert f"You lack bigquery.routines.create on {PROJECT}; it must be granted on the dataset ds" in run.out
    assert f"You lack iam.serviceAccounts.actAs on {PROJECT}; it must be granted on the service account" in run.out


def test_permissions_to_create(deployment: Deployment, before: dict[str, Any]) -> None:
    """In an empty project every permission is required, and all that lack are in one sentence."""
    deployment.restore(before)
    deployment.cloud.denied = CREATES
    run = deployment.run()
    assert (run.status, run.changes) == (2, [])
    assert run.err == f"deploy.sh: You lack these permissions on {PROJECT}: {' '.join(sorted(CREATES))}\n"


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
