"""BigQuery on this machine: tables, GoogleSQL, and remote functions that are really called over HTTP.

    with BigQuery(project="local") as bigquery:
        bigquery.load("shop.orders", "orders.csv")
        bigquery.sql("CREATE FUNCTION shop.predict(amount FLOAT64) RETURNS FLOAT64 REMOTE WITH ...")
        result = bigquery.sql("SELECT amount, shop.predict(amount) AS predicted FROM shop.orders")
        result.frame, result.calls.requests

A statement is parsed as GoogleSQL and runs on DuckDB. Tables and functions live in memory, or in the file
`state`, where the next session finds them. With a seed as `adverse`, the function is called with everything
that BigQuery reserves the right to do.
"""

import dataclasses
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pandas as pd
import pyarrow as pa
import sqlglot
from sqlglot import exp

from bqlocal import ddl, tables, writes
from bqlocal.batching import Caller
from bqlocal.engine import Engine, OnRows
from bqlocal.errors import LocalError, NotSupportedError, QueryError
from bqlocal.parameters import Parameters, bind
from bqlocal.remote import Calls, Job, RemoteFunction
from bqlocal.translate import duckdb_table, quote_projects, to_duckdb

# sqlglot's hints on what it translates; what cannot be translated is refused by `translate.py`.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

SESSION_USER = "analyst@example.com"
RETRY_DELAY = 0.1  # seconds before the first retry, doubled for each further one
_NOTHING = pa.table({})


@dataclass(frozen=True)
class Result:
    """The rows of a query, and what its remote calls cost."""

    table: pa.Table
    functions: dict[str, Calls]  # by name, for those that were called

    @property
    def frame(self) -> pd.DataFrame:
        """The rows as a DataFrame."""
        return self.table.to_pandas()

    @property
    def calls(self) -> Calls:
        """The calls of all functions together."""
        return Calls.of_all(self.functions)


