"""SQL functions, CREATE FUNCTION ... AS (expression): written out where a statement calls them.

An argument that the expression uses several times is computed once, as BigQuery does: a remote function in it must not
be called again. What RETURNS declares isn't compared with the expression's type.
"""

import dataclasses
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import cast

import duckdb
import sqlglot
from sqlglot import exp

from bqlocal.checks import WRITTEN_OUT
from bqlocal.ddl import check_arguments, full_name
from bqlocal.errors import NotSupportedError, QueryError
from bqlocal.names import resolve

MAX_DEPTH = 20  # functions that call each other; BigQuery allows no recursion
COMPUTED = "__computed_"  # prefix of the names of arguments that are computed once
_ONCE = "list_extract(list_transform([x], lambda v: y), 1)"  # DuckDB's SQL for y, in which v is x


@dataclass(frozen=True)
class SqlFunction:
    """A SQL function as CREATE FUNCTION declared it; `body` is GoogleSQL."""

    name: str  # project.dataset.function
    arguments: Sequence[str]
    body: str


class SqlFunctions(dict[str, SqlFunction]):
    """The SQL functions by name, kept where the next session finds them."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        super().__init__()
        self._connection = connection
        connection.execute("CREATE TABLE IF NOT EXISTS sql_functions (name VARCHAR, definition VARCHAR)")
        for (definition,) in connection.execute("SELECT definition FROM sql_functions").fetchall():
            function = SqlFunction(**json.loads(definition))
            self[function.name] = function

    def define(self, function: SqlFunction) -> None:
        """Make a function callable, in place of an earlier one of that name."""
        self.forget(function.name)
        self[function.name] = function
        definition = json.dumps(dataclasses.asdict(function))
        self._connection.execute("INSERT INTO sql_functions VALUES (?, ?)", [function.name, definition])

    def forget(self, name: str) -> None:
        """Make a function unknown."""
        self.pop(name, None)
        self._connection.execute("DELETE FROM sql_functions WHERE name = ?", [name])


def sql_function(create: exp.Create, project: str) -> SqlFunction:
    """Return the function that a CREATE FUNCTION statement declares; raise QueryError if it can't be answered."""
    name = full_name(create.this.this, project, "Function")
    properties = create.args["properties"].expressions if create.args.get("properties") else []
    body = create.expression
    if (
        body is None
        or isinstance(body, exp.Literal)
        or not all(type(item) is exp.ReturnsProperty for item in properties)
    ):
        raise NotSupportedError(f"The function {name}, which has neither REMOTE WITH CONNECTION nor AS (expression),")
    if body.find(exp.Query, exp.AggFunc):
        raise NotSupportedError(f"The function {name} with a subquery or an aggregate", "put it into the query")
    arguments = [item.name for item in create.this.expressions]
    check_arguments(arguments, name)
    return SqlFunction(name, tuple(arguments), body.sql("bigquery"))


def write_out(
    statement: exp.Expr, project: str, functions: Mapping[str, SqlFunction], others: Collection[str]
) -> exp.Expr:
    """Return a statement with the expressions of SQL functions for their calls; `others` are the remote ones."""
    if not functions:
        return statement
    statement = exp.maybe_copy(statement)
    numbers = count(1)
    known = {*functions, *others}
    for _ in range(MAX_DEPTH):
        calls = [
            (node, call, functions[name])
            for node, call, path in _calls(statement)
            if (name := resolve(path, project, known)) in functions
        ]
        if not calls:
            return statement
        for node, call, function in reversed(calls):  # inner calls first
            node.replace(_written_out(call, function, numbers))
    raise QueryError(f"The function {calls[0][2].name} calls itself, which BigQuery doesn't allow.")


def _calls(statement: exp.Expr) -> Iterator[tuple[exp.Expr, exp.Anonymous, list[str]]]:
    """Yield the calls of functions with a dataset: the node to replace, the call, and the parts of the name."""
    for node in list(statement.find_all(exp.Dot, exp.Anonymous, bfs=False)):
        if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Anonymous):
            path = node.this.sql("bigquery").replace("`", "").split(".")
            yield node, node.expression, [*path, node.expression.name]
        elif isinstance(node, exp.Anonymous) and "." in node.name:
            yield node, node, node.name.split(".")


def _written_out(call: exp.Anonymous, function: SqlFunction, numbers: Iterator[int]) -> exp.Expr:
    values = call.expressions
    if len(values) != len(function.arguments):
        raise QueryError(
            f"Number of arguments does not match for function {function.name}: it takes {len(function.arguments)}, "
            f"not {len(values)}."
        )
    body: exp.Expr = exp.paren(sqlglot.parse_one(function.body, read="bigquery").unnest())
    for argument, value in zip(function.arguments, values, strict=True):
        uses = [each for each in body.find_all(exp.Column) if each.parts[0].name.lower() == argument.lower()]
        if any(each.table for each in uses):
            raise NotSupportedError(f"{uses[0].sql('bigquery')} in the function {function.name}", "write JSON_VALUE")
        if len(uses) > 1 and not isinstance(value, exp.Column | exp.Literal):
            body = _once(value, uses, body, f"{COMPUTED}{next(numbers)}")
        else:
            for use in uses:
                use.replace(value.copy())
    return body


def _once(value: exp.Expr, uses: Sequence[exp.Column], body: exp.Expr, name: str) -> exp.Expr:
    """Return the expression with a value in place of some of its columns, computed once."""
    for use in uses:
        use.replace(exp.column(name))
    once = sqlglot.parse_one(_ONCE, read="duckdb")
    for node in once.walk():
        node.meta[WRITTEN_OUT] = True
    lambda_ = cast(exp.Lambda, once.find(exp.Lambda))
    lambda_.set("expressions", [exp.to_identifier(name)])
    lambda_.set("this", body)
    next(column for column in once.find_all(exp.Column) if column.name == "x").replace(value.copy())
    return once
