"""BigQuery on this machine: tables, GoogleSQL, and remote functions that are called over real HTTP.

    with BigQuery() as bigquery:
        bigquery.load("shop.orders", "orders.csv")
        bigquery.sql("CREATE FUNCTION shop.predict(amount FLOAT64) RETURNS FLOAT64 REMOTE WITH ...")
        result = bigquery.sql("SELECT amount, shop.predict(amount) AS predicted FROM shop.orders")
        print(result.frame, result.calls.requests)

A statement is parsed as GoogleSQL, translated, and run by DuckDB.
"""

import dataclasses
import json
import logging
from collections.abc import Callable, Collection
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
from bqlocal.errors import NotSupportedError, QueryError
from bqlocal.names import resolve
from bqlocal.parameters import Parameters, bind
from bqlocal.remote import Calls, Job, RemoteFunction
from bqlocal.sql_functions import SqlFunctions, sql_function, write_out
from bqlocal.translate import duckdb_table, quote_projects, table_not_found, to_duckdb

# sqlglot logs hints about its translation; `checks.py` raises errors for what cannot be translated.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

SESSION_USER = "analyst@example.com"
RETRY_DELAY = 0.1  # seconds before the first retry, doubled for each further one
_EMPTY = pa.table({})


@dataclass(frozen=True)
class Result:
    """The rows of a query, and what its remote calls cost."""

    table: pa.Table
    functions: dict[str, Calls]  # by name, for the functions that were called

    @property
    def frame(self) -> pd.DataFrame:
        """The rows as a DataFrame."""
        return self.table.to_pandas()

    @property
    def calls(self) -> Calls:
        """The calls of all functions together."""
        return Calls.total(self.functions)


