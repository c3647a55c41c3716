"""Decides whether a deployment can start: pure functions from what was planned and observed to a list of blockers."""

import shutil
from collections.abc import Iterator, Mapping

from deploy.observation import INVOKER, Observation, runtime
from deploy.plan import Plan, location_problem
from deploy.secrets import SECRET_MANAGER, secret_note, secret_problems
from launch.lock import PYTHONS

GONE = "DECOMMISSIONED"  # gcloud's word for a runtime in which nothing can be deployed any more
OLDEST_GCLOUD = 500  # of November 2024; older versions are untested
APIS = tuple(
    f"{name}.googleapis.com"
    for name in (
        "artifactregistry", "bigquery", "bigqueryconnection", "cloudbuild", "cloudfunctions", "cloudresourcemanager",
        "iam", "run", "storage",
    )
)  # fmt: skip
# The APIs that an option needs.
OPTIONAL_APIS = {
    SECRET_MANAGER: "set_secrets",
    "vpcaccess.googleapis.com": "vpc_connector",
    "cloudkms.googleapis.com": "kms_key",
}
# What the steps may need of the person or account that runs them, on the project or on one resource.
PERMISSIONS = (
    "bigquery.connections.create", "bigquery.connections.delegate", "bigquery.connections.get",
    "bigquery.datasets.create", "bigquery.jobs.create", "bigquery.routines.create", "cloudfunctions.functions.create",
    "cloudfunctions.functions.update", "iam.serviceAccounts.actAs", "iam.serviceAccounts.create",
    "run.services.setIamPolicy",
)  # fmt: skip


def missing_tools() -> list[str]:
    """Return how to install each tool that is not on PATH."""
    advice = {
        "gcloud": "gcloud is not installed: see https://cloud.google.com/sdk/docs/install.",
        "bq": "bq is not installed: run 'gcloud components install bq'.",
    }
    return [text for tool, text in advice.items() if not shutil.which(tool)]


def blockers(plan: Plan, seen: Observation) -> list[str]:
    """Return everything that prevents the deployment, one sentence each."""
    return [
        *_version_blockers(seen),
        *seen.problems,
        *_project_blockers(plan, seen),
        *_function_blockers(plan, seen),
        *_dataset_blockers(plan, seen),
        *(
            it
            for found in seen.secrets
            for it in secret_problems(plan, found, seen.project_policy, seen.account_exists)
        ),
    ]


def offered(runtimes: Mapping[str, str] | None) -> tuple[str, ...]:
    """Return the Pythons that a function can have: those of launch.lock that aren't decommissioned."""
    stages = {python: runtimes.get(runtime(python), GONE) if runtimes else "" for python in PYTHONS}
    return tuple(python for python, stage in stages.items() if stage != GONE)


def runtime_notes(seen: Observation) -> Iterator[str]:
    """Yield what to know about the function's Python, a sentence each."""
    if seen.runtimes is None:
        yield "The runtimes of Cloud Functions cannot be listed, so a deprecated one would not be noticed."
    elif seen.model and seen.runtimes.get(seen.model.runtime) == "DEPRECATED":
        yield (
            f"Cloud Functions calls {seen.model.runtime} deprecated: train the model again with a newer Python before "
            "it is decommissioned."
        )


def permission_notes(plan: Plan, seen: Observation) -> Iterator[str]:
    """Yield which permissions were not found on the project, but may be granted on a resource that exists."""
    granted = seen.permissions if seen.permissions is not None else frozenset(PERMISSIONS)
    for name, resource in _needed(plan, seen).items():
        if resource and name not in granted:
            yield f"You lack {name} on {plan.project}; it must be granted on {resource}, which cannot be tested."
    yield from filter(None, (secret_note(plan, found, seen.project_policy) for found in seen.secrets))


def _needed(plan: Plan, seen: Observation) -> dict[str, str]:
    """Return the permissions that this run needs, each with the existing resource on which it may be granted instead.

    The text is empty where only the project can grant it, because the resource does not exist yet.
    """
    function = f"the function {plan.function}" if seen.function else ""
    needed = {
        "bigquery.jobs.create": "",
        "bigquery.routines.create": f"the dataset {plan.dataset}" if seen.dataset else "",
        "bigquery.connections.delegate": f"the connection {plan.connection}" if seen.connection else "",
        "iam.serviceAccounts.actAs": f"the service account {plan.account}" if seen.account_exists else "",
        f"cloudfunctions.functions.{'update' if seen.function else 'create'}": "",
    }
    if not seen.account_exists:
        needed["iam.serviceAccounts.create"] = ""
    if not seen.dataset:
        needed["bigquery.datasets.create"] = ""
    if not seen.connection:
        needed |= {"bigquery.connections.create": "", "bigquery.connections.get": ""}
    if not (seen.function and seen.connection and seen.function.policy.grants(INVOKER, seen.connection.member)):
        needed["run.services.setIamPolicy"] = function
    return needed


def _version_blockers(seen: Observation) -> Iterator[str]:
    major = seen.gcloud_version.partition(".")[0]
    if not major.isdecimal() or int(major) < OLDEST_GCLOUD:
        yield (
            f"gcloud is version {seen.gcloud_version or 'unknown'}; version {OLDEST_GCLOUD} or later is required: "
            "run 'gcloud components update'."
        )


def _project_blockers(plan: Plan, seen: Observation) -> Iterator[str]:
    required_apis = [*APIS, *(api for api, wants in OPTIONAL_APIS.items() if getattr(plan, wants))]
    if seen.apis is not None and (missing := [api for api in required_apis if api not in seen.apis]):
        yield f"APIs are not enabled; run: gcloud services enable {' '.join(missing)} --project={plan.project}"
    if seen.permissions is None:
        return
    required = sorted(name for name, resource in _needed(plan, seen).items() if not resource)
    if missing := [name for name in required if name not in seen.permissions]:
        yield f"You lack these permissions on {plan.project}: {' '.join(missing)}"


def _function_blockers(plan: Plan, seen: Observation) -> Iterator[str]:
    if "@" in plan.service_account and not seen.account_exists:
        yield f"The service account {plan.account} does not exist; give a name without @ to have it created."
    if seen.function and not seen.function.ours:
        yield f"The function {plan.function} was not created by deploy.sh: choose another --function."


def _dataset_blockers(plan: Plan, seen: Observation) -> Iterator[str]:
    if not seen.dataset:
        return
    location = seen.dataset.location
    if not plan.location:
        if problem := location_problem(location, plan.region):
            yield problem
    elif plan.location.lower() != location.lower():
        yield (
            f"The dataset {plan.dataset} is in {location}, not in {plan.location}: omit --location or choose another "
            "--dataset."
        )
    for name, what in seen.others.items():
        yield (
            f"{plan.dataset}.{name} exists and was not created by this deployment; it {what}: choose another --name or "
            "--dataset."
        )
