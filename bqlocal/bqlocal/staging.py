"""Remote calls in a SELECT list, taken out of the query so that whole result sets are scored instead of vectors.

DuckDB hands a function at most 2,048 rows and waits for them. Where a call stands in the list of a SELECT, that
SELECT becomes three steps: a table of everything it needs, arguments included; the calls over that table, in
batches of any size, many at a time; and a SELECT that puts the replies beside the table, row by row.

The rule: a SELECT is staged only where the steps mean the same for certain. A call in WHERE, GROUP BY, QUALIFY,
an aggregate, a window, a subquery or an expression that skips rows stays where it is and DuckDB calls it, as it
does the call in another call's arguments.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from bqlocal.refusals import ONE_ROW, REMOTE

# Where a call stays: its rows are not the rows of the SELECT, or the expression may skip some.
_KEPT = (exp.AggFunc, exp.Window, exp.Query, exp.Subquery, exp.Lambda, exp.Exists, exp.In)
_LEAVES = (exp.Column, exp.AggFunc, exp.Window, exp.Subquery, exp.Exists, exp.In)
_LATE = ("qualify", "order", "limit", "offset")
_CLAUSES = ("from_", "joins", "where", "group", "having", "qualify", "windows", "order", "limit", "offset")


@dataclass(frozen=True)
class Stage:
    """A table that DuckDB computes, the calls over it, and the expressions that take the place of its placeholders."""

    select: exp.Query
    calls: Sequence[exp.Anonymous]  # call number n: the column of its replies is n, of its arguments see `argument`
    columns: Sequence[exp.Expr]  # what stands in place of placeholder number n


def placeholder(number: int) -> str:
    return f"__call_{number}"


def argument(call: int, number: int) -> str:
    return f"__argument_{call}_{number}"


def reply(call: int) -> str:
    return f"__reply_{call}"


HIDDEN = ("__argument_", "__leaf_", "__late_")

# Runs a stage and returns the SELECT from its table and the replies; None leaves the query as it is.
Run = Callable[[Stage], exp.Select | None]


def stage(query: exp.Expr, run: Run, scope: Sequence[exp.CTE] = ()) -> None:
    """Run every SELECT of a query that can be staged, inner ones first, and put its result in its place."""
    clause = query.args.get("with_")
    if clause is not None and clause.args.get("recursive"):
        return
    for cte in clause.expressions if clause is not None else ():
        if any(table.name.lower() == cte.alias.lower() for table in query.find_all(exp.Table)):
            stage(cte.this, run, scope)
        scope = [*scope, cte]
    if isinstance(query, exp.Subquery):
        stage(query.this, run, scope)
    elif isinstance(query, exp.SetOperation):
        stage(query.this, run, scope)
        stage(query.expression, run, scope)
    elif isinstance(query, exp.Select):
        for source in (query.args.get("from_"), *(query.args.get("joins") or ())):
            if source is not None and isinstance(source.this, exp.Subquery):
                stage(source.this, run, scope)
        _stage_select(query, run, scope)


def _stage_select(select: exp.Select, run: Run, scope: Sequence[exp.CTE]) -> None:
    called = {at: found for at, column in enumerate(select.expressions) if (found := _outer_calls(column))}
    if not called or not _can_be_staged(select, called):
        return
    late = _late(select, called)
    if not _can_be_late(select, late):
        return
    staged = select.copy()
    hidden: list[exp.Expr] = []
    calls: list[exp.Anonymous] = []
    columns: list[exp.Expr] = []
    for at in called:
        expression = select.expressions[at].copy()
        expression = expression if isinstance(expression, exp.Alias) else exp.alias_(expression, f"column_{at}")
        for call in _outer_calls(expression):
            values = call.expressions[1:]  # the first is there for DuckDB alone
            hidden += [exp.alias_(value.copy(), argument(len(calls), n)) for n, value in enumerate(values)]
            call.replace(exp.column(reply(len(calls)), quoted=True))
            calls.append(call)
        _stage_leaves(expression, hidden)
        staged.expressions[at].replace(exp.alias_(exp.null(), placeholder(len(columns)), quoted=True))
        columns.append(expression)
    outer = _moved(select, staged, late, hidden)
    for item in hidden:
        staged.append("expressions", item)
    for key in ("with_", "distinct"):
        staged.set(key, None)
    if scope:
        staged.set("with_", exp.With(expressions=[cte.copy() for cte in {cte.alias: cte for cte in scope}.values()]))
    result = run(Stage(staged, calls, columns))
    if result is None:
        return
    for key in (*_CLAUSES, "with_"):
        select.set(key, outer.args.get(key) or result.args.get(key))
    select.set("expressions", result.expressions)


def _outer_calls(expression: exp.Expr) -> list[exp.Anonymous]:
    """Return the remote calls in an expression, without those in another call's arguments."""
    return [
        call
        for call in expression.find_all(exp.Anonymous)
        if REMOTE in call.meta and not _inside(call, expression, lambda node: REMOTE in node.meta)
    ]


