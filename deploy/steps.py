"""The steps of a deployment, in order. Each creates one thing if it is missing; none deletes anything.

To add a step, write a function of a Deployment and list it in STEPS. It must change things through `Commands.change`,
which prints the command in a dry run, retries transient errors, and names the step and what to do when it fails. If it
creates a resource that --destroy should delete, add the resource's name to `Resource` in record.py, without which
`Record.parse` skips its line; yield it in `missing.missing`, so that it is recorded before it is created; and
delete it in destroy.py.
"""

import sys
from collections.abc import Callable

from deploy.deployment import Deployment
from deploy.errors import StepFailed
from deploy.function import deploy_function
from deploy.missing import reader
from deploy.observation import BUCKET_READER, INVOKER
from deploy.plan import bq_connection
from deploy.planned import planned_record
from deploy.record import Entry
from deploy.registration import grant_analysts, register_sql
from deploy.verify import verify


def record_plan(deployment: Deployment) -> None:
    """Record everything that is missing and the models of the service, before any of it is created."""
    deployment.record_file.move()
    deployment.record_file.update(lambda record: planned_record(deployment.plan, deployment.seen, record))


def publish_model(deployment: Deployment) -> None:
    """Upload a local model."""
    if folder := deployment.model.signed or deployment.plan.model_folder:
        deployment.commands.change(
            f"Publishing the model {folder} to {deployment.plan.model_uri}",
            f"Ask for roles/storage.objectUser on gs://{deployment.plan.bucket}.",
            [sys.executable, "-m", "loading.publish", str(folder), deployment.plan.model_uri],
        )


def create_account(deployment: Deployment) -> None:
    """Create the service account that the function runs as."""
    account = deployment.plan.account
    if Entry("account", account) in deployment.missing:
        project = f"--project={deployment.plan.project}"
        deployment.commands.create(
            f"Creating the service account {account}",
            f"Ask for roles/iam.serviceAccountCreator on {deployment.plan.project}.",
            [
                "gcloud", "iam", "service-accounts", "create", account.partition("@")[0], project,
                f"--display-name=SQL function {deployment.plan.function}", "--no-user-output-enabled",
            ],
            ["gcloud", "iam", "service-accounts", "describe", account, project, "--format=json"],
        )  # fmt: skip


def grant_bucket(deployment: Deployment) -> None:
    """Let the account read the model's bucket."""
    account, bucket = deployment.plan.account, f"gs://{deployment.plan.bucket}"
    if reader(deployment.plan) in deployment.missing:
        deployment.commands.change(
            f"Allowing {account} to read {bucket}",
            f"Ask for roles/storage.admin on {bucket}.",
            [
                "gcloud", "storage", "buckets", "add-iam-policy-binding", bucket,
                f"--member=serviceAccount:{account}", f"--role={BUCKET_READER}", "--no-user-output-enabled",
            ],
        )  # fmt: skip


def create_connection(deployment: Deployment) -> None:
    """Create the connection through which BigQuery calls the function."""
    if Entry("connection", deployment.connection_id) not in deployment.missing:
        return
    advice = f"Ask for roles/bigquery.connectionAdmin on {deployment.plan.project}."
    step = f"Creating the connection {deployment.connection_id}"
    location = f"--location={deployment.location.lower()}"
    created = deployment.commands.bq(
        "mk", "--connection", location, "--connection_type=CLOUD_RESOURCE", deployment.plan.connection
    )
    shows = deployment.commands.bq("show", "--connection", bq_connection(deployment.connection_id))
    deployment.commands.create(step, advice, created, shows)
    if not deployment.commands.dry_run:
        shown = deployment.commands.run(shows)
        if not shown.ok:
            raise StepFailed(step, shown.reason, advice)
        deployment.caller = shown.json()["cloudResource"]["serviceAccountId"]


def grant_invoker(deployment: Deployment) -> None:
    """Let the connection, and nobody else, call the function."""
    plan, member = deployment.plan, f"serviceAccount:{deployment.caller}"
    if deployment.seen.function and deployment.seen.function.policy.grants(INVOKER, member):
        return
    deployment.commands.change(
        "Allowing the connection to call the function",
        f"Ask for roles/run.admin on the service {plan.function}.",
        [
            "gcloud", "run", "services", "add-iam-policy-binding", plan.function, f"--project={plan.project}",
            f"--region={plan.region}", f"--member={member}", f"--role={INVOKER}", "--no-user-output-enabled",
        ],
    )  # fmt: skip


def create_dataset(deployment: Deployment) -> None:
    """Create the dataset that holds the SQL functions."""
    plan = deployment.plan
    if Entry("dataset", plan.dataset_id) in deployment.missing:
        name = f"{plan.project}:{plan.dataset}"
        deployment.commands.create(
            f"Creating the dataset {plan.dataset} in {deployment.location}",
            f"Ask for roles/bigquery.user on {plan.project}.",
            deployment.commands.bq("mk", "--dataset", f"--location={deployment.location}", name),
            deployment.commands.bq("show", name),
        )


STEPS: tuple[Callable[[Deployment], None], ...] = (
    record_plan,
    publish_model,
    create_account,
    grant_bucket,
    deploy_function,
    create_connection,
    grant_invoker,
    create_dataset,
    register_sql,
    grant_analysts,
    verify,
)
