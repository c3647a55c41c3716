"""Takes remote calls out of a SELECT list, so that whole result sets are scored instead of DuckDB's vectors.

DuckDB passes a function at most 2,048 rows at a time and waits for them. A SELECT with calls in its list therefore
becomes three steps: a table of everything the SELECT needs, arguments included; the calls over that table, in batches
of any size and many at a time; and a SELECT that puts the replies beside the table, row by row.

A SELECT is staged only where the three steps certainly mean the same. DuckDB itself makes the calls in WHERE, GROUP BY,
QUALIFY, aggregates, windows, subqueries, expressions that skip rows, and the arguments of other calls.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sqlglot import exp

from bqlocal.checks import ONE_ROW, REMOTE
from bqlocal.sql_functions import COMPUTED

# A call inside one of these is not staged: its rows are not the SELECT's rows, or some may be skipped.
_NOT_STAGED = (exp.AggFunc, exp.Window, exp.Query, exp.Subquery, exp.Lambda, exp.Exists, exp.In)
# What an expression around a call takes from the SELECT's tables.
_LEAVES = (exp.Column, exp.AggFunc, exp.Window, exp.Subquery, exp.Exists, exp.In)
# Clauses that may have to wait for the replies, in the order in which SQL evaluates them.
_LATE = ("qualify", "order", "limit", "offset")
_CLAUSES = ("from_", "joins", "where", "group", "having", "qualify", "windows", "order", "limit", "offset")

# Prefixes of the staged table's columns that do not belong to the result.
HIDDEN = ("__argument_", "__leaf_", "__late_")


@dataclass(frozen=True)
class Stage:
    """A query for DuckDB, the calls over its rows, and the expressions that replace its placeholders."""

    select: exp.Query
    calls: Sequence[exp.Anonymous]  # call n has its replies in `reply_column(n)`
    columns: Sequence[exp.Expr]  # expression n replaces `placeholder(n)`


# Runs a stage and returns the SELECT over its table and replies, or None to leave the query as it is.
Run: TypeAlias = Callable[[Stage], exp.Select | None]


def placeholder(number: int) -> str:
    """Return the staged column in whose place the SELECT puts the expression with a call."""
    return f"__call_{number}"


def argument_column(call: int, number: int) -> str:
    """Return the staged column of a call's argument."""
    return f"__argument_{call}_{number}"


def reply_column(call: int) -> str:
    """Return the column of a call's replies."""
    return f"__reply_{call}"


def stage(query: exp.Expr, run: Run, ctes: Sequence[exp.CTE] = ()) -> None:
    """Run every SELECT of a query that can be staged, inner ones first, and replace it by its result.

    `ctes` are the common table expressions that the query may name.
    """
    clause = query.args.get("with_")
    if clause is not None and clause.args.get("recursive"):
        return
    for cte in clause.expressions if clause is not None else ():
        if any(table.name.lower() == cte.alias.lower() for table in query.find_all(exp.Table)):
            stage(cte.this, run, ctes)
        ctes = [*ctes, cte]
    if isinstance(query, exp.Subquery):
        stage(query.this, run, ctes)
    elif isinstance(query, exp.SetOperation):
        stage(query.this, run, ctes)
        stage(query.expression, run, ctes)
    elif isinstance(query, exp.Select):
        for source in (query.args.get("from_"), *(query.args.get("joins") or ())):
            if source is not None and isinstance(source.this, exp.Subquery):
                stage(source.this, run, ctes)
        _stage_select(query, run, ctes)


def _stage_select(select: exp.Select, run: Run, ctes: Sequence[exp.CTE]) -> None:
    calls_by_column = {
        index: found for index, column in enumerate(select.expressions) if (found := _outer_calls(column))
    }
    if not calls_by_column or not _can_be_staged(select, calls_by_column):
        return
    late = _late_clauses(select, calls_by_column)
    if not _can_be_late(select, late):
        return
    staged = select.copy()
    hidden: list[exp.Expr] = []
    calls: list[exp.Anonymous] = []
    columns: list[exp.Expr] = []
    for index in calls_by_column:
        expression = select.expressions[index].copy()
        expression = expression if isinstance(expression, exp.Alias) else exp.alias_(expression, f"column_{index}")
        for call in _outer_calls(expression):
            arguments = call.expressions[1:]  # DuckDB alone needs the first
            hidden += [exp.alias_(value.copy(), argument_column(len(calls), n)) for n, value in enumerate(arguments)]
            call.replace(exp.column(reply_column(len(calls)), quoted=True))
            calls.append(call)
        _stage_leaves(expression, hidden)
        staged.expressions[index].replace(exp.alias_(exp.null(), placeholder(len(columns)), quoted=True))
        columns.append(expression)
    outer = _move_late_clauses(select, staged, late, hidden)
    for item in hidden:
        staged.append("expressions", item)
    for key in ("with_", "distinct"):
        staged.set(key, None)
    if ctes:
        staged.set("with_", exp.With(expressions=[cte.copy() for cte in {cte.alias: cte for cte in ctes}.values()]))
    result = run(Stage(staged, calls, columns))
    if result is None:
        return
    for key in (*_CLAUSES, "with_"):
        select.set(key, outer.args.get(key) or result.args.get(key))
    select.set("expressions", result.expressions)


