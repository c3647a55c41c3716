"""Translates a GoogleSQL query into DuckDB's SQL by sqlglot, and corrects the differences that sqlglot leaves.

A query means here what it means in BigQuery, or it raises an error that names what is not supported. Functions are
therefore allowed by list (`supported.py`), not forbidden by list.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import TypeAlias

from sqlglot import Token, TokenType, exp, tokenize

from bqlocal.ambiguity import check_ambiguous
from bqlocal.checks import ONE_ROW, REMOTE, check
from bqlocal.errors import NotSupportedError, QueryError
from bqlocal.names import resolve
from bqlocal.remote import RemoteFunction
from bqlocal.rewrites import REWRITES

# project.dataset.function -> (its name in DuckDB, the function)
RemoteFunctions: TypeAlias = Mapping[str, tuple[str, RemoteFunction]]

# Expressions that may skip rows; BigQuery sends a remote call in them one row per request.
SKIPPING = (exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.When)

# Suffixes of a remote function's names in DuckDB. DuckDB rejects volatile functions in a window's ORDER BY, so a
# twin is registered that is not volatile; elsewhere DuckDB might call that one for fewer rows than there are.
STABLE = "_stable"
SINGLE = "_single"  # one row per request

# Types whose values BigQuery reads from a string literal where a function expects them.
_LITERAL_TYPES = ("DATE", "DATETIME", "TIME", "TIMESTAMP")


def to_duckdb(statement: exp.Expr, project: str, tables: Collection[str], remote: RemoteFunctions) -> exp.Expr:
    """Return a query, or a statement that contains one, for DuckDB; raise QueryError for what cannot be answered."""
    check_ambiguous(statement)
    statement = statement.copy()
    if isinstance(statement, exp.Query):
        _name_columns(statement)
    _qualify_tables(statement, project, tables)
    for dot in list(statement.find_all(exp.Dot)):
        _replace_dotted_call(dot, project, remote)
    for call in list(statement.find_all(exp.Anonymous)):
        if "." in call.name:
            _replace_remote_call(call, call, call.name.split("."), project, remote)
    nodes = list(statement.walk())
    for node in nodes:
        check(node)
    # Inner nodes first, so that a rewritten node contains rewritten arguments.
    for node in reversed(nodes):
        rewrite = REWRITES.get(type(node))
        if rewrite is not None:
            node.replace(rewrite(node))
    _check_repeated_calls(statement)
    return statement


def quote_projects(text: str, projects: Collection[str]) -> str:
    """Put backticks around projects with dashes where a function is called; sqlglot would read a subtraction."""
    tokens = tokenize(text, read="bigquery")
    quoted, copied, index = [], 0, 0
    while index < len(tokens):
        length = _dashed_project(tokens[index:], projects)
        if length:
            start, end = tokens[index].start, tokens[index + length - 1].end + 1
            quoted.append(f"{text[copied:start]}`{text[start:end]}`")
            copied = end
        index += length or 1
    return "".join(quoted) + text[copied:]


def duckdb_table(name: str, table: exp.Table | None = None) -> exp.Table:
    """Return the table `project.dataset.table` as DuckDB has it, with a schema for each dataset of each project."""
    dataset, _, short = name.rpartition(".")
    args = {**table.args, "catalog": None} if table is not None else {}
    return exp.Table(
        **{**args, "this": exp.to_identifier(short, quoted=True), "db": exp.to_identifier(dataset, quoted=True)}
    )


def _check_repeated_calls(query: exp.Expr) -> None:
    """Reject a remote call that DuckDB's SQL contains twice, because a function had to be written out."""
    text = query.sql("duckdb")
    expected = Counter(call.name for call in query.find_all(exp.Anonymous) if REMOTE in call.meta)
    for name, times in expected.items():
        if text.count(f"{name.upper()}(") + text.count(f"{name}(") > times:
            raise NotSupportedError(
                "A remote call in this place", "compute it in a subquery and use its column here instead"
            )


def _dashed_project(tokens: list[Token], projects: Collection[str]) -> int:
    """Return how many adjacent tokens at the start spell one of the projects; 0 for none."""
    spelled = ""
    for count, token in enumerate(tokens):
        if count and token.start != tokens[count - 1].end + 1:
            return 0
        if token.token_type is TokenType.DOT:
            return count if "-" in spelled and spelled in projects else 0
        if token.token_type not in (TokenType.VAR, TokenType.DASH, TokenType.NUMBER):
            return 0
        spelled += token.text
    return 0


