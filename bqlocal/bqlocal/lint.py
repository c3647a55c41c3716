"""Finds calls of remote functions that make a query slow, in any BigQuery SQL, before it runs.

A finding names file and line, says what BigQuery does, and shows a faster form with the same result. SQL that cannot be
parsed is a finding too, so that no file passes unchecked.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import exp

from bqlocal.translate import SKIPPING

_SCORED = "CREATE TEMP TABLE scored AS SELECT *, {} AS predicted FROM ...;"
_KEYWORDS = {exp.If: "IF", exp.Case: "CASE", exp.Nullif: "NULLIF", exp.When: "MERGE ... WHEN"}


@dataclass(frozen=True)
class Finding:
    """A call that could be faster."""

    file: str
    line: int
    message: str
    faster: str = ""  # SQL, one or more lines

    def __str__(self) -> str:
        faster = "".join(f"\n    {line}" for line in self.faster.splitlines())
        return f"{self.file}:{self.line}: {self.message}{faster}"


def find(text: str, file: str, functions: Sequence[str]) -> Iterator[Finding]:
    """Yield the findings in the text of a file.

    `functions` are the remote functions' names, with or without project and dataset; a call of the same name in any
    dataset counts.
    """
    names = {_last_part(name.replace("`", "")) for name in functions}
    try:
        statements = sqlglot.parse(text, read="bigquery")
    except sqlglot.errors.SqlglotError as error:
        line = (getattr(error, "errors", None) or [{}])[0].get("line", 1)
        yield Finding(file, line, "cannot parse this SQL, so its calls were not checked")
        return
    for statement in statements:
        if statement is None:
            continue
        calls = [call for call in statement.find_all(exp.Anonymous) if _last_part(call.name) in names]
        if isinstance(statement, exp.Command) and any(f"{name}(" in statement.sql().lower() for name in names):
            yield Finding(file, 1, "cannot parse a statement, so its calls were not checked")
        for call in sorted(calls, key=_line):
            yield from _one_row_per_request(call, file)
            yield from _whole_row(call, file)
        yield from _repeated(calls, file)
        yield from _repeated_ctes(statement, calls, file)


def _last_part(name: str) -> str:
    return name.lower().rpartition(".")[2]


def _line(call: exp.Expr) -> int:
    return min((node.meta["line"] for node in (call.parent or call).walk() if "line" in node.meta), default=1)


def _call_sql(call: exp.Expr) -> str:
    """Return a call as it is written, with the dataset before its name."""
    while isinstance(call.parent, exp.Dot) and call.parent.expression is call:
        call = call.parent
    return call.sql("bigquery")


def _one_row_per_request(call: exp.Anonymous, file: str) -> Iterator[Finding]:
    """Find a call in CASE, IF and the like, where BigQuery sends one row per request."""
    around = call.find_ancestor(*SKIPPING)
    if around is None:
        return
    if isinstance(around.parent, exp.Case):
        around = around.parent
    keyword = _KEYWORDS.get(type(around), "COALESCE or IFNULL")
    message = f"{_call_sql(call)} is inside {keyword}, where BigQuery sends one row per request; faster:"
    yield Finding(file, _line(call), message, _without_skipping(around, _call_sql(call), keyword))


def _without_skipping(around: exp.Expr, call: str, keyword: str) -> str:
    """Return SQL with the same result that calls the function outside of the expression around it."""
    if isinstance(around, exp.When):
        return f"USING (SELECT *, {call} AS predicted FROM ...) AS s ... WHEN ... predicted"
    if isinstance(around, exp.Coalesce | exp.Nullif):
        return f"{_SCORED.format(call)}\nSELECT {_with_column(around, call)} FROM scored;"
    condition = _condition(around)
    if condition is None:
        return f"{_SCORED.format(call)}\nthen {keyword} with predicted in place of the call"
    if _tests_for_null(condition):
        return f"{call} alone, if the function itself returns NULL for NULL"
    return (
        f"SELECT ..., {call} AS predicted FROM ... WHERE {condition.sql('bigquery')}\n"
        f"UNION ALL SELECT ..., NULL FROM ... WHERE ({condition.sql('bigquery')}) IS NOT TRUE"
    )


def _with_column(around: exp.Expr, call: str) -> str:
    """Return an expression with the column `predicted` in place of the call."""
    around = around.copy()
    for node in around.find_all(exp.Dot, exp.Anonymous):
        if node.sql("bigquery") == call:
            node.replace(exp.column("predicted"))
            break
    return around.sql("bigquery")


def _condition(around: exp.Expr) -> exp.Expr | None:
    """Return the condition of an IF or CASE with one branch, if the other one is NULL, else None."""
    if isinstance(around, exp.Case) and (around.this or len(around.args["ifs"]) > 1):
        return None
    branch = around.args["ifs"][0] if isinstance(around, exp.Case) else around
    other = around.args.get("default") if isinstance(around, exp.Case) else around.args.get("false")
    condition: exp.Expr = branch.this
    if isinstance(branch.args["true"], exp.Null) and other is not None:
        return exp.not_(condition.copy())
    return condition if other is None or isinstance(other, exp.Null) else None


def _tests_for_null(condition: exp.Expr) -> bool:
    tests = list(condition.find_all(exp.Predicate))
    return bool(tests) and all(isinstance(test, exp.Is) and isinstance(test.expression, exp.Null) for test in tests)


def _whole_row(call: exp.Anonymous, file: str) -> Iterator[Finding]:
    """Find TO_JSON(t), which sends every column of the table, needed or not."""
    for argument in call.expressions:
        if not isinstance(argument, exp.JSONFormat) or not isinstance(argument.this, exp.Column | exp.Subquery):
            continue
        row = argument.this
        select = call.find_ancestor(exp.Select)
        aliases = {table.alias_or_name for table in select.find_all(exp.Table)} if select else set()
        if isinstance(row, exp.Subquery) or (not row.table and row.name in aliases):
            sql = _call_sql(call)
            struct = sql.replace(argument.sql("bigquery"), "TO_JSON(STRUCT(a, b, ...))")
            message = f"{sql} sends every column of the table, and its name, for each row; faster for a wide table:"
            yield Finding(file, _line(call), message, f"{struct} with the model's columns only")


def _repeated(calls: Sequence[exp.Anonymous], file: str) -> Iterator[Finding]:
    """Find a call that is written twice in a SELECT, and therefore made twice for every row."""
    first: dict[tuple[int, str], exp.Anonymous] = {}
    counts: Counter[tuple[int, str]] = Counter()
    for call in calls:
        key = id(call.find_ancestor(exp.Select)), _call_sql(call)
        first.setdefault(key, call)
        counts[key] += 1
    for key, times in counts.items():
        if times > 1:
            sql = key[1]
            message = f"{sql} is written {times} times, and made as often for every row; faster:"
            faster = f"{_SCORED.format(sql)}\nthen predicted in place of the calls"
            yield Finding(file, _line(first[key]), message, faster)


def _repeated_ctes(statement: exp.Expr, calls: Sequence[exp.Anonymous], file: str) -> Iterator[Finding]:
    """Find a common table expression with calls that is read twice, and therefore evaluated twice."""
    for cte in statement.find_all(exp.CTE):
        reads = sum(table.name.lower() == cte.alias.lower() and not table.db for table in statement.find_all(exp.Table))
        inside = [call for call in calls if call.find_ancestor(exp.CTE) is cte]
        if reads > 1 and inside:
            message = f"{cte.alias} is read {reads} times, and its calls are made each time; faster:"
            faster = f"CREATE TEMP TABLE {cte.alias} AS ...;\nthen the query without WITH"
            yield Finding(file, _line(inside[0]), message, faster)