def _inside(node: exp.Expr, root: exp.Expr, test: Callable[[exp.Expr], bool]) -> bool:
    while node is not root and node.parent is not None:
        node = node.parent
        if test(node):
            return True
    return False


def _can_be_staged(select: exp.Select, called: dict[int, list[exp.Anonymous]]) -> bool:
    for at, calls in called.items():
        column = select.expressions[at]
        if any(ONE_ROW in call.meta or _inside(call, column, lambda node: isinstance(node, _KEPT)) for call in calls):
            return False
    group = select.args.get("group")
    items = group.expressions if group else []
    if group and (group.args.get("all") or any(isinstance(item, exp.Literal) for item in items)):
        return False  # by position, which may be the call's
    aliases = {select.expressions[at].alias.lower() for at in called}
    parts = [part for part in (*items, select.args.get("having")) if part is not None]
    if any(
        not column.table and column.name.lower() in aliases for part in parts for column in part.find_all(exp.Column)
    ):
        return False
    # What stands around a call is computed from columns, which must be there after the grouping.
    grouped = {item.sql() for item in items}
    return not group or all(
        node.sql() in grouped
        or _inside(node, select.expressions[at], lambda node: isinstance(node, exp.AggFunc) or REMOTE in node.meta)
        for at in called
        for node in select.expressions[at].find_all(exp.Column)
    )


def _late(select: exp.Select, called: dict[int, list[exp.Anonymous]]) -> list[str]:
    """Return the clauses that must wait for the replies, in the order in which SQL takes them."""
    aliases = {column.alias_or_name.lower() for at, column in enumerate(select.expressions) if at in called}

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
    """Return whether what waits is made of columns, each of which can wait with it."""
    if "order" in late and not all(
        isinstance(item.this, exp.Column | exp.Literal) for item in select.args["order"].expressions
    ):
        return False
    return "qualify" not in late or not any(
        REMOTE in node.meta or isinstance(node, exp.Query) for node in select.args["qualify"].walk()
    )


def _moved(select: exp.Select, staged: exp.Select, late: list[str], hidden: list[exp.Expr]) -> exp.Select:
    """Move clauses behind the replies; return a SELECT that has nothing else."""
    outer = exp.Select()
    named = {column.alias.lower() for column in select.expressions if isinstance(column, exp.Alias)}
    for clause in late:
        staged.set(clause, None)
        outer.set(clause, select.args[clause].copy())
        for column in list(outer.args[clause].find_all(exp.Column)):
            if not column.table and column.name.lower() in named:
                continue  # a column of the result
            if select.args.get("distinct"):
                column.replace(exp.column(column.name, quoted=True))  # BigQuery allows no other
                continue
            name = f"__late_{len(hidden)}"
            hidden.append(exp.alias_(column.copy(), name, quoted=True))
            column.replace(exp.column(name, quoted=True))
    return outer


def _stage_leaves(expression: exp.Expr, hidden: list[exp.Expr]) -> None:
    """Replace what an expression takes from the SELECT's tables by columns of the staged table."""
    for leaf in [node for node in expression.find_all(*_LEAVES) if not _inside(node, expression, _is_leaf)]:
        if isinstance(leaf, exp.Column) and leaf.name.startswith("__reply_"):
            continue
        name = f"__leaf_{len(hidden)}"
        hidden.append(exp.alias_(leaf.copy(), name, quoted=True))
        leaf.replace(exp.column(name, quoted=True))


def _is_leaf(node: exp.Expr) -> bool:
    return isinstance(node, _LEAVES)
