"""A project of an old organization, such as example.com:my-project, is deployed to and cleaned up as any other."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy.conftest import ANALYST, BUCKET, Deployment, deployable
from tests.google_cloud.server import GoogleCloud

pytestmark = pytest.mark.slow

# bq would take the dots of the longer domain for those between a connection's parts.
PROJECTS = ("example.com:my-project", "eng.my-corp.co.uk:my-project")


@pytest.fixture(scope="module", params=PROJECTS)
def project(request: pytest.FixtureRequest) -> str:
    """Return the name of a project with a domain."""
    return str(request.param)


@pytest.fixture(scope="module")
def old(project: str, tmp_path_factory: pytest.TempPathFactory, saved: Callable[[str], str]) -> Iterator[Deployment]:
    """Return deploy.sh with that project, which has a bucket and a model in it."""
    with GoogleCloud(tmp_path_factory.mktemp("google-cloud"), project) as google:
        yield deployable(google, Path(saved("tree_regressor")))


def test_old_organization(old: Deployment, project: str) -> None:
    """The SQL functions answer, a second run changes nothing, and --destroy deletes everything."""
    domain, _, name = project.rpartition(":")
    run = old.run("--grant", ANALYST, project=project)
    assert (run.status, run.err) == (0, "")
    assert run.out.endswith("5 predictions match the model's own.\n")
    record = old.record(f"deployments/{project}/us-central1/predict.txt")
    account = f"sql-fn-predict@{name}.{domain}.iam.gserviceaccount.com"
    assert {f"routine {project}.ds.predict", f"connection {project}.us.predict", f"account {account}"} <= {
        *record.splitlines()
    }
    assert list(old.cloud.connections) == [f"projects/{project}/locations/us/connections/predict"]
    assert {it["routineReference"]["projectId"] for it in old.cloud.routines.values()} == {project}

    again = old.run("--grant", ANALYST, project=project)
    assert (again.status, again.changes) == (0, [])

    gone = old.run("--destroy", project=project)
    assert (gone.status, gone.err) == (0, "")
    for resources in (old.cloud.accounts, old.cloud.functions, old.cloud.connections, old.cloud.routines):
        assert resources == {}
    assert old.cloud.datasets == {}
    assert [it for it in old.objects() if it.startswith("deployments/")] == []
    assert account not in str(old.cloud.policies[f"buckets/{BUCKET}"])
