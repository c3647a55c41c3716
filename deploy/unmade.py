"""Removes from the record what a failed run did not create.

Resources are recorded before they're created, so that none is forgotten; a name that stayed in the record could be
somebody else's resource by the time of --destroy.
"""

from dataclasses import replace

from deploy.deployment import Deployment
from deploy.missing import missing
from deploy.reading import Reader


def forget_unmade(deployment: Deployment) -> None:
    """Look again at what was missing, and take what still is from the record, unless something can't be read."""
    before, record = deployment.seen.record, deployment.record
    if deployment.commands.dry_run or record == before:
        return
    plan, start = deployment.plan, deployment.commands.start
    reader = Reader(plan, deployment.commands)
    account, function, dataset = start(reader.account), start(reader.function), start(reader.dataset)
    connection = start(lambda: reader.connection(dataset.result()))
    policy = start(lambda: reader.bucket_policy(before))
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
    record = record.remove(unmade - set(before.entries))
    if deployment.source_hash or before.names("routine"):
        gone = {f"{plan.dataset_id}.{name}" for name in deployment.model.functions if name not in routines}
        entry = deployment.entry
        kept = tuple(name for name in entry.routines if name not in gone or name in before.routines)
        record = record.with_model(replace(entry, routines=kept))
    else:  # the function serves the models that it served before
        record = replace(record, models=before.models)
    deployment.record_file.try_update(record)
