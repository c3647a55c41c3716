"""A GoogleSQL query as DuckDB's SQL, by sqlglot, with the differences that sqlglot leaves put right.

The rule: a query means here what it means in BigQuery, or it is refused by name. So calls are allowed by list
(`supported.py`) and not forbidden by list; every allowed function is compared with real GoogleSQL in the
tests.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping

from sqlglot import Token, TokenType, exp, tokenize

from local.errors import NotSupportedError, QueryError
from local.refusals import REMOTE, cast_type, check
from local.remote import RemoteFunction

Names = Mapping[str, tuple[str, RemoteFunction]]  # project.dataset.function -> (name in DuckDB, what was declared)

# DuckDB orders windows by no function that may change its mind. The function of this name is declared to be
# one that does not; elsewhere that would let DuckDB call it fewer times than there are rows.
STABLE = "_stable"

# Types whose string literals BigQuery reads as values of the type when a function wants one.
_LITERAL_TYPES = ("DATE", "DATETIME", "TIME", "TIMESTAMP")


def to_duckdb(query: exp.Query, project: str, tables: Collection[str], remote: Names) -> str:
    """Translate a query, or say what in it cannot be answered here."""
    query = query.copy()
    _name_columns(query)
    _qualify_tables(query, project, tables)
    for dot in list(query.find_all(exp.Dot)):
        _remote_call(dot, project, remote)
    for call in list(query.find_all(exp.Anonymous)):
        if "." in call.name:
            _replace_remote_call(call, call, call.name.split("."), project, remote)
    nodes = list(query.walk())
    for node in nodes:
        check(node)
    # Inner nodes first, so that a rewritten node holds rewritten arguments.
    for node in reversed(nodes):
        rewrite = _REWRITES.get(type(node))
        if rewrite is not None:
            node.replace(rewrite(node))
    written = query.sql("duckdb")
    _refuse_repetition(query, written)
    return written


def _refuse_repetition(query: exp.Query, written: str) -> None:
    """DuckDB has no word for some functions, so their arguments are written twice: never a remote call."""
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


def _qualify_tables(query: exp.Query, project: str, tables: Collection[str]) -> None:
    named = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    for table in query.find_all(exp.Table):
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
        table.set("catalog", exp.to_identifier(name.split(".")[0], quoted=True))


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
    if node.find_ancestor(exp.Window):
        duckdb_name += STABLE
    translated = exp.Anonymous(this=duckdb_name, expressions=[exp.true(), *typed])
    translated.meta[REMOTE] = True
    node.replace(translated)


def _literal(value: exp.Expr, kind: str) -> exp.Expr:
    """Cast a literal as BigQuery does without being asked: '2020-01-02' for a DATE, 1.5 for a NUMERIC."""
    if isinstance(value, exp.Literal):
        if value.is_string and kind in _LITERAL_TYPES:
            return exp.cast(value, exp.DataType.build(kind, dialect="bigquery"))
        if not value.is_string and not value.is_int and kind in ("NUMERIC", "BIGNUMERIC"):
            return exp.cast(exp.Literal.string(value.name), exp.DataType.build(kind, dialect="bigquery"))
    return value


def _call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=f"googlesql_{name}", expressions=list(arguments))


def _divide(node: exp.Div) -> exp.Expr:
    return _call("divide", node.this, node.expression)


def _cast(node: exp.Cast) -> exp.Expr:
    kind = cast_type(node)
    safe = "safe_" if isinstance(node, exp.TryCast) else ""
    if kind in ("INT64", "BOOL"):
        return _call(f"{safe}cast_{kind.lower()}", node.this)
    if kind == "STRING":
        return _call("cast_string", node.this)
    if kind == "BIGNUMERIC":
        _check_bignumeric(node)
    if kind in _DECIMALS:
        node.set("to", exp.DataType.build(_DECIMALS[kind], dialect="duckdb"))
    return node


# sqlglot writes DECIMAL without digits, which DuckDB takes for DECIMAL(18, 3).
_DECIMALS = {"NUMERIC": "DECIMAL(38, 9)", "BIGNUMERIC": "DECIMAL(38, 18)"}


def _check_bignumeric(node: exp.Cast) -> None:
    fraction = node.this.name.partition(".")[2] if isinstance(node.this, exp.Literal) else None
    if fraction is None or len(fraction) > 18 or "e" in node.this.name.lower():
        raise NotSupportedError(
            f"{node.sql('bigquery')}", "a BIGNUMERIC is a literal of at most 18 digits after the point"
        )


def _finite(node: exp.Expr) -> exp.Expr:
    return _call("finite", node.copy())


def _number(node: exp.Literal) -> exp.Expr:
    if node.is_string:
        return node
    if not node.is_int:
        return exp.cast(exp.Literal.string(node.name), exp.DataType.build("DOUBLE"))
    # DuckDB's own literals are 32 bits wide; LIMIT, INTERVAL and positions take them as they are.
    arithmetic = exp.Add | exp.Sub | exp.Mul | exp.Neg
    return exp.cast(node, exp.DataType.build("BIGINT")) if isinstance(node.parent, arithmetic) else node


def _json(node: exp.JSONFormat) -> exp.Expr:
    if node.args.get("options") or node.args.get("is_json"):
        raise NotSupportedError(f"{node.sql('bigquery')} with options")
    return _call("to_json" if node.args.get("to_json") else "to_json_string", node.this)


_REWRITES: dict[type[exp.Expr], Callable[..., exp.Expr]] = {
    exp.Div: _divide,
    exp.SafeDivide: lambda node: _call("safe_divide", node.this, node.expression),
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Literal: _number,
    exp.JSONFormat: _json,
    exp.Round: lambda node: _call("round", node.this, *filter(None, [node.args.get("decimals")])),
    exp.Substring: lambda node: _call("substr", node.this, *filter(None, map(node.args.get, ("start", "length")))),
    exp.Sqrt: _finite,
    exp.Exp: _finite,
    exp.Ln: _finite,
    exp.Log: _finite,
    exp.Pow: _finite,
}
