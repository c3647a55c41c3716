"""The account that builds: found and checked before anything is made, and a note where that can't be read."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from deploy.builder import BUILDER, builder_note, builder_problems
from deploy.observation import Observation, Policy
from tests.deploy.conftest import Deployment
from tests.deploy.test_passed import plan
from tests.google_cloud import cloud
from tests.google_cloud.cloud import PROJECT

OWN = f"builder@{PROJECT}.iam.gserviceaccount.com"
NOBODY = Policy({})


def policy(role: str, member: str) -> Policy:
    return Policy({role: frozenset({member})})


@pytest.mark.parametrize(
    ("found", "own", "built", "problems", "note"),
    [
        (policy(BUILDER, f"serviceAccount:{cloud.BUILDER}"), False, False, 0, False),
        (policy("roles/editor", f"serviceAccount:{cloud.BUILDER}"), False, False, 0, False),
        (NOBODY, False, False, 1, True),
        (NOBODY, False, True, 0, True),
        (None, False, False, 0, True),
        (None, False, True, 0, False),
        (policy(BUILDER, f"serviceAccount:{cloud.BUILDER}"), True, False, 1, True),
        (policy(BUILDER, f"serviceAccount:{OWN}"), True, False, 0, False),
        (policy("roles/artifactregistry.writer", f"serviceAccount:{OWN}"), True, False, 0, True),
        (policy(BUILDER, "group:builders@example.com"), False, False, 0, True),
    ],
)
def test_account_that_builds(found: Policy | None, own: bool, built: bool, problems: int, note: bool) -> None:
    """An account that may not build is a problem before the first build, and otherwise at most a note."""
    given = plan(build_service_account=OWN if own else "")
    function = SimpleNamespace(state="ACTIVE") if built else None
    seen = cast(
        "Observation",
        SimpleNamespace(builder=OWN if own else cloud.BUILDER, function=function, project_policy=found),
    )
    said = list(builder_problems(given, seen))
    assert len(said) == problems
    assert all("gcloud projects add-iam-policy-binding my-project --member=serviceAccount:" in it for it in said)
    assert bool(builder_note(given, seen)) == note


@pytest.mark.slow
def test_new_organization(deployment: Deployment, before: dict[str, Any]) -> None:
    """Where the default account has no role, the run stops before anything is made; where that's hidden, it says so."""
    deployment.restore(before)
    deployment.cloud.policies[f"projects/{PROJECT}"]["bindings"] = []
    run = deployment.run()
    assert (run.status, run.changes) == (2, [])
    assert run.err.startswith(f"deploy.sh: The account {cloud.BUILDER} may not build functions in {PROJECT}")
    deployment.cloud.fail(f"/v1/projects/{PROJECT}:getIamPolicy", 403)
    run = deployment.run()
    assert run.status == 1
    assert f"{cloud.BUILDER} may lack the right to build" in run.out
    assert "due to a missing permission on the build service account" in run.err
    assert f"--role={BUILDER}" in run.err.partition("Next:")[2]
