"""Statements that write tables: CREATE TABLE, CREATE TABLE AS, INSERT, MERGE and DROP TABLE.

The rule: a value gets into a column only where BigQuery would let it, which is checked before anything is
written; DuckDB by itself would turn texts into numbers.
"""

from collections.abc import Callable, Sequence

from sqlglot import exp

from bqlocal.engine import DUCKDB_TYPES, Engine
from bqlocal.errors import NotSupportedError, QueryError
from bqlocal.refusals import REMOTE
from bqlocal.tables import selected
from bqlocal.translate import duckdb_table
from bqlocal.values import COERCIONS

Translate = Callable[[exp.Expr], exp.Expr]


def create_table(engine: Engine, name: str, create: exp.Create, translate: Translate) -> None:
    """Run CREATE TABLE, with a query or with columns."""
    table = duckdb_table(name).sql("duckdb")
    if isinstance(create.expression, exp.Query):
        for at, column in enumerate(create.expression.selects, 1):
            if not (isinstance(column, exp.Alias | exp.Column | exp.Dot) or column.is_star):
                raise QueryError(f"CREATE TABLE columns must be named, but column {at} has no name")
        query = engine.staged(translate(create.expression))  # type: ignore[arg-type]
        check_names([column for column, _ in engine.kinds(query)])
        engine.execute(f"CREATE OR REPLACE TABLE {table} AS {selected(engine.connection, f'({query})')}")
        return
    columns = []
    for item in create.this.expressions if isinstance(create.this, exp.Schema) else ():
        kind = item.args["kind"].sql("bigquery") if isinstance(item, exp.ColumnDef) else ""
        if kind not in DUCKDB_TYPES:
            raise NotSupportedError(f"The column {item.sql('bigquery')} of CREATE TABLE")
        required = " NOT NULL" * bool(list(item.find_all(exp.NotNullColumnConstraint)))
        columns.append(f"{exp.to_identifier(item.name, quoted=True).sql('duckdb')} {DUCKDB_TYPES[kind]}{required}")
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
        raise NotSupportedError(f"{statement.sql('bigquery')[:60]}")
    kinds = dict(engine.kinds(f"SELECT * FROM {table}"))
    listed = statement.this.expressions if isinstance(statement.this, exp.Schema) else []
    columns = [_known(item.name, kinds, name) for item in listed] or list(kinds)
    query = engine.staged(translate(source))  # type: ignore[arg-type]
    given = [kind for _, kind in engine.kinds(query)]
    if len(given) != len(columns):
        raise QueryError(f"Inserted row has wrong column count; Has {len(given)}, expected {len(columns)}")
    _check([*zip(columns, given, strict=True)], kinds)
    names = ", ".join(exp.to_identifier(column, quoted=True).sql("duckdb") for column in columns)
    engine.execute(f"INSERT INTO {table} ({names}) {query}")


def merge(engine: Engine, name: str, statement: exp.Merge, translate: Translate) -> None:
    """Run MERGE."""
    kinds = dict(engine.kinds(f"SELECT * FROM {duckdb_table(name).sql('duckdb')}"))
    translated = translate(statement)
    target, source = translated.this, translated.args["using"]
    for when in translated.args["whens"].expressions:
        then = when.args["then"]
        if isinstance(then, exp.Update):
            pairs = [(item.this.name, item.expression) for item in then.expressions]
            rows = [target] if when.args.get("source") else [target, source]
        elif isinstance(then, exp.Insert) and isinstance(then.this, exp.Tuple):
            pairs = [
                (item.name, value)
                for item, value in zip(then.this.expressions, then.expression.expressions, strict=False)
            ]
            rows = [source]
        elif isinstance(then, exp.Insert):
            raise NotSupportedError(f"{then.sql('bigquery')[:60]} in MERGE", "name the columns")
        else:
            continue
        query = exp.select(*(value.copy() for _, value in pairs)).from_(rows[0].copy())
        for other in rows[1:]:
            query = query.join(other.copy(), on=exp.true())
        given = [kind for _, kind in engine.kinds(query.sql("duckdb"))]
        _check([(_known(c, kinds, name), kind) for (c, _), kind in zip(pairs, given, strict=True)], kinds)
        for _, value in pairs:
            if any(REMOTE in call.meta for call in value.find_all(exp.Anonymous)):
                value.replace(exp.case().when(_applies(translated, when, rows), value.copy()))
    engine.execute(translated.sql("duckdb"))


def _applies(merge: exp.Expr, when: exp.When, rows: Sequence[exp.Expr]) -> exp.Expr:
    """Return whether a WHEN is for a row: DuckDB computes its values for the rows of the others as well."""
    condition = merge.args["on"].copy()
    if len(rows) == 1:
        other = merge.args["using"] if rows[0] is merge.this else merge.this
        condition = exp.not_(exp.Exists(this=exp.select("1").from_(other.copy()).where(condition)))
    return exp.and_(condition, when.args.get("condition") and when.args["condition"].copy())


def check_names(names: Sequence[str]) -> None:
    """Refuse a result in which two columns have one name, as BigQuery does."""
    lower = [name.lower() for name in names]
    doubled = sorted({name for name in lower if lower.count(name) > 1})
    if doubled:
        raise QueryError(
            f"Duplicate column names in the result are not supported. Found duplicate(s): {', '.join(doubled)}"
        )


def _known(column: str, kinds: dict[str, str], table: str) -> str:
    for name in kinds:
        if name.lower() == column.lower():
            return name
    raise QueryError(f"Column {column} is not present in table {table}")


def _check(columns: Sequence[tuple[str, str]], kinds: dict[str, str]) -> None:
    for at, (column, kind) in enumerate(columns, 1):
        want = kinds[column]
        if kind not in (want, "NULL") and want not in COERCIONS.get(kind, ()):
            raise QueryError(
                f"Query column {at} has type {kind} which cannot be inserted into column {column}, "
                f"which has type {want}"
            )
