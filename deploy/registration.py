"""The SQL functions in BigQuery: their statements, and who may call them."""

import dataclasses
import hashlib
from functools import partial

from deploy.deployment import Deployment
from deploy.gcloud import ROOT
from deploy.observation import CONNECTION_USER, ROUTINE_CALLER
from deploy.plan import bq_connection
from deploy.record import Entry
from deploy.rest import Rest
from deploy.routine_policy import allow_call, read_policy
from launch.description import Description
from sql.render import render


def register_sql(deployment: Deployment) -> None:
    """Create the SQL functions, or replace them if anything that their statements say has changed."""
    plan, sql_hash = deployment.plan, _sql_hash(deployment)
    existing = deployment.seen.dataset.routines if deployment.seen.dataset else frozenset()
    known = deployment.entry.routines_in(plan.dataset_id)
    if deployment.entry.sql.get(plan.dataset_id) == sql_hash and existing.issuperset(known):
        deployment.commands.say(f"The SQL functions in {plan.dataset} are up to date")
        return
    statements = _render(deployment)
    deployment.remember_routines(deployment.model.functions)
    deployment.commands.change(
        f"Registering the SQL functions in {plan.dataset}",
        f"Ask for roles/bigquery.dataEditor on the dataset {plan.dataset} and roles/bigquery.connectionAdmin on the "
        "connection.",
        deployment.commands.bq(f"--location={deployment.location}", "query", "--nouse_legacy_sql", statements),
    )
    deployment.remember_sql(sql_hash)
    if earlier := [name for name in known if name not in deployment.model.functions]:
        names = ", ".join(f"{plan.dataset}.{name}" for name in earlier)
        deployment.commands.say(f"{names} of earlier deployments stay; --destroy deletes them too")


def _sql_hash(deployment: Deployment) -> str:
    """Return the hash of everything that the statements depend on."""
    found = hashlib.sha256()
    for file in sorted([*ROOT.glob("sql/*.py"), *ROOT.glob("serving/*.py")]):
        found.update(file.read_bytes())
    plan = deployment.plan
    values = (
        deployment.model.digest,
        plan.served_uri,
        plan.model_version,
        deployment.function_url,
        deployment.connection_id,
        plan.max_batching_rows,
        plan.sql,
        _called(deployment),
    )
    found.update("\n".join(map(str, values)).encode())
    return found.hexdigest()[:40]


def _render(deployment: Deployment) -> str:
    """Return the CREATE FUNCTION statements."""
    plan = deployment.plan
    model = Description.parse(deployment.model.description).model
    version = plan.model_version or model.info.digest
    model.info = dataclasses.replace(model.info, uri=plan.served_uri, version=version)
    return render(
        model,
        project=plan.project,
        dataset=plan.dataset,
        connection=f"{deployment.location.lower()}.{plan.connection}",
        endpoint=deployment.function_url,
        max_batching_rows=plan.max_batching_rows,
        settings=plan.sql,
        called=_called(deployment),
    )


def _called(deployment: Deployment) -> str:
    """Return the name by which the SQL functions ask for the model; the default one answers without."""
    return "" if deployment.entry.default else deployment.entry.name


def grant_analysts(deployment: Deployment) -> None:
    """Let those named by --grant use the connection and call each SQL function."""
    plan, commands = deployment.plan, deployment.commands
    rest = Rest(commands)
    names = deployment.entry.routines_in(plan.dataset_id) if plan.grant else []
    routines = [f"{plan.project}:{plan.dataset}.{name}" for name in names]
    reads = {name: commands.start(partial(read_policy, commands, rest, name)) for name in routines}
    policies = {name: read.result() for name, read in reads.items()}
    for member in plan.grant:
        if Entry("analyst", f"{deployment.connection_id} {member}") in deployment.missing:
            deployment.commands.change(
                f"Allowing {member} to use the connection",
                f"Ask for roles/bigquery.connectionAdmin on the connection {deployment.connection_id}.",
                commands.bq(
                    "add-iam-policy-binding", "--connection", f"--member={member}", f"--role={CONNECTION_USER}",
                    bq_connection(deployment.connection_id),
                ),
            )  # fmt: skip
        for name in routines:
            if not policies[name].grants(ROUTINE_CALLER, member):
                allow_call(commands, rest, name, member)
