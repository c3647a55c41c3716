"""Which permissions a run needs, on what, and who is asked whether the caller has them there.

A permission may be granted on the project or on one resource. deploy.sh asks the project first, and then each resource
that exists and has an API for the question; BigQuery has none for datasets.
"""

from dataclasses import dataclass

from deploy.observation import BUCKET_READER, INVOKER, Observation
from deploy.plan import Plan
from deploy.planned import planned_record

# All that a run may need on the project, and what it is asked about at once.
PERMISSIONS = (
    "bigquery.connections.create", "bigquery.connections.delegate", "bigquery.connections.get",
    "bigquery.datasets.create", "bigquery.jobs.create", "bigquery.routines.create", "cloudfunctions.functions.create",
    "cloudfunctions.functions.update", "iam.serviceAccounts.actAs", "iam.serviceAccounts.create",
    "run.services.setIamPolicy",
)  # fmt: skip
SETS_POLICY = "storage.buckets.setIamPolicy"
# Writing an object over another one deletes that one.
WRITES_RECORD = ("storage.objects.create", "storage.objects.delete")


@dataclass(frozen=True)
class Place:
    """A resource that exists, on which a permission may be granted in place of the project.

    `api` and `path` are those of its testIamPermissions; both are empty for a resource without.
    """

    text: str
    api: str = ""
    path: str = ""


def needed(plan: Plan, seen: Observation) -> dict[str, Place | None]:
    """Return the permissions that this run needs; None for what only the project can grant, as nothing exists yet."""
    region = plan.region_path
    function = service = connection = dataset = account = None
    if seen.function:
        function = Place(f"the function {plan.function}", "cloudfunctions", f"v2/{region}/functions/{plan.function}")
        service = Place(f"the service {plan.function}", "run", f"v1/{region}/services/{plan.function}")
    if seen.connection:
        location = (seen.dataset.location if seen.dataset else plan.new_location).lower()
        path = f"v1/projects/{plan.project}/locations/{location}/connections/{plan.connection}"
        connection = Place(f"the connection {plan.connection}", "bigqueryconnection", path)
    if seen.dataset:
        dataset = Place(f"the dataset {plan.dataset}")
    if seen.account_exists:
        text = f"the service account {plan.account}"
        account = Place(text, "iam", f"v1/projects/{plan.project}/serviceAccounts/{plan.account}")
    found = {
        "bigquery.jobs.create": None,
        "bigquery.routines.create": dataset,
        "bigquery.connections.delegate": connection,
        "iam.serviceAccounts.actAs": account,
        f"cloudfunctions.functions.{'update' if function else 'create'}": function,
    }
    if not account:
        found["iam.serviceAccounts.create"] = None
    if not dataset:
        found["bigquery.datasets.create"] = None
    if not connection:
        found |= {"bigquery.connections.create": None, "bigquery.connections.get": None}
    if not (seen.function and seen.connection and seen.function.policy.grants(INVOKER, seen.connection.member)):
        found["run.services.setIamPolicy"] = service
    return found


def needed_on_buckets(plan: Plan, seen: Observation) -> dict[str, list[str]]:
    """Return the permissions that this run needs on each bucket: the model's, and the record's."""
    found: dict[str, list[str]] = {}
    if not seen.bucket_policy.grants(BUCKET_READER, f"serviceAccount:{plan.account}"):
        found[plan.bucket] = [SETS_POLICY]
    if seen.found.uri != plan.record_uri or planned_record(plan, seen, seen.record) != seen.record:
        found.setdefault(plan.record_bucket, []).extend(WRITES_RECORD)
    return found
