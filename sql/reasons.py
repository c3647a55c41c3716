"""The SQL around a remote function that replies with reasons: STRUCT<value, error> with typed columns.

BigQuery sends one row per request for a call inside IF, CASE or COALESCE. So a wrapper calls the remote function
outside of all of them, once per row, and hands its JSON to a second SQL function, which takes it apart.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from serving.column_names import argument_names
from serving.functions import SqlFunction
from serving.model import Model
from serving.options import read_options
from serving.signature import Output
from sql.declarations import Argument, Declaration, declarations
from sql.names import identifier, string_literal
from sql.settings import SqlSettings


@dataclass(frozen=True)
class Wrapper:
    """One SQL function around others; `body` is its expression."""

    name: str
    arguments: tuple[Argument, ...]
    returns: str
    body: str


def created(model: Model, settings: SqlSettings, dataset: str) -> list[Declaration | Wrapper]:
    """Return every function to create, each after those that it calls; `dataset` is quoted, with its project."""
    made: list[Declaration | Wrapper] = []
    for declaration in declarations(model, settings):
        made.append(declaration)
        if declaration.explains:
            made += _wrappers(declaration, declaration.explains, model, settings, dataset)
    return made


def _wrappers(
    remote: Declaration, explained: SqlFunction, model: Model, settings: SqlSettings, dataset: str
) -> list[Wrapper]:
    """Return the function that takes a reply of `remote` apart, and the one that analysts call."""
    options = read_options(remote.context, explained.keys)
    value_type, value = _value(explained.outputs(model, options), explained.sql_type(model, options))
    reply, parts_name, name = settings.routines(explained)
    returns = f"STRUCT<value {value_type}, error STRING>"
    parts = f'STRUCT(\n    {value} AS value,\n    JSON_VALUE(reply, "$.error") AS error\n  )'
    arguments = ", ".join(identifier(argument.name) for argument in remote.arguments)
    call = f"{dataset}.{parts_name}({dataset}.{reply}({arguments}))"
    return [
        Wrapper(parts_name, (Argument("reply", "JSON"),), returns, parts),
        Wrapper(name, remote.arguments, returns, call),
    ]


def _value(outputs: Sequence[Output] | None, sql_type: str) -> tuple[str, str]:
    """Return the type of the value and its expression; several outputs are the fields of a STRUCT."""
    names = [output.name or "" for output in outputs or ()]
    if len(names) < 2 or not all(re.fullmatch(r'[^"\\]+', name) for name in names):
        return sql_type, _typed("$.value", sql_type)
    types, values = [], []
    for output, name, field in zip(outputs or (), names, argument_names(names), strict=True):
        types.append(f"{identifier(field)} {output.sql_type}")
        path = f"$.value.{name}" if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) else f'$.value."{name}"'
        values.append(f"{_typed(path, output.sql_type)} AS {identifier(field)}")
    return f"STRUCT<{', '.join(types)}>", "STRUCT(\n      " + ",\n      ".join(values) + "\n    )"


def _typed(path: str, sql_type: str) -> str:
    """Return the expression for a value of a reply, whose JSON is that of TO_JSON_STRING."""
    scalar, json = (f"{function}(reply, {string_literal(path)})" for function in ("JSON_VALUE", "JSON_QUERY"))
    by_type = {
        "STRING": scalar,
        "BYTES": f"FROM_BASE64({scalar})",
        "JSON": f"IF(JSON_TYPE({json}) = 'null', NULL, {json})",
    }
    return by_type.get(sql_type, f"CAST({scalar} AS {sql_type})")
