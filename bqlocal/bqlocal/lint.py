"""Calls of remote functions that make a query slow, found in any BigQuery SQL before it runs.

The rule: a finding names file and line, says what happens and shows a faster form with the same result. SQL
that cannot be read is a finding too, never silence.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import exp

from bqlocal.translate import SKIPPING

_SCORED = "CREATE TEMP TABLE scored AS SELECT *, {} AS predicted FROM ...;"
_WORDS = {exp.If: "IF", exp.Case: "CASE", exp.Nullif: "NULLIF", exp.When: "MERGE ... WHEN"}


@dataclass(frozen=True)
class Finding:
    """A call that could be faster."""

    file: str
    line: int
    message: str
    faster: str = ""

    def __str__(self) -> str:
        faster = "".join(f"\n    {line}" for line in self.faster.splitlines())
        return f"{self.file}:{self.line}: {self.message}{faster}"


def find(text: str, file: str, functions: Sequence[str]) -> Iterator[Finding]:
    """Yield the findings in a file; `functions` are names with as much of project.dataset as is written in the SQL."""
    names = {name.replace("`", "").lower().rpartition(".")[2] for name in functions}
    try:
        statements = sqlglot.parse(text, read="bigquery")
    except sqlglot.errors.SqlglotError as error:
        line = (getattr(error, "errors", None) or [{}])[0].get("line", 1)
        yield Finding(file, line, "this is no SQL that can be read, so its calls were not checked")
        return
    for statement in statements:
        if statement is None:
            continue
        calls = [call for call in statement.find_all(exp.Anonymous) if _name(call) in names]
        if isinstance(statement, exp.Command) and any(f"{name}(" in statement.sql().lower() for name in names):
            yield Finding(file, 1, "a statement cannot be read, so its calls were not checked")
        for call in sorted(calls, key=_line):
            yield from _skipped(call, file)
            yield from _whole_row(call, file)
        yield from _repeated(statement, calls, file)


def _name(call: exp.Anonymous) -> str:
    return call.name.lower().rpartition(".")[2]


def _line(call: exp.Expr) -> int:
    return min((node.meta["line"] for node in (call.parent or call).walk() if "line" in node.meta), default=1)


def _written(call: exp.Expr) -> exp.Expr:
    """Return the call with what stands before its name: `dataset.function(...)`."""
    while isinstance(call.parent, exp.Dot) and call.parent.expression is call:
        call = call.parent
    return call


def _skipped(call: exp.Anonymous, file: str) -> Iterator[Finding]:
    """CASE, IF and the like: BigQuery sends one row per request."""
    around = call.find_ancestor(*SKIPPING)
    if around is None:
        return
    if isinstance(around.parent, exp.Case):
        around = around.parent
    written = _written(call).sql("bigquery")
    word = _WORDS.get(type(around), "COALESCE or IFNULL")
    message = f"{written} stands in {word}, where BigQuery sends one row per request"
    if isinstance(around, exp.When):
        faster = f"USING (SELECT *, {written} AS predicted FROM ...) AS s ... WHEN ... predicted"
    elif isinstance(around, exp.Coalesce | exp.Nullif):
        around = around.copy()
        _replace(around, written)
        faster = f"{_SCORED.format(written)}\nSELECT {around.sql('bigquery')} FROM scored;"
    else:
        condition = _condition(around)
        if condition is None:
            faster = f"{_SCORED.format(written)}\nthen {word} with predicted in place of the call"
        elif _asks_for_null(condition):
            faster = f"{written} alone, where the function answers NULL for NULL by itself"
        else:
            faster = (
                f"SELECT ..., {written} AS predicted FROM ... WHERE {condition.sql('bigquery')}\n"
                f"UNION ALL SELECT ..., NULL FROM ... WHERE ({condition.sql('bigquery')}) IS NOT TRUE"
            )
    yield Finding(file, _line(call), message + "; faster:", faster)


def _replace(around: exp.Expr, written: str) -> None:
    for node in around.find_all(exp.Dot, exp.Anonymous):
        if node.sql("bigquery") == written:
            node.replace(exp.column("predicted"))
            return


def _condition(around: exp.Expr) -> exp.Expr | None:
    """Return when the one branch with a call is taken, if the other is NULL; None where that is not so."""
    if isinstance(around, exp.Case) and (around.this or len(around.args["ifs"]) > 1):
        return None
    branch = around.args["ifs"][0] if isinstance(around, exp.Case) else around
    other = around.args.get("default") if isinstance(around, exp.Case) else around.args.get("false")
    condition: exp.Expr = branch.this
    if isinstance(branch.args["true"], exp.Null) and other is not None:
        return exp.not_(condition.copy())
    return condition if other is None or isinstance(other, exp.Null) else None


def _asks_for_null(condition: exp.Expr) -> bool:
    tests = list(condition.find_all(exp.Predicate))
    return bool(tests) and all(isinstance(test, exp.Is) and isinstance(test.expression, exp.Null) for test in tests)


def _whole_row(call: exp.Anonymous, file: str) -> Iterator[Finding]:
    """TO_JSON(t): every column of the table travels, needed or not."""
    for argument in call.expressions:
        if not isinstance(argument, exp.JSONFormat) or not isinstance(argument.this, exp.Column | exp.Subquery):
            continue
        whole = argument.this
        written = _written(call).sql("bigquery")
        select = call.find_ancestor(exp.Select)
        aliases = {table.alias_or_name for table in select.find_all(exp.Table)} if select else set()
        if isinstance(whole, exp.Subquery) or (not whole.table and whole.name in aliases):
            yield Finding(
                file,
                _line(call),
                f"{written} sends every column of the table for each row, with its name; faster for a wide table:",
                f"{written.replace(argument.sql('bigquery'), 'TO_JSON(STRUCT(a, b, ...))')} "
                "with the model's columns alone",
            )


def _repeated(statement: exp.Expr, calls: Sequence[exp.Anonymous], file: str) -> Iterator[Finding]:
    """A call written twice in a SELECT, or in a CTE that is read twice, is made twice for every row."""
    first: dict[tuple[int, str], exp.Anonymous] = {}
    counted = Counter(key for call in calls if first.setdefault(key := _key(call), call))
    for (_, written), times in counted.items():
        if times > 1:
            message = f"{written} is written {times} times and made as often for every row; faster:"
            line = _line(first[_, written])
            yield Finding(file, line, message, f"{_SCORED.format(written)}\nthen predicted in place of the calls")
    for cte in statement.find_all(exp.CTE):
        read = sum(table.name.lower() == cte.alias.lower() and not table.db for table in statement.find_all(exp.Table))
        inside = [call for call in calls if call.find_ancestor(exp.CTE) is cte]
        if read > 1 and inside:
            message = f"{cte.alias} is read {read} times, and its calls are made each time; faster:"
            yield Finding(
                file, _line(inside[0]), message, f"CREATE TEMP TABLE {cte.alias} AS ...;\nthen the query without WITH"
            )


def _key(call: exp.Anonymous) -> tuple[int, str]:
    return id(call.find_ancestor(exp.Select)), _written(call).sql("bigquery")
