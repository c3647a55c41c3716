"""Decides whether a deployment can start: pure functions from what was planned and observed to a list of blockers."""

import shutil
from collections.abc import Iterator, Mapping

from deploy.builder import builder_note, builder_problems
from deploy.observation import MemberReport, Observation
from deploy.plan import Plan, location_problem
from deploy.rights import WRITES_RECORD, Place, needed
from deploy.secrets import SECRET_MANAGER, secret_note, secret_problems
from deploy.service_problems import service_problems
from deploy.sizes import memory_problem
from launch.lock import PYTHONS, runtime

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
        *service_problems(plan, seen),
        *builder_problems(plan, seen),
        *(
            it
            for found in seen.secrets
            for it in secret_problems(plan, found, seen.project_policy, seen.account_exists)
        ),
    ]


def memory_blockers(plan: Plan, seen: Observation) -> list[str]:
    """Return why a model can't fit into the memory of the plan, which --advise may change after the other checks.

    The models of a service need not fit at once: the least recently used makes room.
    """
    members = seen.model.members if seen.model else {}
    return [
        problem
        for name, it in members.items()
        if (problem := memory_problem(_model(name, members), it.memory, plan.workers, plan.memory, plan.cpu))
    ]


def _model(name: str, members: Mapping[str, MemberReport]) -> str:
    return f"The model {name}" if len(members) > 1 else "The model"


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
    for name, place in _lacking(plan, seen).items():
        if place and name not in seen.tested:
            yield f"You lack {name} on {plan.project}; it must be granted on {place.text}, which cannot be tested."
    yield from filter(None, [builder_note(plan, seen)])
    yield from filter(None, (secret_note(plan, found, seen.project_policy) for found in seen.secrets))


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
    lacking = _lacking(plan, seen)
    if missing := sorted(name for name, place in lacking.items() if not place):
        yield f"You lack these permissions on {plan.project}: {' '.join(missing)}"
    for name, place in lacking.items():
        if place and seen.tested.get(name) is False:
            yield f"You lack {name} on {plan.project} and on {place.text}: ask for it on one of them."
    for bucket, names in seen.lacking_on_buckets.items():
        elsewhere = "; or keep the record in another bucket with --record" if set(names) <= set(WRITES_RECORD) else ""
        yield f"You lack these permissions on gs://{bucket}: {' '.join(names)}{elsewhere}."


def _lacking(plan: Plan, seen: Observation) -> dict[str, Place | None]:
    """Return the permissions that this run needs and the project doesn't grant, with the resource that may."""
    if seen.permissions is None:
        return {}
    return {name: place for name, place in needed(plan, seen).items() if name not in seen.permissions}


def _function_blockers(plan: Plan, seen: Observation) -> Iterator[str]:
    if "@" in plan.service_account and not seen.account_exists:
        yield f"The service account {plan.account} does not exist; give a name without @ to have it created."
    if seen.function and not seen.function.ours:
        yield f"The function {plan.function} was not created by deploy.sh: choose another --function."
    if seen.foreign_service:
        yield (
            f"A Cloud Run service {plan.function} exists in {plan.region}, and was not created by deploy.sh: choose "
            "another --function."
        )


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
