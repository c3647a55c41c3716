"""A GoogleSQL query as DuckDB's SQL, by sqlglot, with the differences that sqlglot leaves put right.

The rule: a query means here what it means in BigQuery, or it is refused by name. So calls are allowed by list
(`supported.py`) and not forbidden by list; every allowed function is compared with real GoogleSQL in the
tests.
"""

from collections import Counter
from collections.abc import Collection, Mapping

from sqlglot import Token, TokenType, exp, tokenize

from bqlocal.errors import NotSupportedError, QueryError
from bqlocal.refusals import ONE_ROW, REMOTE, check
from bqlocal.remote import RemoteFunction
from bqlocal.rewrites import REWRITES

Names = Mapping[str, tuple[str, RemoteFunction]]  # project.dataset.function -> (name in DuckDB, what was declared)

# Expressions that may skip rows; BigQuery calls a function in them for one row at a time.
SKIPPING = (exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.When)

# DuckDB orders windows by no function that may change its mind. The function of this name is declared to be
# one that does not; elsewhere that would let DuckDB call it fewer times than there are rows.
STABLE = "_stable"
SINGLE = "_single"  # the function of this name is called for one row at a time

# Types whose string literals BigQuery reads as values of the type when a function wants one.
_LITERAL_TYPES = ("DATE", "DATETIME", "TIME", "TIMESTAMP")


def to_duckdb(statement: exp.Expr, project: str, tables: Collection[str], remote: Names) -> exp.Expr:
    """Translate a query or what of a statement needs it, or say what in it cannot be answered here."""
    statement = statement.copy()
    if isinstance(statement, exp.Query):
        _name_columns(statement)
    _qualify_tables(statement, project, tables)
    for dot in list(statement.find_all(exp.Dot)):
        _remote_call(dot, project, remote)
    for call in list(statement.find_all(exp.Anonymous)):
        if "." in call.name:
            _replace_remote_call(call, call, call.name.split("."), project, remote)
    nodes = list(statement.walk())
    for node in nodes:
        check(node)
    # Inner nodes first, so that a rewritten node holds rewritten arguments.
    for node in reversed(nodes):
        rewrite = REWRITES.get(type(node))
        if rewrite is not None:
            node.replace(rewrite(node))
    _refuse_repetition(statement)
    return statement


def _refuse_repetition(query: exp.Expr) -> None:
    """DuckDB has no word for some functions, so their arguments are written twice: never a remote call."""
    written = query.sql("duckdb")
    once = Counter(call.name for call in query.find_all(exp.Anonymous) if REMOTE in call.meta)
    for name, times in once.items():
        if written.count(f"{name.upper()}(") + written.count(f"{name}(") > times:
            raise NotSupportedError("A remote call at this place", "compute it in a subquery and name it there")


def quote_projects(text: str, projects: Collection[str]) -> str:
    """Put projects with dashes, which sqlglot takes for minus, in backticks where a function is called."""
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


def _dashed_project(tokens: list[Token], projects: Collection[str]) -> int:
    """Return how many adjacent tokens at the beginning spell one of the projects; 0 for none."""
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
    """Name the nameless columns of the result f0_, f1_, ... as BigQuery does."""
    nameless = 0
    for column in list(query.selects):
        field = isinstance(column, exp.Dot) and not isinstance(column.expression, exp.Func)
        if not (field or column.is_star or isinstance(column, exp.Alias | exp.Column)):
            column.replace(exp.alias_(column.copy(), f"f{nameless}_"))
            nameless += 1


def _qualify_tables(query: exp.Expr, project: str, tables: Collection[str]) -> None:
    named = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    for table in list(query.find_all(exp.Table)):
        if not isinstance(table.this, exp.Identifier):
            raise NotSupportedError(f"The table function {table.this.sql('bigquery')}")
        if not table.db:
            if table.name.lower() not in named:
                raise QueryError(f'Table "{table.name}" must be qualified with a dataset (e.g. dataset.table).')
            continue
        name = f"{table.catalog or project}.{table.db}.{table.name}"
        if name not in tables:
            known = ", ".join(sorted(tables)) or "none"
            raise QueryError(f"Not found: Table {name}; loaded are: {known}.")
        table.replace(duckdb_table(name, table))


def duckdb_table(name: str, table: exp.Table | None = None) -> exp.Table:
    """Return the table `project.dataset.table` as DuckDB has it: one schema for each dataset of each project."""
    dataset, _, short = name.rpartition(".")
    args = {**table.args, "catalog": None} if table is not None else {}
    return exp.Table(
        **{**args, "this": exp.to_identifier(short, quoted=True), "db": exp.to_identifier(dataset, quoted=True)}
    )


def _remote_call(dot: exp.Dot, project: str, remote: Names) -> None:
    """Rewrite `dataset.function(...)` and `project.dataset.function(...)`; other dots are fields."""
    call = dot.expression
    if not isinstance(call, exp.Func):
        return
    if not isinstance(call, exp.Anonymous):
        raise NotSupportedError(f"The function {dot.sql('bigquery')}")
    path = dot.this.sql("bigquery").replace("`", "")
    _replace_remote_call(dot, call, [*path.split("."), call.name], project, remote)


def _replace_remote_call(node: exp.Expr, call: exp.Anonymous, path: list[str], project: str, remote: Names) -> None:
    name = ".".join(path if len(path) > 2 else [project, *path])
    if name not in remote:
        raise QueryError(f"Function not found: {name}; create it with CREATE FUNCTION {name}(...) ... REMOTE ... .")
    duckdb_name, function = remote[name]
    arguments = call.expressions
    if len(arguments) != len(function.arguments):
        raise QueryError(
            f"Number of arguments does not match for function {name}: it takes {len(function.arguments)}, "
            f"not {len(arguments)}. Supported signature: {function.signature()}"
        )
    typed = [_literal(value, kind) for value, (_, kind) in zip(arguments, function.arguments, strict=True)]
    # DuckDB wants at least one argument, from which it learns how many rows there are.
    one_row = node.find_ancestor(*SKIPPING) is not None
    duckdb_name += SINGLE * one_row + STABLE * (node.find_ancestor(exp.Window) is not None)
    translated = exp.Anonymous(this=duckdb_name, expressions=[exp.true(), *typed])
    translated.meta[REMOTE] = function.name
    if one_row:
        translated.meta[ONE_ROW] = True
    node.replace(translated)


def _literal(value: exp.Expr, kind: str) -> exp.Expr:
    """Cast a literal as BigQuery does without being asked: '2020-01-02' for a DATE, 1.5 for a NUMERIC."""
    if isinstance(value, exp.Literal):
        if value.is_string and kind in _LITERAL_TYPES:
            return exp.cast(value, exp.DataType.build(kind, dialect="bigquery"))
        if not value.is_string and not value.is_int and kind in ("NUMERIC", "BIGNUMERIC"):
            return exp.cast(exp.Literal.string(value.name), exp.DataType.build(kind, dialect="bigquery"))
    return value
