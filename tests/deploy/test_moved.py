"""A model that moved to another bucket, and a record that lists only what was created."""

from typing import Any

import httpx
import pytest

from tests.deploy.conftest import BUCKET, PREFIX, RECORD, Deployment, Run, members

pytestmark = pytest.mark.slow

OTHER = "models2"
ACCOUNT = "serviceAccount:sql-fn-predict@my-project.iam.gserviceaccount.com"


@pytest.fixture
def moved(deployment: Deployment, first: tuple[Run, dict[str, Any]]) -> Deployment:
    """Return a deployment whose model is in another bucket, too."""
    deployment.restore(first[1])
    deployment.google.create_bucket(OTHER)
    for name in deployment.objects(f"{PREFIX}/"):
        url = f"{deployment.cloud.storage_url}/storage/v1/b/{BUCKET}/o/{name.replace('/', '%2F')}?alt=media"
        deployment.upload(name, httpx.get(url, trust_env=False).content, OTHER)
    return deployment


def test_moved_model(moved: Deployment) -> None:
    """The record moves to the model's new bucket, and --destroy finds it by the old one, too."""
    model = f"gs://{OTHER}/{PREFIX}"
    run = moved.run(model=model)
    assert (run.status, run.err) == (0, "")
    assert (moved.record(), moved.objects("deployments/", OTHER)) == ("", [RECORD])
    again = moved.run(model=model)
    assert (again.status, again.changes) == (0, [])
    assert ACCOUNT in members(moved.cloud.policies[f"buckets/{OTHER}"])
    run = moved.run("--destroy")
    assert (run.status, run.err) == (0, "")
    assert (moved.cloud.functions, moved.cloud.routines, moved.cloud.accounts) == ({}, {}, {})
    assert not any(ACCOUNT in members(moved.cloud.policies[f"buckets/{name}"]) for name in (BUCKET, OTHER))
    assert moved.objects("deployments/", OTHER) == []


def test_record_after_a_failure(deployment: Deployment, before: dict[str, Any]) -> None:
    """What a failed run did not create isn't in the record, so that --destroy can't delete another one's."""
    deployment.restore(before)
    deployment.cloud.fail("POST /v1/.*/connections$", 403)
    run = deployment.run("--grant", "user:ana@example.com")
    assert run.status == 1
    words = [line.partition(" ")[0] for line in deployment.record().splitlines()]
    assert words == ["account", "reader", "function", "model"]
    deployment.cloud.failures.clear()
    deployment.cloud.datasets["ds"] = {
        "location": "US",
        "datasetReference": {"projectId": "my-project", "datasetId": "ds"},
    }
    assert deployment.run("--destroy").status == 0
    assert (list(deployment.cloud.datasets), deployment.cloud.functions) == (["ds"], {})


def test_service_of_others(deployment: Deployment, before: dict[str, Any]) -> None:
    """A Cloud Run service of this name that is no function is not waited for: it's refused beforehand."""
    deployment.restore(before)
    deployment.cloud.foreign_services.add("predict")
    run = deployment.run()
    assert (run.status, run.changes) == (2, [])
    assert "A Cloud Run service predict exists in us-central1, and was not created by deploy.sh" in run.err
