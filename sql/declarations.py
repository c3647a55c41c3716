"""What BigQuery is told about each SQL function of a model. render.py writes it as DDL, terraform.py as resources.

BigQuery passes arguments by position, without names, so the declaration is where the order of columns is fixed. Names
and types come from the model's signature, and their hash travels in `user_defined_context`: a model with other columns
rejects the call instead of answering it wrongly.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from serving.column_names import argument_names
from serving.functions import SqlFunction
from serving.model import Model, ModelInfo
from serving.options import read_options
from sql.names import callable_functions
from sql.settings import DEFAULT, SqlSettings


@dataclass(frozen=True)
class Argument:
    """One argument; `column` is the model's name for it, None for an argument that carries a whole row."""

    name: str
    sql_type: str
    column: str | None = None


@dataclass(frozen=True)
class Declaration:
    """One remote function; `context` is sent with each request, `description` is shown in BigQuery's console.

    `explains` is the function whose value or error the replies have as JSON, None where they have the value itself.
    """

    name: str
    arguments: tuple[Argument, ...]
    returns: str
    context: Mapping[str, str]
    description: str
    explains: SqlFunction | None = None


def declarations(model: Model, settings: SqlSettings = DEFAULT) -> list[Declaration]:
    """Return the declaration of every remote function; reasons.py makes what is around those that explain."""
    info = model.info
    source = f"Model {_place(info)}, digest {info.digest[:12]}, saved {info.saved[:16]}."
    if info.made_signature:
        source = f"{source} {info.made_signature}"
    declared = []
    for function in callable_functions(model):
        context = {"function": function.name, "schema": model.signature.schema, **settings.context(function)}
        explains = settings.explains(function)
        declared.append(
            Declaration(
                name=settings.routines(function)[0],
                arguments=tuple(_arguments(function, model)),
                returns="JSON" if explains else function.sql_type(model, read_options(context, function.keys)),
                context=context,
                description=f"{function.description} {source}",
                explains=function if explains else None,
            )
        )
    return declared


def _place(info: ModelInfo) -> str:
    """Return where the model is, after its registered name and version if it has them."""
    if not info.registered:
        return info.uri
    version = re.sub("^([^/]+)/([0-9]+)$", r"\1 version \2", info.version)
    return f"{version} at {info.uri}"


def _arguments(function: SqlFunction, model: Model) -> list[Argument]:
    if function.takes == "nothing":
        return []
    if function.takes == "row":
        return [Argument("row", "JSON")]
    columns = model.signature.columns
    names = argument_names([column.name for column in columns])
    return [Argument(name, column.sql_type, column.name) for name, column in zip(names, columns, strict=True)]
