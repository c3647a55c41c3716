"""Runs the statements that write tables: CREATE TABLE, CREATE TABLE AS, INSERT and MERGE.

The types are checked before anything is written, since DuckDB by itself would turn strings into numbers: a value gets
into a column only where BigQuery lets it.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from sqlglot import exp

from bqlocal.checks import REMOTE
from bqlocal.engine import Engine
from bqlocal.errors import NotSupportedError, QueryError
from bqlocal.tables import select_all
from bqlocal.translate import duckdb_table
from bqlocal.types import DUCKDB_TYPES, accepts

Translate: TypeAlias = Callable[[exp.Expr], exp.Expr]


def create_table(engine: Engine, name: str, create: exp.Create, translate: Translate) -> None:
    """Run CREATE TABLE, with a query or with columns."""
    table = duckdb_table(name).sql("duckdb")
    if isinstance(create.expression, exp.Query):
        for number, column in enumerate(create.expression.selects, 1):
            if not (isinstance(column, exp.Alias | exp.Column | exp.Dot) or column.is_star):
                raise QueryError(f"CREATE TABLE columns must be named, but column {number} has no name")
        query = engine.run_stages(translate(create.expression))
        check_names([column for column, _ in engine.column_types(query)])
        engine.execute(f"CREATE OR REPLACE TABLE {table} AS {select_all(engine.connection, f'({query})')}")
        return
    columns = []
    for item in create.this.expressions if isinstance(create.this, exp.Schema) else ():
        sql_type = item.args["kind"].sql("bigquery") if isinstance(item, exp.ColumnDef) else ""
        if sql_type not in DUCKDB_TYPES:
            raise NotSupportedError(f"The column {item.sql('bigquery')} of CREATE TABLE")
        required = " NOT NULL" * bool(list(item.find_all(exp.NotNullColumnConstraint)))
        columns.append(f"{exp.to_identifier(item.name, quoted=True).sql('duckdb')} {DUCKDB_TYPES[sql_type]}{required}")
    if not columns:
        raise NotSupportedError("CREATE TABLE without AS and without columns")
    engine.execute(f"CREATE OR REPLACE TABLE {table} ({', '.join(columns)})")


def insert(engine: Engine, name: str, statement: exp.Insert, translate: Translate) -> None:
    """Run INSERT ... SELECT and INSERT ... VALUES."""
    table = duckdb_table(name).sql("duckdb")
    source = statement.expression
    if isinstance(source, exp.Values):
        rows = [exp.select(*row.expressions) for row in source.expressions]
        source = exp.union(*rows, distinct=False) if len(rows) > 1 else rows[0]
    if not isinstance(source, exp.Query):
        raise NotSupportedError(statement.sql("bigquery")[:60])
    declared = dict(engine.column_types(f"SELECT * FROM {table}"))
    named = statement.this.expressions if isinstance(statement.this, exp.Schema) else []
    columns = [_column_name(item.name, declared, name) for item in named] or list(declared)
    query = engine.run_stages(translate(source))
    given = [sql_type for _, sql_type in engine.column_types(query)]
    if len(given) != len(columns):
        raise QueryError(f"Inserted row has wrong column count; Has {len(given)}, expected {len(columns)}")
    _check_types([*zip(columns, given, strict=True)], declared)
    names = ", ".join(exp.to_identifier(column, quoted=True).sql("duckdb") for column in columns)
    engine.execute(f"INSERT INTO {table} ({names}) {query}")


def merge(engine: Engine, name: str, statement: exp.Merge, translate: Translate) -> None:
    """Run MERGE; where rows may be skipped, a remote call is made for the others only."""
    declared = dict(engine.column_types(f"SELECT * FROM {duckdb_table(name).sql('duckdb')}"))
    translated = translate(statement)
    for when in translated.args["whens"].expressions:
        assignments = _assignments(when.args["then"])
        if not assignments:
            continue
        rows = _rows(translated, when)
        query = exp.select(*(value.copy() for _, value in assignments)).from_(rows[0].copy())
        for other in rows[1:]:
            query = query.join(other.copy(), on=exp.true())
        given = [sql_type for _, sql_type in engine.column_types(query.sql("duckdb"))]
        columns = [_column_name(column, declared, name) for column, _ in assignments]
        _check_types([*zip(columns, given, strict=True)], declared)
        for _, value in assignments:
            if any(REMOTE in call.meta for call in value.find_all(exp.Anonymous)):
                value.replace(exp.case().when(_applies(translated, when, rows), value.copy()))
    engine.execute(translated.sql("duckdb"))


def check_names(names: Sequence[str]) -> None:
    """Reject a result with two columns of one name, as BigQuery does."""
    lower = [name.lower() for name in names]
    duplicates = sorted({name for name in lower if lower.count(name) > 1})
    if duplicates:
        raise QueryError(
            f"Duplicate column names in the result are not supported. Found duplicate(s): {', '.join(duplicates)}"
        )


def _assignments(then: exp.Expr) -> list[tuple[str, exp.Expr]]:
    """Return the columns that a MERGE clause sets and their values; none for DELETE."""
    if isinstance(then, exp.Update):
        return [(item.this.name, item.expression) for item in then.expressions]
    if not isinstance(then, exp.Insert):
        return []
    if not isinstance(then.this, exp.Tuple):
        raise NotSupportedError(f"{then.sql('bigquery')[:60]} in MERGE", "name the columns")
    columns, values = then.this.expressions, then.expression.expressions
    return [(column.name, value) for column, value in zip(columns, values, strict=False)]


def _rows(merge: exp.Expr, when: exp.When) -> list[exp.Expr]:
    """Return the tables whose rows a WHEN sees: target, source, or both."""
    target, source = merge.this, merge.args["using"]
    if isinstance(when.args["then"], exp.Insert):
        return [source]
    return [target] if when.args.get("source") else [target, source]


def _applies(merge: exp.Expr, when: exp.When, rows: Sequence[exp.Expr]) -> exp.Expr:
    """Return the condition for a row to be the WHEN's: DuckDB computes its values for the other rows as well."""
    condition = merge.args["on"].copy()
    if len(rows) == 1:
        other = merge.args["using"] if rows[0] is merge.this else merge.this
        condition = exp.not_(exp.Exists(this=exp.select("1").from_(other.copy()).where(condition)))
    return exp.and_(condition, when.args.get("condition") and when.args["condition"].copy())


def _column_name(column: str, declared: dict[str, str], table: str) -> str:
    """Return the name as the table spells it."""
    for name in declared:
        if name.lower() == column.lower():
            return name
    raise QueryError(f"Column {column} is not present in table {table}")


def _check_types(columns: Sequence[tuple[str, str]], declared: dict[str, str]) -> None:
    for number, (column, have) in enumerate(columns, 1):
        want = declared[column]
        if not accepts(want, have):
            raise QueryError(
                f"Query column {number} has type {have} which cannot be inserted into column {column}, "
                f"which has type {want}"
            )