class BigQuery:
    """Tables and remote functions of one project and its neighbours, for one thread at a time.

    Tables and functions live in memory, or in the file `state`, where the next session finds them. With a seed as
    `chaos`, remote functions are called in every way that BigQuery reserves the right to: batches split at random,
    delivered twice, retried and out of order. `retry_delay` is in seconds. `on_rows` is called after every request
    with the number of rows that have their reply, and the total.
    """

    def __init__(
        self,
        project: str = "local",
        *,
        state: Path | None = None,
        chaos: int | None = None,
        retry_delay: float = RETRY_DELAY,
        on_rows: OnRows | None = None,
    ) -> None:
        self.project = project
        self._engine = Engine(state, Caller(retry_delay, chaos), on_rows or (lambda *_: None))
        self._engine.execute("CREATE TABLE IF NOT EXISTS remote_functions (name VARCHAR, definition VARCHAR)")
        self._tables = set(self._engine.fetch(_TABLES)["name"].to_pylist())
        for definition in self._engine.fetch("SELECT definition FROM remote_functions")["definition"].to_pylist():
            self._engine.define(RemoteFunction(**json.loads(definition)))
        self._sql_functions = SqlFunctions(self._engine.connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; without `state`, tables and functions are gone."""
        self._engine.close()

    def load(self, name: str, source: tables.Source, reading: tables.Reading = tables.AS_FOUND) -> list[str]:
        """Create or replace a table from a DataFrame, an Arrow table, or a CSV, TSV, Parquet or JSON lines file.

        `name` is `dataset.table` or `project.dataset.table`; `reading` says how to read a file. Returns sentences
        on what was guessed in reading it. Raises SourceError when the source cannot be read.
        """
        name = tables.full_name(name, self.project)
        self._create_dataset(name)
        notes = tables.create(self._engine.connection, duckdb_table(name).sql("duckdb"), source, reading)
        self._tables.add(name)
        return notes

    def sql(self, text: str, parameters: Parameters = ()) -> Result:
        """Run one or more statements; return the rows of the last one and the calls of all.

        `parameters` are values by name for `@name`, or in order for `?`. Raises QueryError.
        """
        projects = {name.split(".")[0] for name in self._functions}
        try:
            parsed = sqlglot.parse(quote_projects(text, projects), read="bigquery")
        except sqlglot.errors.SqlglotError as error:
            raise QueryError(f"Syntax error: {_first_error(error)}") from error
        # A comment after the last semicolon is parsed as a statement of its own.
        written = [statement for statement in parsed if not isinstance(statement, exp.Semicolon | None)]
        statements = [bind(statement, parameters) for statement in written]
        if not statements:
            raise QueryError("There is no statement to run; write one, e.g. SELECT 1.")
        job = self._engine.job = Job(self.project, SESSION_USER)
        table = _EMPTY
        for statement in statements:
            try:
                table = self._run(statement)
            finally:
                self._engine.drop_stages()
        return Result(table, job.functions)

    def _run(self, statement: exp.Expr) -> pa.Table:
        if isinstance(statement, exp.Query):
            table = self._engine.fetch(self._engine.run_stages(self._translate(statement)))
            writes.check_names(table.column_names)
            return table
        statement_type = f"{statement.key} {statement.args.get('kind') or ''}".strip()
        run = _STATEMENTS.get(statement_type)
        if run is None:
            raise NotSupportedError(f"The statement {statement_type.upper()}")
        run(self, statement)
        return _EMPTY

    @property
    def _functions(self) -> set[str]:
        """The names of all functions."""
        return {*self._engine.functions, *self._sql_functions}

    def _translate(self, statement: exp.Expr) -> exp.Expr:
        written = write_out(statement, self.project, self._sql_functions, self._engine.functions)
        return to_duckdb(written, self.project, self._tables, self._engine.functions)

    def _create_function(self, create: exp.Create) -> None:
        declared = ddl.remote_function if ddl.is_remote(create) else sql_function
        function = declared(create, self.project)
        if self._already_exists(function.name in self._functions, "Routine", function.name, create):
            return
        self._forget(function.name)
        if isinstance(function, RemoteFunction):
            self._engine.define(function)
            definition = json.dumps(dataclasses.asdict(function))
            self._engine.connection.execute("INSERT INTO remote_functions VALUES (?, ?)", [function.name, definition])
        else:
            self._sql_functions.define(function)

    def _drop_function(self, drop: exp.Drop) -> None:
        for table in drop.args["tables"]:
            name = self._resolve(table, "Function", self._functions)
            if name not in self._functions and not drop.args.get("exists"):
                raise QueryError(f"Not found: Routine {name}; write DROP FUNCTION IF EXISTS if it may not exist.")
            self._forget(name)

    def _forget(self, name: str) -> None:
        """Make a function unknown, here and to the next session."""
        self._engine.forget(name)
        self._engine.connection.execute("DELETE FROM remote_functions WHERE name = ?", [name])
        self._sql_functions.forget(name)

    def _create_table(self, create: exp.Create) -> None:
        name = ddl.full_name(create.find(exp.Table), self.project, "Table")
        for item in create.args["properties"].expressions if create.args.get("properties") else ():
            if not isinstance(item, exp.PartitionedByProperty | exp.Cluster):  # these change no result
                raise NotSupportedError(f"CREATE TABLE with {item.sql('bigquery')[:60]}")
        if not self._already_exists(name in self._tables, "Table", name, create):
            self._create_dataset(name)
            writes.create_table(self._engine, name, create, self._translate)
            self._tables.add(name)

    def _drop_table(self, drop: exp.Drop) -> None:
        for table in drop.args["tables"]:
            if not drop.args.get("exists") or self._resolve(table, "Table", self._tables) in self._tables:
                name = self._existing_table(table)
                self._engine.execute(f"DROP TABLE {duckdb_table(name).sql('duckdb')}")
                self._tables.discard(name)

    def _insert(self, statement: exp.Insert) -> None:
        writes.insert(self._engine, self._existing_table(statement.find(exp.Table)), statement, self._translate)

    def _merge(self, statement: exp.Merge) -> None:
        writes.merge(self._engine, self._existing_table(statement.this), statement, self._translate)

    def _existing_table(self, table: exp.Table | None) -> str:
        name = self._resolve(table, "Table", self._tables)
        if name not in self._tables:
            raise table_not_found(name, self._tables)
        return name

    def _resolve(self, table: exp.Table | None, entity: str, known: Collection[str]) -> str:
        """Return the full name of a table or function that a statement changes or drops."""
        name = ddl.full_name(table, self.project, entity)
        return name if table is None or table.catalog else resolve([table.db, table.name], self.project, known)

    def _already_exists(self, exists: bool, entity: str, name: str, create: exp.Create) -> bool:
        """Return whether IF NOT EXISTS leaves nothing to do; raise QueryError for a CREATE of what already exists."""
        if exists and not create.args.get("replace") and not create.args.get("exists"):
            raise QueryError(f"Already Exists: {entity} {name}; write CREATE OR REPLACE {create.kind}.")
        return exists and bool(create.args.get("exists"))

    def _create_dataset(self, name: str) -> None:
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
