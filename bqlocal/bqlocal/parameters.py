"""Query parameters: replaces `@name` and `?` in a parsed statement by literals of GoogleSQL.

A value never becomes part of a statement's text, so it cannot change what the statement does.
"""

import base64
import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from sqlglot import exp, parse_one

from bqlocal.errors import QueryError
from bqlocal.types import TYPES

# By name for `@name`, in order for `?`.
Parameters: TypeAlias = Mapping[str, Any] | Sequence[Any]

_MISSING = object()


def bind(statement: exp.Expr, parameters: Parameters) -> exp.Expr:
    """Replace a statement's parameters by their values; raise QueryError when one has none."""
    named = {name.lower(): value for name, value in parameters.items()} if isinstance(parameters, Mapping) else {}
    positional = iter(() if isinstance(parameters, Mapping) else parameters)
    # A depth-first walk visits each `?` in the order in which they are written.
    for node in list(statement.dfs()):
        if isinstance(node, exp.Parameter):
            value = named.get(node.name.lower(), _MISSING)
            if value is _MISSING:
                raise QueryError(f"Query parameter '{node.name}' not found")
        elif isinstance(node, exp.Placeholder):
            value = next(positional, _MISSING)
            if value is _MISSING:
                raise QueryError("Query parameter number is larger than number of parameters provided")
        else:
            continue
        node.replace(literal(value))
    return statement


def literal(value: Any) -> exp.Expr:
    """Return a Python value as an expression of GoogleSQL; raise QueryError when it has no SQL type."""
    if isinstance(value, exp.Expr):
        return value
    if isinstance(value, list | tuple):
        return exp.Array(expressions=[literal(item) for item in value])
    if value is None or isinstance(value, bool):
        return exp.null() if value is None else exp.Boolean(this=value)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, bytes):
        return exp.FromBase64(this=exp.Literal.string(base64.b64encode(value).decode()))
    if isinstance(value, dt.datetime):
        return typed_literal("TIMESTAMP" if value.tzinfo else "DATETIME", value.isoformat(" "))
    for python_type, sql_type in _SQL_TYPES.items():
        if isinstance(value, python_type):
            return typed_literal(sql_type, str(value))
    raise QueryError(f"A query parameter is {value!r}; expected a value of {', '.join(TYPES)} or a list of them.")


def typed_literal(sql_type: str, text: str) -> exp.Expr:
    """Return a text as a value of a SQL type, as in `--parameter NAME:TYPE:TEXT`; no type means STRING."""
    sql_type = sql_type.upper() or "STRING"
    if sql_type not in TYPES:
        raise QueryError(f"A query parameter has type {sql_type!r}; expected one of {', '.join(TYPES)}.")
    string = exp.Literal.string(text)
    if sql_type == "STRING":
        return string
    if sql_type == "INT64":
        try:
            return _integer(int(text))
        except ValueError as error:
            raise QueryError(f"Bad int64 value: {text}") from error
    if sql_type == "BYTES":
        return exp.FromBase64(this=string)
    if sql_type == "JSON":
        return exp.ParseJSON(this=string)
    if sql_type == "BIGNUMERIC":
        return parse_one(f"BIGNUMERIC {string.sql('bigquery')}", read="bigquery")
    return exp.cast(string, exp.DataType.build(sql_type, dialect="bigquery"))


def _integer(value: int) -> exp.Expr:
    number = exp.Literal.number(abs(value))
    return exp.Neg(this=number) if value < 0 else number


_SQL_TYPES = {float: "FLOAT64", Decimal: "NUMERIC", str: "STRING", dt.date: "DATE", dt.time: "TIME"}