def _name_columns(query: exp.Query) -> None:
    """Name the result's unnamed columns f0_, f1_, ... as BigQuery does."""
    unnamed = 0
    for column in list(query.selects):
        field = isinstance(column, exp.Dot) and not isinstance(column.expression, exp.Func)
        if field and not column.is_star:
            column.replace(exp.alias_(column.copy(), column.expression.name, quoted=True))
        elif not (column.is_star or isinstance(column, exp.Alias | exp.Column)):
            column.replace(exp.alias_(column.copy(), f"f{unnamed}_"))
            unnamed += 1


def _qualify_tables(query: exp.Expr, project: str, tables: Collection[str]) -> None:
    ctes = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    for table in list(query.find_all(exp.Table)):
        if not isinstance(table.this, exp.Identifier):
            raise NotSupportedError(f"The table function {table.this.sql('bigquery')}")
        if not table.db:
            if table.name.lower() not in ctes:
                raise QueryError(f'Table "{table.name}" must be qualified with a dataset (e.g. dataset.table).')
            continue
        path = [table.catalog, table.db, table.name] if table.catalog else [table.db, table.name]
        name = resolve(path, project, tables)
        if name not in tables:
            raise table_not_found(name, tables)
        table.replace(duckdb_table(name, table))


def table_not_found(name: str, tables: Collection[str]) -> QueryError:
    """Return the error for a table that does not exist."""
    return QueryError(f"Not found: Table {name}; loaded tables: {', '.join(sorted(tables)) or 'none'}.")


def function_not_found(name: str, functions: Collection[str]) -> QueryError:
    """Return the error for a function that does not exist."""
    others = f"known functions: {', '.join(sorted(functions))}"
    return QueryError(
        f"Function not found: {name}; "
        f"{others if functions else f'create it with CREATE FUNCTION {name}(...) ... REMOTE ...'}."
    )


def _replace_dotted_call(dot: exp.Dot, project: str, remote: RemoteFunctions) -> None:
    """Replace `dataset.function(...)` and `project.dataset.function(...)`; other dots are fields."""
    call = dot.expression
    if not isinstance(call, exp.Func):
        return
    if not isinstance(call, exp.Anonymous):
        raise NotSupportedError(f"The function {dot.sql('bigquery')}")
    path = dot.this.sql("bigquery").replace("`", "")
    _replace_remote_call(dot, call, [*path.split("."), call.name], project, remote)


def _replace_remote_call(
    node: exp.Expr, call: exp.Anonymous, path: list[str], project: str, remote: RemoteFunctions
) -> None:
    name = resolve(path, project, remote)
    if name not in remote:
        raise function_not_found(name, remote)
    duckdb_name, function = remote[name]
    arguments = call.expressions
    if len(arguments) != len(function.arguments):
        raise QueryError(
            f"Number of arguments does not match for function {name}: it takes {len(function.arguments)}, "
            f"not {len(arguments)}. Supported signature: {function.signature()}"
        )
    typed = [_literal(value, sql_type) for value, (_, sql_type) in zip(arguments, function.arguments, strict=True)]
    one_row = node.find_ancestor(*SKIPPING) is not None
    duckdb_name += SINGLE * one_row + STABLE * (node.find_ancestor(exp.Window) is not None)
    # DuckDB requires at least one argument, which tells it the number of rows.
    translated = exp.Anonymous(this=duckdb_name, expressions=[exp.true(), *typed])
    translated.meta[REMOTE] = function.name
    if one_row:
        translated.meta[ONE_ROW] = True
    node.replace(translated)


def _literal(value: exp.Expr, sql_type: str) -> exp.Expr:
    """Cast a literal as BigQuery does implicitly: '2020-01-02' to DATE, 1.5 to NUMERIC."""
    if isinstance(value, exp.Literal):
        if value.is_string and sql_type in _LITERAL_TYPES:
            return exp.cast(value, exp.DataType.build(sql_type, dialect="bigquery"))
        if not value.is_string and not value.is_int and sql_type in ("NUMERIC", "BIGNUMERIC"):
            return exp.cast(exp.Literal.string(value.name), exp.DataType.build(sql_type, dialect="bigquery"))
    return value
