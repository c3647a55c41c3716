"""Refuses a reference to a subquery's column where several columns of the subquery have its name.

DuckDB would take the first one. BigQuery refuses it, and ignores case: `a` and `A` are one name.
"""

from sqlglot import exp
from sqlglot.errors import OptimizeError
from sqlglot.optimizer.scope import Scope, traverse_scope

from bqlocal.errors import QueryError


def check_ambiguous(statement: exp.Expr) -> None:
    """Raise QueryError if a name in a query means two columns of a subquery, or `*` returns both."""
    try:
        scopes = traverse_scope(statement)
    except OptimizeError:  # such as an alias given twice, which DuckDB explains
        return
    for scope in scopes:
        for alias, source in scope.sources.items():
            if isinstance(source, Scope) and (repeated := _repeated(source.expression)):
                _check(scope, alias, repeated)


def _repeated(query: exp.Expr) -> set[str]:
    selected = query.named_selects if isinstance(query, exp.Query) else []
    names = [name.lower() for name in selected if name not in ("", "*")]
    return {name for name in names if names.count(name) > 1}


def _check(scope: Scope, alias: str, repeated: set[str]) -> None:
    place = f" in {alias}" if alias else ""
    for column in scope.columns:
        if column.name.lower() in repeated and column.table in ("", alias):
            raise QueryError(f"Column name {column.name} is ambiguous{place}: give its columns different names.")
    if isinstance(scope.expression, exp.Select) and any(each.is_star for each in scope.expression.selects):
        names = ", ".join(sorted(repeated))
        raise QueryError(f"Duplicate column names{place} are not supported with *. Found duplicate(s): {names}")
