"""Removes from the record what a failed run did not create.

Resources are recorded before they're created, so that none is forgotten; a name that stayed in the record could be
somebody else's resource by the time of --destroy.
"""

from dataclasses import replace

from deploy.deployment import Deployment
from deploy.missing import missing
from deploy.reading import Reader
from deploy.record import Entry


def forget_unmade(deployment: Deployment) -> None:
    """Look again at what was missing, and take what still is from the record, unless something can't be read."""
    if deployment.commands.dry_run or deployment.record == deployment.seen.record:
        return
    plan, start = deployment.plan, deployment.commands.start
    reader = Reader(plan, deployment.commands)
    account, function, dataset = start(reader.account), start(reader.function), start(reader.dataset)
    connection = start(lambda: reader.connection(dataset.result()))
    policy = start(lambda: reader.bucket_policy(deployment.seen.record))
    seen = replace(
        deployment.seen,
        account_exists=account.result() is not None,
        bucket_policy=policy.result(),
        function=function.result(),
        dataset=dataset.result(),
        connection=connection.result(),
    )
    if reader.problems:
        return
    unmade = {it for it in set(missing(plan, seen)) & set(deployment.missing) if it.resource != "setting"}
    routines = seen.dataset.routines if seen.dataset else frozenset()
    unmade |= {
        Entry("routine", f"{plan.dataset_id}.{name}")
        for name in deployment.record.routines(plan.dataset_id)
        if name not in routines
    }
    deployment.save_quietly(deployment.record.remove(unmade - set(deployment.seen.record.entries)))
