"""Writes the CREATE FUNCTION statements for a model, or files of other tools: `python -m sql.render`."""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import click

from launch.examine import examined
from serving.model import Model
from sql.declarations import Argument, Declaration
from sql.files import joined, write
from sql.formats import AROUND, render_around, render_module
from sql.function_source import function_source
from sql.names import connection_path, identifier, string_literal
from sql.places import RenderError, check
from sql.reasons import Wrapper, created
from sql.settings import DEFAULT, SqlSettings, settings_options
from sql.terraform import ModelFacts

FILES = {"sql": "functions.sql", "drop": "drop.sql"}


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
    called: str = "",
) -> str:
    """Return the CREATE FUNCTION statements of every SQL function that BigQuery can call.

    `connection` is location.name; without `max_batching_rows` BigQuery chooses; `form` "drop" gives the statements that
    drop everything instead; `called` is the model's name in the list of its service, empty for the default. Raise
    RenderError for a malformed place, and for settings that the model doesn't take.
    """
    places = {"project": project, "dataset": dataset, "connection": connection, "endpoint": endpoint}
    check(model, places, settings)
    place = f"`{project}`.{dataset}"
    remote = {
        "connection": connection_path(project, connection),
        "endpoint": string_literal(endpoint),
        "model": called,
    }
    made = created(model, settings, place)
    if form == "drop":  # a function before those that it calls
        return "".join(f"DROP FUNCTION IF EXISTS {place}.{identifier(it.name)};\n" for it in reversed(made))
    return "\n".join(
        _around(it, place) if isinstance(it, Wrapper) else _remote(it, place, remote, max_batching_rows) for it in made
    )


def _remote(declaration: Declaration, place: str, remote: Mapping[str, str], max_batching_rows: int | None) -> str:
    context = {**declaration.context, **({"model": remote["model"]} if remote["model"] else {})}
    pairs = ", ".join(f"('{key}', {_quoted(value)})" for key, value in context.items())
    options = {
        "endpoint": remote["endpoint"],
        "user_defined_context": f"[{pairs}]",
        **({"max_batching_rows": str(max_batching_rows)} if max_batching_rows else {}),
        "description": string_literal(declaration.description),
    }
    return (
        f"CREATE OR REPLACE FUNCTION {place}.{identifier(declaration.name)}({_arguments(declaration.arguments)})\n"
        f"RETURNS {declaration.returns}\n"
        f"REMOTE WITH CONNECTION {remote['connection']}\n"
        "OPTIONS (\n" + ",\n".join(f"  {key} = {value}" for key, value in options.items()) + "\n);\n"
    )


def _around(wrapper: Wrapper, place: str) -> str:
    return (
        f"CREATE OR REPLACE FUNCTION {place}.{identifier(wrapper.name)}({_arguments(wrapper.arguments)})\n"
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
@click.option(
    "--project",
    required=True,
    help="Project of the dataset and the connection; in an old organization example.com:my-project.",
)
@click.option("--dataset", required=True, help="Dataset to create the functions in.")
@click.option(
    "--connection", metavar="LOCATION.NAME", help="Connection, such as us.remote-models; not for dbt and dataform."
)
@click.option("--endpoint", metavar="URL", help="URL of the deployed function; only for sql and drop.")
@click.option("--max-batching-rows", type=click.IntRange(1), metavar="N", help="Maximum number of rows per request.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["sql", "terraform", "drop", *AROUND]),
    default="sql",
    show_default=True,
    help="Output format; drop prints what drops all that the same options create.",
)
@click.option(
    "--output", metavar="DIR", type=click.Path(path_type=Path), help="Folder for the format's files; default: stdout."
)
@settings_options
def main(
    model_uri: str,
    project: str,
    dataset: str,
    connection: str | None,
    endpoint: str | None,
    max_batching_rows: int | None,
    form: str,
    output: Path | None,
    settings: SqlSettings,
) -> None:
    """Print the CREATE FUNCTION statements for a model, or write what --format says."""
    creating = {"connection": connection, "endpoint": endpoint, "max-batching-rows": max_batching_rows}
    _check_creating(form, creating)
    with examined(model_uri, partial(click.echo, err=True)) as found:
        model = found.description.model
        if form in AROUND:
            files = render_around(model, project=project, dataset=dataset, form=form, settings=settings)
        elif form == "terraform":
            files = render_module(
                model,
                ModelFacts(model.info.digest, found.environment.lock.python, found.description.settings),
                project=project,
                dataset=dataset,
                connection=connection,
                max_batching_rows=max_batching_rows,
                settings=settings,
            )
            if output:  # too long for a terminal
                source = function_source(found.environment.lock.text, model.info.requirements)
                files |= {f"source/{path}": text for path, text in source.items()}
        else:
            text = render(
                model,
                project=project,
                dataset=dataset,
                connection=connection or "",
                endpoint=endpoint or "",
                max_batching_rows=max_batching_rows,
                form=form,
                settings=settings,
            )
            files = {FILES[form]: text}
    if output:
        write(files, output)
    else:
        sys.stdout.write(joined(files))


def _check_creating(form: str, options: Mapping[str, object]) -> None:
    """Raise RenderError for options that a format needs or can't use."""
    unused = {"terraform": ["endpoint"]} | {name: [*options] for name in AROUND}
    needed = [] if form in unused else ["connection", "endpoint"]
    wrong = [f"--{name} is not used by --format {form}: omit it." for name in unused.get(form, []) if options[name]]
    wrong += [f"--{name} is required." for name in needed if not options[name]]
    if wrong:
        raise RenderError(" ".join(wrong))


if __name__ == "__main__":
    main()
