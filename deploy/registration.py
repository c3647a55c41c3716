"""The SQL functions in BigQuery: their statements, and who may call them."""

import hashlib
import sys
from functools import partial

import click

from deploy.deployment import Deployment
from deploy.errors import StepFailed
from deploy.gcloud import ROOT, Commands
from deploy.observation import CONNECTION_USER, NO_POLICY, ROUTINE_CALLER, Policy
from deploy.record import Entry


def register_sql(deployment: Deployment) -> None:
    """Create the SQL functions, or replace them if anything that their statements say has changed."""
    plan = deployment.plan
    entry = Entry("sql", _sql_hash(deployment))
    existing = deployment.seen.dataset.routines if deployment.seen.dataset else frozenset()
    if entry in deployment.record and existing.issuperset(deployment.record.names("routine")):
        click.echo(f"The SQL functions in {plan.dataset} are up to date")
        return
    statements = _render(deployment)
    deployment.remember(*(Entry("routine", name) for name in deployment.model.functions))
    deployment.commands.change(
        f"Registering the SQL functions in {plan.dataset}",
        f"Ask for roles/bigquery.dataEditor on the dataset {plan.dataset} and roles/bigquery.connectionAdmin on the "
        "connection.",
        deployment.commands.bq(f"--location={deployment.location}", "query", "--nouse_legacy_sql", statements),
    )
    deployment.remember(entry)


def _sql_hash(deployment: Deployment) -> str:
    """Return the hash of everything that the statements depend on."""
    found = hashlib.sha256()
    for file in sorted([*ROOT.glob("sql/*.py"), *ROOT.glob("serving/*.py")]):
        found.update(file.read_bytes())
    plan = deployment.plan
    values = (
        deployment.model.digest,
        plan.model_uri,
        deployment.function_url,
        deployment.connection_id,
        plan.max_batching_rows,
    )
    found.update("\n".join(map(str, values)).encode())
    return found.hexdigest()[:40]


def _render(deployment: Deployment) -> str:
    """Return the CREATE FUNCTION statements, written by a process that loads the model."""
    plan = deployment.plan
    command = [
        sys.executable, "-m", "sql.render", f"--model={plan.model_source}", f"--project={plan.project}",
        f"--dataset={plan.dataset}", f"--connection={deployment.location.lower()}.{plan.connection}",
        f"--endpoint={deployment.function_url}",
    ]  # fmt: skip
    if plan.max_batching_rows:
        command.append(f"--max-batching-rows={plan.max_batching_rows}")
    result = deployment.commands.run(command, seconds=None)
    if not result.ok:
        raise StepFailed("Writing the SQL statements", result.reason, "Fix this error and run the same command again.")
    return result.out


def grant_analysts(deployment: Deployment) -> None:
    """Let those named by --grant use the connection and call each SQL function."""
    plan, commands = deployment.plan, deployment.commands
    names = deployment.record.names("routine") if plan.grant else []
    routines = [f"{plan.project}:{plan.dataset}.{name}" for name in names]
    reads = {name: commands.start(partial(_routine_policy, commands, name)) for name in routines}
    policies = {name: read.result() for name, read in reads.items()}
    for member in plan.grant:
        if Entry("analyst", f"{deployment.connection_id} {member}") in deployment.missing:
            deployment.commands.change(
                f"Allowing {member} to use the connection",
                f"Ask for roles/bigquery.connectionAdmin on the connection {deployment.connection_id}.",
                commands.bq(
                    "add-iam-policy-binding", "--connection", f"--member={member}", f"--role={CONNECTION_USER}",
                    deployment.connection_id,
                ),
            )  # fmt: skip
        for name in routines:
            if not policies[name].grants(ROUTINE_CALLER, member):
                deployment.commands.change(
                    f"Allowing {member} to call {name.partition(':')[2]}",
                    f"Ask for roles/bigquery.dataOwner on the dataset {plan.dataset}.",
                    commands.bq(
                        "add-iam-policy-binding", "--routine", f"--member={member}", f"--role={ROUTINE_CALLER}", name
                    ),
                )


def _routine_policy(commands: Commands, name: str) -> Policy:
    result = commands.run(commands.bq("get-iam-policy", "--routine", name))
    return Policy.parse(result.json()) if result.ok else NO_POLICY
