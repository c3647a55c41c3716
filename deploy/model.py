"""Finds out whether and how a model can be deployed, before anything is created: `python -m deploy.model`.

The model is examined in its own environment. The report is a JSON file, see ModelReport; problems are printed, one
sentence a line, and end with status 2.
"""

import dataclasses
import json
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import click

from deploy.observation import MemberReport, ModelReport
from deploy.service import ServiceModel, requirements_file
from launch.description import Description
from launch.errors import Blocked
from launch.examine import Examined, Options, predictions
from launch.lock import PYTHONS, runtime
from launch.options import environment_options
from launch.together import Member, examined_together
from sql.example_query import example_query
from sql.names import callable_functions
from sql.settings import SqlSettings, problems, settings_options

MAX_ROWS = 100  # in the query


def report(
    service: Mapping[str, Examined], called: str, functions: str, options: Options, settings: SqlSettings
) -> ModelReport:
    """Return the report on the model with the name `called` of a service; `functions` is PROJECT.DATASET.

    Raise Blocked if the model doesn't take the settings, or if SQL can't be verified.
    """
    found = service[called]
    description, lock = found.description, found.environment.lock
    reasons = list(problems(settings, description.model))
    if not description.rows:
        reasons.append(
            f"The model at {found.uri} has no usable input example and predicts no rows made from its signature, "
            "so SQL's predictions cannot be compared with the model's own: pass a table of rows that it was "
            "trained on with --signature-from, or save it again with input_example=X.head()."
        )
    if reasons:
        raise Blocked(reasons)
    rows, expected = description.rows[:MAX_ROWS], list(description.predictions[:MAX_ROWS])
    if settings.params:
        expected, _ = predictions(found, rows, json.loads(settings.params))
    return ModelReport(
        digest=description.model.info.digest,
        description=description.to_json(),
        notes=found.notes,
        signed=str(found.folder) if options.signature_from else "",
        runtime=runtime(lock.python),
        requirements=lock.text,
        functions=tuple(
            name for function in callable_functions(description.model) for name in settings.routines(function)
        ),
        parity_query=example_query(description.model.signature, rows, functions, settings),
        predictions=expected,
        members={name: _member(it.description) for name, it in service.items()},
    )


def _member(description: Description) -> MemberReport:
    info = description.model.info
    plan = description.settings.get("MODEL_PLAN", "on")
    return MemberReport(info.digest, plan, tuple(info.requirements), description.memory)


@click.command()
@click.option("--model", "uri", required=True, help="gs://bucket/prefix or a folder.")
@click.option("--functions", required=True, metavar="PROJECT.DATASET", help="Where the SQL functions will be.")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="The JSON file for the report.")
@click.option(
    "--pythons", default=",".join(PYTHONS), show_default=True, help="The Pythons of which the function can have one."
)
@click.option("--called", default="model", help="The name of the model in its service.")
@click.option(
    "--members",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A JSON file with the other models of the service, as the record has them.",
)
@environment_options
@settings_options
def main(
    uri: str,
    functions: str,
    output: Path,
    pythons: str,
    called: str,
    members: Path | None,
    options: Options,
    settings: SqlSettings,
) -> None:
    """Find out whether and how a model can be deployed; deploy.sh runs this.

    \b
    Example:
      python -m deploy.model --model demo-output/model --functions my-project.ds --output demo-output/report.json
    """
    options = dataclasses.replace(options, pythons=tuple(pythons.split(",")))
    others = [ServiceModel.from_json(it) for it in json.loads(members.read_text())] if members else []
    for other in others:
        if other.registry:
            os.environ["MLFLOW_TRACKING_URI"] = other.registry
    service = [Member(called, uri, options), *(_of_service(it, options.pythons) for it in others)]
    try:
        with examined_together(service, partial(click.echo, err=True)) as found:
            output.write_text(json.dumps(dataclasses.asdict(report(found, called, functions, options, settings))))
    except Blocked as error:
        for problem in error.blockers:
            click.echo(" ".join(problem.split()))
        sys.exit(2)


def _of_service(model: ServiceModel, pythons: tuple[str, ...]) -> Member:
    return Member(model.name, model.uri, Options(requirements=requirements_file(model), pythons=pythons))


if __name__ == "__main__":
    main(prog_name="python -m deploy.model")