class BigQuery:
    """Tables and remote functions of one project and its neighbours, for one thread at a time."""

    def __init__(
        self,
        project: str = "local",
        *,
        state: Path | None = None,
        adverse: int | None = None,
        retry_delay: float = RETRY_DELAY,
        on_rows: OnRows | None = None,
    ) -> None:
        self.project = project
        self._engine = Engine(state, Caller(retry_delay, adverse), on_rows or (lambda *_: None))
        self._engine.execute("CREATE TABLE IF NOT EXISTS remote_functions (name VARCHAR, definition VARCHAR)")
        self._tables = set(self._engine.fetch(_TABLES)["name"].to_pylist())
        for definition in self._engine.fetch("SELECT definition FROM remote_functions")["definition"].to_pylist():
            self._engine.define(RemoteFunction(**json.loads(definition)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End connections; without `state`, tables and functions are gone."""
        self._engine.close()

    def load(self, name: str, source: tables.Source) -> None:
        """Create or replace a table from a DataFrame, an Arrow table, or a file of CSV, Parquet or JSON lines."""
        name = tables.full_name(name, self.project)
        self._make_dataset(name)
        tables.create(self._engine.connection, duckdb_table(name).sql("duckdb"), source)
        self._tables.add(name)

    def sql(self, text: str, parameters: Parameters = ()) -> Result:
        """Run one statement or several; the result is that of the last, the calls are those of all.

        `parameters` are values by name for `@name`, or in order for `?`.
        """
        projects = {name.split(".")[0] for name in self._engine.functions}
        try:
            parsed = sqlglot.parse(quote_projects(text, projects), read="bigquery")
        except sqlglot.errors.SqlglotError as error:
            raise QueryError(f"Syntax error: {_first_error(error)}") from error
        statements = [bind(statement, parameters) for statement in parsed if statement is not None]
        if not statements:
            raise QueryError("There is no statement; write one, e.g. SELECT 1.")
        job = self._engine.job = Job(self.project, SESSION_USER)
        table = _NOTHING
        for statement in statements:
            try:
                table = self._run(statement)
            finally:
                self._engine.forget_stages()
        return Result(table, job.functions)

    def _run(self, statement: exp.Expr) -> pa.Table:
        if isinstance(statement, exp.Query):
            table = self._engine.fetch(self._engine.staged(self._translate(statement)))  # type: ignore[arg-type]
            writes.check_names(table.column_names)
            return table
        kind = statement.args.get("kind") or ""
        run = _STATEMENTS.get(f"{statement.key} {kind}".strip())
        if run is None:
            raise NotSupportedError(f"The statement {f'{statement.key} {kind}'.upper().strip()}")
        run(self, statement)
        return _NOTHING

    def _translate(self, statement: exp.Expr) -> exp.Expr:
        return to_duckdb(statement, self.project, self._tables, self._engine.functions)

    def _create_function(self, create: exp.Create) -> None:
        function = ddl.remote_function(create, self.project)
        if self._is_there(function.name in self._engine.functions, "Routine", function.name, create):
            return
        self._engine.define(function)
        self._store(function.name, function)

    def _drop_function(self, drop: exp.Drop) -> None:
        for table in drop.args["tables"]:
            name = ddl.full_name(table, self.project, "Function")
            if name not in self._engine.functions and not drop.args.get("exists"):
                raise QueryError(f"Not found: Routine {name}; write DROP FUNCTION IF EXISTS when it may be gone.")
            self._engine.forget(name)
            self._store(name, None)

    def _store(self, name: str, function: RemoteFunction | None) -> None:
        """Keep a function's definition, or none, where the next session looks for it."""
        connection = self._engine.connection
        connection.execute("DELETE FROM remote_functions WHERE name = ?", [name])
        if function is not None:
            definition = json.dumps(dataclasses.asdict(function))
            connection.execute("INSERT INTO remote_functions VALUES (?, ?)", [name, definition])

    def _create_table(self, create: exp.Create) -> None:
        name = ddl.full_name(create.find(exp.Table), self.project, "Table")
        for item in create.args["properties"].expressions if create.args.get("properties") else ():
            if not isinstance(item, exp.PartitionedByProperty | exp.Cluster):  # these change no result
                raise NotSupportedError(f"CREATE TABLE with {item.sql('bigquery')[:60]}")
        if not self._is_there(name in self._tables, "Table", name, create):
            self._make_dataset(name)
            writes.create_table(self._engine, name, create, self._translate)
            self._tables.add(name)

    def _drop_table(self, drop: exp.Drop) -> None:
        for table in drop.args["tables"]:
            if not drop.args.get("exists") or ddl.full_name(table, self.project, "Table") in self._tables:
                name = self._known(table)
                self._engine.execute(f"DROP TABLE {duckdb_table(name).sql('duckdb')}")
                self._tables.discard(name)

    def _insert(self, statement: exp.Insert) -> None:
        writes.insert(self._engine, self._known(statement.find(exp.Table)), statement, self._translate)

    def _merge(self, statement: exp.Merge) -> None:
        writes.merge(self._engine, self._known(statement.this), statement, self._translate)

    def _known(self, table: exp.Table | None) -> str:
        name = ddl.full_name(table, self.project, "Table")
        if name not in self._tables:
            raise QueryError(f"Not found: Table {name}; loaded are: {', '.join(sorted(self._tables)) or 'none'}.")
        return name

    def _is_there(self, known: bool, kind: str, name: str, create: exp.Create) -> bool:
        """Return whether IF NOT EXISTS leaves nothing to do; refuse to create what is there already."""
        if known and not create.args.get("replace") and not create.args.get("exists"):
            raise QueryError(f"Already Exists: {kind} {name}; write CREATE OR REPLACE {create.kind}.")
        return known and bool(create.args.get("exists"))

    def _make_dataset(self, name: str) -> None:
        schema = exp.to_identifier(name.rpartition(".")[0], quoted=True).sql("duckdb")
        self._engine.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")


_STATEMENTS: dict[str, Callable[..., None]] = {
    "create FUNCTION": BigQuery._create_function,
    "create TABLE": BigQuery._create_table,
    "drop FUNCTION": BigQuery._drop_function,
    "drop TABLE": BigQuery._drop_table,
    "insert": BigQuery._insert,
    "merge": BigQuery._merge,
}

_TABLES = """
SELECT table_schema || '.' || table_name AS name FROM information_schema.tables
WHERE table_catalog = current_database() AND table_schema <> 'main'
"""


def _first_error(error: Exception) -> str:
    details = getattr(error, "errors", None)
    if not details:
        return str(error).splitlines()[0]
    first = details[0]
    return f"{first['description']} at line {first['line']}, column {first['col']}, near {first['highlight']!r}"


__all__ = ["BigQuery", "LocalError", "Result"]
