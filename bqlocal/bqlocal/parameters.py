"""Query parameters: `@name` and `?`, in place of which a typed value of GoogleSQL is read.

The rule: a value is never pasted into the text of a statement; it becomes a literal of the parsed tree.
"""

import base64
import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from sqlglot import exp, parse_one

from bqlocal.encoding import TYPES
from bqlocal.errors import QueryError

Parameters: TypeAlias = Mapping[str, Any] | Sequence[Any]


def bind(statement: exp.Expr, parameters: Parameters) -> exp.Expr:
    """Put values in place of the parameters of a statement."""
    named = {name.lower(): value for name, value in parameters.items()} if isinstance(parameters, Mapping) else {}
    positional = iter(() if isinstance(parameters, Mapping) else parameters)
    missing = object()
    # Written order is the order of `?`: it is the order of a depth-first walk.
    for node in list(statement.dfs()):
        if isinstance(node, exp.Parameter):
            value = named.get(node.name.lower(), missing)
            if value is missing:
                raise QueryError(f"Query parameter '{node.name}' not found")
        elif isinstance(node, exp.Placeholder):
            value = next(positional, missing)
            if value is missing:
                raise QueryError("Query parameter number is larger than number of parameters provided")
        else:
            continue
        node.replace(literal(value))
    return statement


def literal(value: Any) -> exp.Expr:
    """Return a Python value as an expression of GoogleSQL."""
    if isinstance(value, exp.Expr):
        return value
    if isinstance(value, list | tuple):
        return exp.Array(expressions=[literal(item) for item in value])
    if value is None or isinstance(value, bool):
        return exp.null() if value is None else exp.Boolean(this=value)
    if isinstance(value, int):
        return _number(value)
    if isinstance(value, bytes):
        return exp.FromBase64(this=exp.Literal.string(base64.b64encode(value).decode()))
    if isinstance(value, dt.datetime):
        return typed("TIMESTAMP" if value.tzinfo else "DATETIME", value.isoformat(" "))
    for kind, sql_type in _TYPES.items():
        if isinstance(value, kind):
            return typed(sql_type, str(value))
    raise QueryError(f"A query parameter is {value!r}; expected one of {', '.join(TYPES)} or a list of such.")


def typed(sql_type: str, text: str) -> exp.Expr:
    """Return the value that a text means for a type: `--parameter name:TYPE:text`."""
    sql_type = sql_type.upper() or "STRING"
    if sql_type not in TYPES:
        raise QueryError(f"A query parameter has type {sql_type!r}; expected {', '.join(TYPES)}.")
    string = exp.Literal.string(text)
    if sql_type == "STRING":
        return string
    if sql_type == "INT64":
        try:
            return _number(int(text))
        except ValueError as error:
            raise QueryError(f"Bad int64 value: {text}") from error
    if sql_type == "BYTES":
        return exp.FromBase64(this=string)
    if sql_type == "JSON":
        return exp.ParseJSON(this=string)
    if sql_type == "BIGNUMERIC":
        return parse_one(f"BIGNUMERIC {string.sql('bigquery')}", read="bigquery")
    return exp.cast(string, exp.DataType.build(sql_type, dialect="bigquery"))


def _number(value: int) -> exp.Expr:
    number = exp.Literal.number(abs(value))
    return exp.Neg(this=number) if value < 0 else number


_TYPES = {float: "FLOAT64", Decimal: "NUMERIC", str: "STRING", dt.date: "DATE", dt.time: "TIME"}