def _outer_calls(expression: exp.Expr) -> list[exp.Anonymous]:
    """Return the remote calls in an expression, except those in another call's arguments."""
    return [
        call
        for call in expression.find_all(exp.Anonymous)
        if REMOTE in call.meta and not _is_inside(call, expression, lambda node: REMOTE in node.meta)
    ]


def _is_inside(node: exp.Expr, root: exp.Expr, test: Callable[[exp.Expr], bool]) -> bool:
    """Return whether the test holds for any ancestor of a node, up to `root` and including it."""
    while node is not root and node.parent is not None:
        node = node.parent
        if test(node):
            return True
    return False


def _can_be_staged(select: exp.Select, calls_by_column: dict[int, list[exp.Anonymous]]) -> bool:
    for index, calls in calls_by_column.items():
        column = select.expressions[index]
        if any(
            ONE_ROW in call.meta or _is_inside(call, column, lambda node: isinstance(node, _NOT_STAGED))
            for call in calls
        ):
            return False
    group = select.args.get("group")
    items = group.expressions if group else []
    if group and (group.args.get("all") or any(isinstance(item, exp.Literal) for item in items)):
        return False  # a position may mean the call's column
    aliases = {select.expressions[index].alias.lower() for index in calls_by_column}
    parts = [part for part in (*items, select.args.get("having")) if part is not None]
    if any(
        not column.table and column.name.lower() in aliases for part in parts for column in part.find_all(exp.Column)
    ):
        return False
    # The expression around a call is computed from columns, which must still exist after the grouping.
    grouped = {item.sql() for item in items}
    return not group or all(
        node.sql() in grouped
        or _is_inside(
            node, select.expressions[index], lambda node: isinstance(node, exp.AggFunc) or REMOTE in node.meta
        )
        for index in calls_by_column
        for node in select.expressions[index].find_all(exp.Column)
    )


def _late_clauses(select: exp.Select, calls_by_column: dict[int, list[exp.Anonymous]]) -> list[str]:
    """Return the clauses that must wait for the replies, in SQL's order."""
    aliases = {
        column.alias_or_name.lower() for index, column in enumerate(select.expressions) if index in calls_by_column
    }

    def waits(clause: str) -> bool:
        part = select.args.get(clause)
        return part is not None and any(
            (isinstance(node, exp.Literal) and isinstance(node.parent, exp.Ordered))
            or (isinstance(node, exp.Column) and not node.table and node.name.lower() in aliases)
            for node in part.walk()
        )

    first = 0 if waits("qualify") else 1 if select.args.get("distinct") or waits("order") else len(_LATE)
    return [clause for clause in _LATE[first:] if select.args.get(clause)]


def _can_be_late(select: exp.Select, late: list[str]) -> bool:
    """Return whether the late clauses consist of columns, which can be staged for them."""
    if "order" in late and not all(
        isinstance(item.this, exp.Column | exp.Literal) for item in select.args["order"].expressions
    ):
        return False
    return "qualify" not in late or not any(
        REMOTE in node.meta or isinstance(node, exp.Query) for node in select.args["qualify"].walk()
    )


def _move_late_clauses(select: exp.Select, staged: exp.Select, late: list[str], hidden: list[exp.Expr]) -> exp.Select:
    """Move the late clauses out of the staged SELECT, and return a SELECT that has nothing else."""
    outer = exp.Select()
    aliases = {column.alias.lower() for column in select.expressions if isinstance(column, exp.Alias)}
    for clause in late:
        staged.set(clause, None)
        outer.set(clause, select.args[clause].copy())
        for column in list(outer.args[clause].find_all(exp.Column)):
            if not column.table and column.name.lower() in aliases:
                continue  # a column of the result
            if select.args.get("distinct"):
                column.replace(exp.column(column.name, quoted=True))  # BigQuery allows no other
                continue
            name = f"__late_{len(hidden)}"
            hidden.append(exp.alias_(column.copy(), name, quoted=True))
            column.replace(exp.column(name, quoted=True))
    return outer


def _stage_leaves(expression: exp.Expr, hidden: list[exp.Expr]) -> None:
    """Replace everything that an expression takes from the SELECT's tables by columns of the staged table."""
    for leaf in [node for node in expression.find_all(*_LEAVES) if not _is_inside(node, expression, _is_leaf)]:
        if isinstance(leaf, exp.Column) and leaf.name.startswith(("__reply_", COMPUTED)):
            continue
        name = f"__leaf_{len(hidden)}"
        hidden.append(exp.alias_(leaf.copy(), name, quoted=True))
        leaf.replace(exp.column(name, quoted=True))


def _is_leaf(node: exp.Expr) -> bool:
    return isinstance(node, _LEAVES)
