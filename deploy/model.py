"""Finds out whether and how a model can be deployed, before anything is created: `python -m deploy.model`.

The model is examined in its own environment. The report is a JSON file, see ModelReport; problems are printed, one
sentence a line, and end with status 2.
"""

import dataclasses
import json
import sys
from functools import partial
from pathlib import Path

import click

from deploy.observation import ModelReport
from launch.errors import Blocked
from launch.examine import Examined, Options, examined, predictions
from launch.lock import PYTHONS, runtime
from launch.options import environment_options
from sql.example_query import example_query
from sql.names import callable_functions
from sql.settings import SqlSettings, problems, settings_options

MAX_ROWS = 100  # in the query


def report(found: Examined, functions: str, options: Options, settings: SqlSettings) -> ModelReport:
    """Return the report on a model; `functions` is PROJECT.DATASET.

    Raise Blocked if the model doesn't take the settings, or if SQL can't be verified.
    """
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
        memory=description.memory,
        predictions=expected,
    )


@click.command()
@click.option("--model", "uri", required=True, help="gs://bucket/prefix or a folder.")
@click.option("--functions", required=True, metavar="PROJECT.DATASET", help="Where the SQL functions will be.")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="The JSON file for the report.")
@click.option(
    "--pythons", default=",".join(PYTHONS), show_default=True, help="The Pythons of which the function can have one."
)
@environment_options
@settings_options
def main(uri: str, functions: str, output: Path, pythons: str, options: Options, settings: SqlSettings) -> None:
    """Find out whether and how a model can be deployed; deploy.sh runs this.

    \b
    Example:
      python -m deploy.model --model demo-output/model --functions my-project.ds --output demo-output/report.json
    """
    options = dataclasses.replace(options, pythons=tuple(pythons.split(",")))
    try:
        with examined(uri, partial(click.echo, err=True), options) as found:
            output.write_text(json.dumps(dataclasses.asdict(report(found, functions, options, settings))))
    except Blocked as error:
        for problem in error.blockers:
            click.echo(" ".join(problem.split()))
        sys.exit(2)


if __name__ == "__main__":
    main(prog_name="python -m deploy.model")
