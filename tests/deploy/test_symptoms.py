"""Public failures by symptom: what Google says, and what deploy.sh does about it, as docs/deploying.md lists them."""

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deploy.errors import StepFailed
from deploy.gcloud import CONFLICT, SETTLING, Commands, Result
from deploy.observation import MemberReport, Policy
from deploy.options import find_problems
from deploy.preflight import blockers, memory_blockers
from deploy.symptoms import known_advice
from tests.deploy.conftest import ROOT, Deployment, Run
from tests.deploy.observed import MODEL, observation
from tests.deploy.test_passed import plan, values

BUILD = "ERROR: (gcloud.functions.deploy) OperationError: code=3, message=Build failed with status: FAILURE. "
POLICY = "ERROR: (gcloud.run.services.add-iam-policy-binding) FAILED_PRECONDITION: "

# An error as the public reports have it, the key of its row in the table, and a part of the advice.
EXPLAINED = {
    "build-account": (
        f"{BUILD}Could not build the function due to a missing permission on the build service account.",
        "missing permission on the build service account", "--role=roles/cloudbuild.builds.builder",
    ),
    "healthcheck": (
        "ERROR: Could not create or update Cloud Run service predict, Container Healthcheck failed. Revision 'predict-1' is not ready",
        "Container Healthcheck failed", "--memory",
    ),
    "pip-check": (f"{BUILD}found incompatible dependencies: \"a 1 has requirement b<2\"", "found incompatible dependencies", "--requirements"),
    "hashes": (
        f"{BUILD}ERROR: In --require-hashes mode, all requirements must have their versions pinned with ==.",
        "hash mode with an unpinned dependency", "for all packages or for none",
    ),
    "memory": ("Memory limit of 2048 MiB exceeded with 2101 MiB used.", "`Memory limit exceeded`", "--advise"),
    "sharing": (
        f"{POLICY}One or more users named in the policy do not belong to a permitted customer, perhaps due to an organization policy.",
        "do not belong to a permitted customer", "Domain-restricted sharing",
    ),
    "sharing-constraint": (
        "Constraint constraints/iam.allowedPolicyMemberDomains violated for projects/p attempting to set a policy",
        "do not belong to a permitted customer", "Domain-restricted sharing",
    ),
    "answer-400": (
        "Received response code 400 from endpoint https://f with response body {\"errorMessage\": \"row 3: ...\"}",
        "Received response code 400 from endpoint", "for which row",
    ),
}  # fmt: skip

# Waited for: an error, the key of its row, and the pattern that `Commands` waits for.
WAITED = {
    "queue": ("HttpError 409: unable to queue the operation", "unable to queue the operation", CONFLICT),
    "in-progress": (
        "ABORTED: An operation on function predict in region us-central1 in project p is already in progress. Please try again later.",
        "is already in progress", CONFLICT,
    ),
    "account": (
        "INVALID_ARGUMENT: Service account bqcx-1-abcd@gcp-sa-bigquery-condel.iam.gserviceaccount.com does not exist.",
        "a new connection's account", SETTLING,
    ),
}  # fmt: skip

# Detected before anything is made: the key of its row, and the sentence.
DETECTED: dict[str, tuple[str, Callable[[], list[str]], str]] = {
    "build-account": (
        "missing permission on the build service account",
        lambda: blockers(plan(), observation(project_policy=Policy({}))), "may not build functions in my-project",
    ),
    "cpus": ("more memory needs more CPUs", lambda: _options(memory="8Gi"), "requires at least 2 CPUs"),
    "memory": (
        "`Memory limit exceeded`",
        lambda: memory_blockers(plan(), observation(model=replace(MODEL, members={"predict-model": MemberReport("d", "on", (), 3 * 2**30)}))), "expected at least --memory 4Gi",
    ),
    "resource-manager": (
        "Cloud Resource Manager API",
        lambda: blockers(plan(), observation(apis=observation().apis - {"cloudresourcemanager.googleapis.com"}, permissions=None)),
        "gcloud services enable cloudresourcemanager.googleapis.com",
    ),
    "service": (
        "another one's Cloud Run service", lambda: blockers(plan(), observation(foreign_service=True)), "choose another --function",
    ),
}  # fmt: skip


def _options(**given: str) -> list[str]:
    return find_problems(values(**given))


def documented(key: str) -> str:
    """Return what docs/deploying.md says that deploy.sh does about a failure."""
    table = (ROOT / "docs/deploying.md").read_text().partition("## When a deployment fails")[2].partition("\n## ")[0]
    rows = [row for row in table.splitlines() if row.startswith("|") and key in row]
    assert len(rows) == 1, key
    return rows[0].split(" | ")[1]


@pytest.mark.parametrize("name", EXPLAINED)
def test_explained(name: str) -> None:
    """The error's own advice replaces the step's."""
    error, key, said = EXPLAINED[name]
    assert said in known_advice(error)
    assert "explain" in documented(key)


@pytest.mark.parametrize("name", WAITED)
def test_waited_for(name: str) -> None:
    """The error is waited for, within --wait."""
    error, key, pattern = WAITED[name]
    assert Result(1, "", error).matches(pattern)
    assert documented(key).startswith("waits")


@pytest.mark.parametrize("name", DETECTED)
def test_detected(name: str) -> None:
    """The cause is found before anything is made, and nothing else is."""
    key, check, said = DETECTED[name]
    problems = check()
    assert len(problems) == 1
    assert said in problems[0]
    assert documented(key).startswith("detects")


def test_nothing_detected() -> None:
    """A project in which everything is in order has no blocker."""
    assert blockers(plan(), observation()) == []


def test_service_of_others_is_final() -> None:
    """Where it can't be seen beforehand, another one's service ends the step at once, and isn't waited for."""
    error = "echo 'ERROR: 409 Could not create Cloud Run service predict: the Cloud Run service already exists.' >&2; exit 1"
    commands = Commands("my-project", 600)
    with pytest.raises(StepFailed):
        commands.change("Deploying the function", "Choose another --function.", ["bash", "-c", error])


def test_every_row_is_tested() -> None:
    """Each row of the table belongs to a test of this file."""
    table = (ROOT / "docs/deploying.md").read_text().partition("## When a deployment fails")[2].partition("\n## ")[0]
    keys = [row[1] for row in (*EXPLAINED.values(), *WAITED.values())] + [row[0] for row in DETECTED.values()]
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| error")]
    pinned = ("pip backtracks for ever",)  # by test_deployed_requirements
    assert [row for row in rows if not any(key in row for key in (*keys, *pinned))] == []


@pytest.mark.check
def test_deployed_requirements(deployment: Deployment, first: tuple[Run, dict[str, Any]]) -> None:
    """Every deployed requirement is pinned, so pip has nothing to choose, and none has a hash that others lack."""
    archive = next(it for it in deployment.google.functions.archives if it)
    text = zipfile.ZipFile(io.BytesIO(archive)).read("requirements.txt").decode()
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert lines
    assert [line for line in lines if not re.match(r"[A-Za-z0-9._-]+(\[[a-z0-9,_-]+\])?==[^ ]+", line)] == []
    assert "--hash" not in text
