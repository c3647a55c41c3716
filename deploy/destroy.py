"""--destroy: deletes the resources that the record lists, in reverse order of creation. Everything else stays."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from deploy.errors import StepFailed, Superseded
from deploy.gcloud import ABSENT, RETRYABLE, TRANSIENT, Commands
from deploy.observation import BUCKET_READER, CONNECTION_USER
from deploy.plan import Plan, bq_connection
from deploy.record import Entry, Record
from deploy.record_file import CHANGED, Found, deletion_command


@dataclass(frozen=True)
class Deletion:
    """One command that deletes a resource or a grant, and what to do if it fails."""

    step: str
    advice: str
    command: Sequence[str]
    kept: str = ""  # what to say, in place of failing, of a resource that cannot be deleted
    conditional: bool = False  # whether it deletes only what this run has read


def destroy(plan: Plan, found: Found, commands: Commands) -> None:
    """Delete what a record lists, then the record itself. Resources that are gone already are skipped.

    Raise Superseded if another run has written the record meanwhile.
    """
    if not found.uri:
        click.echo(f"There is nothing to delete: {plan.record_uri} does not exist.")
        return
    record = found.record
    deletions = [
        *sql_deletions(record.routines, commands),
        *_datasets(record, commands),
        *_connection(plan, record, commands),
        *_function(plan, record),
        Deletion(
            "Deleting the record",
            f"Ask for roles/storage.objectUser on {found.uri}.",
            deletion_command(found),
            conditional=True,
        ),
    ]
    for number, deletion in enumerate(deletions, 1):
        commands.progress = f"[{number}/{len(deletions)}]"
        delete(deletion, commands)
    if not commands.dry_run:
        click.echo(f"Everything that deploy.sh created is deleted; {_kept(plan, record)}.")


def _kept(plan: Plan, record: Record) -> str:
    uris = [model.uri for model in record.models]
    return f"the models stay: {', '.join(uris)}" if len(uris) > 1 else f"the model in {plan.model_uri} stays"


def delete(deletion: Deletion, commands: Commands) -> None:
    """Delete one resource; one that is gone already is no failure."""
    try:
        retryable = TRANSIENT if deletion.conditional else RETRYABLE
        commands.change(deletion.step, deletion.advice, deletion.command, retryable)
    except StepFailed as failure:
        if re.search(ABSENT, failure.reason):
            return
        if deletion.conditional and re.search(CHANGED, failure.reason):
            raise Superseded from failure
        if not deletion.kept:
            raise
        click.echo(f"{deletion.kept}: {failure.reason}")


def sql_deletions(routines: Sequence[str], commands: Commands) -> Iterator[Deletion]:
    """Yield the deletion of each SQL function, PROJECT.DATASET.NAME."""
    for routine in routines:
        place, _, name = routine.rpartition(".")
        project, _, dataset = place.rpartition(".")
        yield Deletion(
            f"Deleting the SQL function {dataset}.{name}",
            f"Ask for roles/bigquery.dataEditor on {dataset}.",
            commands.bq("rm", "-f", "--routine", f"{project}:{dataset}.{name}"),
        )


def _datasets(record: Record, commands: Commands) -> Iterator[Deletion]:
    for place in record.names("dataset"):
        project, _, dataset = place.rpartition(".")
        yield Deletion(
            f"Deleting the dataset {dataset} if it is empty",
            f"Ask for roles/bigquery.dataOwner on {dataset}.",
            # Without -r, which would also delete other people's tables.
            commands.bq("rm", "-f", "--dataset", f"{project}:{dataset}"),
            kept=f"The dataset {dataset} stays",
        )


def _connection(plan: Plan, record: Record, commands: Commands) -> Iterator[Deletion]:
    for pair in record.names("analyst"):
        name, member = pair.split()
        if Entry("connection", name) not in record:  # or its grants go with it
            yield Deletion(
                f"Revoking the connection {name} from {member}",
                f"Ask for roles/bigquery.connectionAdmin on {name}.",
                commands.bq(
                    "remove-iam-policy-binding", "--connection", f"--member={member}", f"--role={CONNECTION_USER}",
                    bq_connection(name),
                ),
            )  # fmt: skip
    for name in record.names("connection"):
        yield Deletion(
            f"Deleting the connection {name}",
            f"Ask for roles/bigquery.connectionAdmin on {plan.project}.",
            commands.bq("rm", "-f", "--connection", bq_connection(name)),
        )


def _function(plan: Plan, record: Record) -> Iterator[Deletion]:
    project = f"--project={plan.project}"
    for name in record.names("function"):
        yield Deletion(
            f"Deleting the function {name}",
            f"Ask for roles/cloudfunctions.developer on {plan.project}.",
            ["gcloud", "functions", "delete", name, "--gen2", project, f"--region={plan.region}", "--quiet"],
        )
    # Before the account: a policy would keep the name of a deleted account.
    for pair in record.names("reader"):
        name, bucket = pair.split()
        yield Deletion(
            f"Revoking access to gs://{bucket} from {name}",
            f"Ask for roles/storage.admin on gs://{bucket}.",
            [
                "gcloud", "storage", "buckets", "remove-iam-policy-binding", f"gs://{bucket}",
                f"--member=serviceAccount:{name}", f"--role={BUCKET_READER}", "--no-user-output-enabled",
            ],
        )  # fmt: skip
    for name in record.names("account"):
        yield Deletion(
            f"Deleting the service account {name}",
            f"Ask for roles/iam.serviceAccountAdmin on {plan.project}.",
            ["gcloud", "iam", "service-accounts", "delete", name, project, "--quiet"],
        )
