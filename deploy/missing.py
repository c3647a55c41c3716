"""What a deployment has to create: the resources and grants that don't exist, as entries of the record."""

from collections.abc import Iterator

from deploy.observation import BUCKET_READER, CONNECTION_USER, Observation
from deploy.passed_flags import settings
from deploy.plan import Plan
from deploy.record import Entry


def missing(plan: Plan, seen: Observation) -> Iterator[Entry]:
    """Yield an entry for everything that this run creates, and for each setting that it makes."""
    if not seen.account_exists:
        yield Entry("account", plan.account)
    if not seen.bucket_policy.grants(BUCKET_READER, f"serviceAccount:{plan.account}"):
        yield reader(plan)
    if not seen.function:
        yield Entry("function", plan.function)
    connection_id = plan.connection_id(seen.dataset.location if seen.dataset else plan.new_location)
    if not seen.connection:
        yield Entry("connection", connection_id)
    if not seen.dataset:
        yield Entry("dataset", plan.dataset_id)
    for member in plan.grant:
        if not (seen.connection and seen.connection.policy.grants(CONNECTION_USER, member)):
            yield Entry("analyst", f"{connection_id} {member}")
    for name in settings(plan):
        yield Entry("setting", name)


def reader(plan: Plan) -> Entry:
    """Return the entry of the grant that lets the function's account read the model's bucket."""
    return Entry("reader", f"{plan.account} {plan.bucket}")
