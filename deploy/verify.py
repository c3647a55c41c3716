"""The end of a deployment: the SQL functions must give the model's own predictions for its input example."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import click

from deploy.deployment import Deployment
from deploy.errors import StepFailed, Superseded
from deploy.gcloud import TRANSIENT
from deploy.observation import ModelReport
from deploy.passed import OWN_LABEL
from deploy.rest import Rest
from deploy.symptoms import known_advice
from parity import compare
from serving.errors import quantity

# What BigQuery reports while a grant has no effect yet: on the connection, the function or the bucket. Google says that
# it "typically" takes 2 minutes and "potentially 7 minutes or longer":
# https://cloud.google.com/iam/docs/access-change-propagation
NOT_GRANTED = (
    r"(response code|HTTP|HTTPError) 403\b|PERMISSION_DENIED|Permission denied|Access Denied|may not be read by this"
)


def verify(deployment: Deployment) -> None:
    """Score the input example in BigQuery and compare. Wait for new grants to take effect."""
    plan, commands = deployment.plan, deployment.commands
    _confirm(deployment)
    step = "Comparing what SQL returns with the model's own predictions"
    commands.say(step)
    command = commands.bq(f"--location={deployment.location}", "query", "--nouse_legacy_sql", "--max_rows=1000")
    if commands.dry_run:
        click.echo(f"    {shlex.join(command)} <<< {shlex.quote(deployment.model.parity_query)}")
        return
    result = commands.retry(
        command,
        f"{TRANSIENT}|{NOT_GRANTED}",
        plan.wait,
        stdin=deployment.model.parity_query,
    )
    if not result.ok:
        advice = (
            f"Read the log: gcloud functions logs read {plan.function} --gen2 --region={plan.region} "
            f"--project={plan.project}."
        )
        if result.matches(f"{TRANSIENT}|{NOT_GRANTED}"):
            advice = (
                f"The grants did not take effect in time: check those of {plan.account} on gs://{plan.bucket} and of "
                f"the connection on {plan.function}."
            )
        raise StepFailed(step, result.reason, f"{known_advice(result.reason)} {advice}".lstrip())
    found = differences(deployment.model, result.json())
    if found:
        advice = "Do not use the SQL functions: the deployed packages or the model differ from those here."
        raise StepFailed(step, " ".join(found), advice)
    count = len(deployment.model.predictions)
    click.echo(f"{quantity(count, 'prediction')} {'matches' if count == 1 else 'match'} the model's own.")


def _confirm(deployment: Deployment) -> None:
    """Raise Superseded if another run has changed the models of the service, or what is deployed of them."""
    deployment.record_file.confirm()
    if deployment.commands.dry_run:
        return
    plan = deployment.plan
    place = f"v2/{quote(plan.region_path)}/functions/{plan.function}"
    found = Rest(deployment.commands).request("GET", "cloudfunctions", place)
    if found.ok and found.json().get("labels", {}).get(OWN_LABEL) != deployment.source_hash:
        raise Superseded


def differences(model: ModelReport, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each difference between the rows of the parity query and the model's own predictions."""
    predictions = model.predictions
    if len(rows) != len(predictions):
        expected = quantity(len(predictions), "row")
        return [f"SQL returned {quantity(len(rows), 'row')} for {expected} of the input example."]
    others = sorted({str(row["digest"]) for row in rows} - {model.digest})
    found = [f"The model with digest {others[0]} answers, not the deployed {model.digest}."] if others else []
    answers = [json.loads(row["predicted"]) for row in rows]
    return found + [
        f"Row {it.row} of the input example: SQL gives {rows[it.row]['predicted']}, "
        f"the model's own library {json.dumps(it.prediction)}."
        for it in compare.differences(answers, predictions)
    ]
