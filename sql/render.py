"""Writes the CREATE FUNCTION statements for a model: the only writer of DDL in the project.

BigQuery's arguments are positional and a request carries no names, so the statement is where the order of columns is
fixed. The rule: names and types come from the model's signature, never from a person, and the hash of both travels in
`user_defined_context`, so that a model with other columns refuses the call instead of answering it wrongly.
"""

import json
import re
import sys
import unicodedata
from collections.abc import Sequence

import click
from sqlglot.dialects.bigquery import BigQuery

from model_loader import load
from serving.errors import ServingError
from serving.functions import SqlFunction, on_offer
from serving.model import Model

MOST_ARGUMENTS = 256  # of one function, by BigQuery's quotas
LONGEST_NAME = 128  # characters of an argument's name
PATH = r"(/(?!eventlog$|_ah/)[A-Za-z0-9_/-]*(?<!z))?"  # what BigQuery allows after the host

FORMS = {
    "project": (
        r"[a-z][a-z0-9-]{2,61}[a-z0-9]",
        "lower-case letters, digits and hyphens, such as my-project",
    ),
    "dataset": (r"\w{1,1024}", "letters, digits and underscores, such as models"),
    "connection": (r"[a-z][a-z0-9-]*\.[\w-]+", "location.name such as us.remote-models"),
    "endpoint": (r"https?://[\w.:-]+" + PATH, "the function's URL, with a path of letters, digits, - and _ at most"),
}


class RenderError(click.ClickException):
    """A statement that cannot be written; the message says why."""


def render(
    model_uri: str,
    *,
    project: str,
    dataset: str,
    connection: str,
    endpoint: str,
    max_batching_rows: int | None = None,
    form: str = "sql",
) -> str:
    """Return the CREATE FUNCTION statements of every SQL function that makes sense for the model.

    `connection` is location.name; without `max_batching_rows` BigQuery chooses; `form` "terraform" gives resources
    instead. Raise RenderError for a bad name, and ServingError when the model cannot be had.
    """
    places = {"project": project, "dataset": dataset, "connection": connection, "endpoint": endpoint}
    for key, value in places.items():
        pattern, expected = FORMS[key]
        if not re.fullmatch(pattern, value, re.ASCII):
            raise RenderError(f"The {key} is {value!r}; expected {expected}.")
    model = load(model_uri)
    if form == "terraform":
        from sql.terraform import terraform  # writes with what stands here

        return terraform(model, declared(model), **places, max_batching_rows=max_batching_rows)
    statements = []
    for function in declared(model):
        pairs = ", ".join(f"('{key}', '{value}')" for key, value in context(function, model).items())
        options = {
            "endpoint": _text(endpoint),
            "user_defined_context": f"[{pairs}]",
            "max_batching_rows": str(max_batching_rows) if max_batching_rows else "",
            "description": _text(description(function, model)),
        }
        statements.append(
            f"CREATE OR REPLACE FUNCTION `{project}`.{dataset}.{function.name}({_arguments(function, model)})\n"
            f"RETURNS {function.sql_type(model)}\n"
            f"REMOTE WITH CONNECTION `{project}.{connection}`\n"
            "OPTIONS (\n" + ",\n".join(f"  {key} = {value}" for key, value in options.items() if value) + "\n);\n"
        )
    return "\n".join(statements)


def declared(model: Model) -> list[SqlFunction]:
    """Return the functions that get a statement: beyond 256 columns predict_row alone takes them all."""
    wide = len(model.signature.columns) > MOST_ARGUMENTS
    return [function for function in on_offer(model) if not (wide and function.takes == "columns")]


def context(function: SqlFunction, model: Model) -> dict[str, str]:
    """Return what travels with every request of a function."""
    return {"function": function.name, "schema": model.signature.schema}


def description(function: SqlFunction, model: Model) -> str:
    """Return what a person reads about a function in BigQuery: what it does, and from which model."""
    info = model.info
    return f"{function.description} Model {info.uri}, digest {info.digest[:12]}, saved {info.saved[:16]}."


def argument_names(columns: Sequence[str]) -> list[str]:
    """Return an SQL identifier for each column, all different whatever their case.

    Letters with accents lose them, other characters become underscores; a reserved word is quoted.
    """
    taken: set[str] = set()
    names = []
    for position, column in enumerate(columns):
        plain = "".join(letter for letter in unicodedata.normalize("NFKD", column) if not unicodedata.combining(letter))
        stem = re.sub(r"\W", "_", plain, flags=re.ASCII)[: LONGEST_NAME - 6] or f"x{position}"
        stem = f"_{stem}" if stem[0].isdigit() else stem
        name, count = stem, 1
        while name.lower() in taken:
            count += 1
            name = f"{stem}_{count}"
        taken.add(name.lower())
        names.append(f"`{name}`" if name.lower() in BigQuery.Generator.RESERVED_KEYWORDS else name)
    return names


def _arguments(function: SqlFunction, model: Model) -> str:
    if function.takes == "nothing":
        return ""
    if function.takes == "row":
        return "`row` JSON"
    columns = model.signature.columns
    names = argument_names([column.name for column in columns])
    lines = []
    for name, column in zip(names, columns, strict=True):
        comma = "," if column is not columns[-1] else ""
        renamed = "" if name.strip("`") == column.name else f"  -- {' '.join(column.name.split())}"
        lines.append(f"  {name} {column.sql_type}{comma}{renamed}\n")
    return "\n" + "".join(lines)


def _text(value: str) -> str:
    """Return a GoogleSQL string literal; it has all of JSON's escapes."""
    return json.dumps(value, ensure_ascii=False)


@click.command(
    epilog="Example: python -m sql.render --model gs://my-bucket/california --project my-project "
    "--dataset models --connection us.remote-models --endpoint https://predict-abc-uc.a.run.app"
)
@click.option(
    "--model", "model_uri", required=True, metavar="URI", help="gs://bucket/prefix, models:/name@alias, a folder."
)
@click.option("--project", required=True, help="The project of the dataset and the connection.")
@click.option("--dataset", required=True, help="The dataset that gets the functions.")
@click.option("--connection", required=True, metavar="LOCATION.NAME", help="The connection, such as us.remote-models.")
@click.option("--endpoint", required=True, metavar="URL", help="The deployed function's URL.")
@click.option("--max-batching-rows", type=click.IntRange(1), metavar="N", help="The most rows of one request.")
@click.option("--format", "form", type=click.Choice(["sql", "terraform"]), default="sql", help="What to write.")
def main(
    model_uri: str, project: str, dataset: str, connection: str, endpoint: str, max_batching_rows: int | None, form: str
) -> None:
    """Print the CREATE FUNCTION statements for a model."""
    try:
        text = render(
            model_uri,
            project=project,
            dataset=dataset,
            connection=connection,
            endpoint=endpoint,
            max_batching_rows=max_batching_rows,
            form=form,
        )
    except ServingError as error:
        raise RenderError(str(error)) from None
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
