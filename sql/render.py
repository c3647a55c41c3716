"""Writes the CREATE FUNCTION statements for a model: `python -m sql.render`."""

import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial

import click

from launch.examine import examined
from serving.model import Model
from sql.declarations import Argument, Declaration, declarations
from sql.names import DOMAIN, identifier, string_literal
from sql.reasons import Wrapper, wrappers
from sql.settings import DEFAULT, SqlSettings, problems, settings_options
from sql.terraform import terraform

ENDPOINT_PATH = r"(/(?!eventlog$|_ah/)[A-Za-z0-9_/-]*(?<!z))?"  # what BigQuery allows after the host

# option -> (pattern, what to expect)
PLACES = {
    "project": (
        DOMAIN + r"[a-z][a-z0-9-]{2,61}[a-z0-9]",
        "lower-case letters, digits and hyphens, such as my-project or example.com:my-project",
    ),
    "dataset": (r"\w{1,1024}", "letters, digits and underscores, such as models"),
    "connection": (r"[a-z][a-z0-9-]*\.[\w-]+", "location.name, such as us.remote-models"),
    "endpoint": (
        r"https?://[\w.:-]+" + ENDPOINT_PATH,
        "the function's URL; its path may have letters, digits, - and _ only",
    ),
}


class RenderError(click.ClickException):
    """The statements can't be written; the message says why."""

    exit_code = 2  # of bad input, as click has it


def render(
    model: Model,
    *,
    project: str,
    dataset: str,
    connection: str,
    endpoint: str,
    max_batching_rows: int | None = None,
    form: str = "sql",
    settings: SqlSettings = DEFAULT,
) -> str:
    """Return the CREATE FUNCTION statements of every SQL function that BigQuery can call.

    `connection` is location.name; without `max_batching_rows` BigQuery chooses; `form` "terraform" gives resources
    instead, "drop" the statements that drop everything. Raise RenderError for a malformed place, and for settings that
    the model doesn't take.
    """
    places = {"project": project, "dataset": dataset, "connection": connection, "endpoint": endpoint}
    for option, value in places.items():
        pattern, expected = PLACES[option]
        if not re.fullmatch(pattern, value, re.ASCII):
            raise RenderError(f"The {option} is {value!r}; expected {expected}.")
    if found := list(problems(settings, model)):
        raise RenderError(" ".join(found))
    declared = declarations(model, settings)
    if form == "terraform":
        if any(declaration.explains for declaration in declared):
            raise RenderError(
                "--on-error json needs functions of SQL, which --format terraform doesn't write: omit it."
            )
        return terraform(declared, **places, max_batching_rows=max_batching_rows)
    place = f"`{project}`.{dataset}"
    remote = {"connection": f"`{project}.{connection}`", "endpoint": string_literal(endpoint)}
    made: list[tuple[str, str]] = []  # each function's name and statement
    for declaration in declared:
        made.append((declaration.name, _remote(declaration, place, remote, max_batching_rows)))
        if declaration.explains:
            around = wrappers(declaration, declaration.explains, model, settings, place)
            made += [(wrapper.name, _around(wrapper, place)) for wrapper in around]
    if form == "drop":  # a function before those that it calls
        return "".join(f"DROP FUNCTION IF EXISTS {place}.{name};\n" for name, _ in reversed(made))
    return "\n".join(statement for _, statement in made)


def _remote(declaration: Declaration, place: str, remote: Mapping[str, str], max_batching_rows: int | None) -> str:
    pairs = ", ".join(f"('{key}', {_quoted(value)})" for key, value in declaration.context.items())
    options = {
        "endpoint": remote["endpoint"],
        "user_defined_context": f"[{pairs}]",
        **({"max_batching_rows": str(max_batching_rows)} if max_batching_rows else {}),
        "description": string_literal(declaration.description),
    }
    return (
        f"CREATE OR REPLACE FUNCTION {place}.{declaration.name}({_arguments(declaration.arguments)})\n"
        f"RETURNS {declaration.returns}\n"
        f"REMOTE WITH CONNECTION {remote['connection']}\n"
        "OPTIONS (\n" + ",\n".join(f"  {key} = {value}" for key, value in options.items()) + "\n);\n"
    )


def _around(wrapper: Wrapper, place: str) -> str:
    return (
        f"CREATE OR REPLACE FUNCTION {place}.{wrapper.name}({_arguments(wrapper.arguments)})\n"
        f"RETURNS {wrapper.returns}\n"
        f"AS (\n  {wrapper.body}\n);\n"
    )


def _quoted(text: str) -> str:
    """Return text as a string literal in single quotes, which has the same escapes as one in double quotes."""
    return "'" + string_literal(text)[1:-1].replace("'", "\\'") + "'"


def _arguments(arguments: Sequence[Argument]) -> str:
    """Return the argument list. Columns get a line each, with a comment where the model has another name for one."""
    lines = []
    for position, argument in enumerate(arguments, start=1):
        text = f"{identifier(argument.name)} {argument.sql_type}"
        if argument.column is None:
            return text
        comma = "," if position < len(arguments) else ""
        comment = "" if argument.name == argument.column else f"  -- {' '.join(argument.column.split())}"
        lines.append(f"  {text}{comma}{comment}\n")
    return "\n" + "".join(lines) if lines else ""


@click.command(
    epilog="Example: python -m sql.render --model gs://my-bucket/california --project my-project "
    "--dataset models --connection us.remote-models --endpoint https://predict-abc-uc.a.run.app"
)
@click.option(
    "--model", "model_uri", required=True, metavar="URI", help="gs://bucket/prefix, models:/name@alias or a folder."
)
@click.option("--project", required=True, help="Project of the dataset and the connection.")
@click.option("--dataset", required=True, help="Dataset to create the functions in.")
@click.option("--connection", required=True, metavar="LOCATION.NAME", help="Connection, such as us.remote-models.")
@click.option("--endpoint", required=True, metavar="URL", help="URL of the deployed function.")
@click.option("--max-batching-rows", type=click.IntRange(1), metavar="N", help="Maximum number of rows per request.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["sql", "terraform", "drop"]),
    default="sql",
    show_default=True,
    help="Output format; drop prints what drops all that the same options create.",
)
@settings_options
def main(
    model_uri: str,
    project: str,
    dataset: str,
    connection: str,
    endpoint: str,
    max_batching_rows: int | None,
    form: str,
    settings: SqlSettings,
) -> None:
    """Print the CREATE FUNCTION statements for a model."""
    with examined(model_uri, partial(click.echo, err=True)) as found:
        text = render(
            found.description.model,
            project=project,
            dataset=dataset,
            connection=connection,
            endpoint=endpoint,
            max_batching_rows=max_batching_rows,
            form=form,
            settings=settings,
        )
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
