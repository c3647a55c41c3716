"""BigQuery on this machine: tables, GoogleSQL, and remote functions that are really called over HTTP.

    with BigQuery(project="local") as bigquery:
        bigquery.load("shop.orders", "orders.csv")
        bigquery.sql("CREATE FUNCTION shop.predict(amount FLOAT64) RETURNS FLOAT64 REMOTE WITH ...")
        result = bigquery.sql("SELECT amount, shop.predict(amount) AS predicted FROM shop.orders")
        result.frame, result.calls.requests

A statement is parsed as GoogleSQL and runs on DuckDB. Each project is an attached in-memory database, each
dataset a schema of it. A remote function is a DuckDB function over whole columns, so DuckDB's vectors (2,048
rows) bound a request.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import duckdb
import pandas as pd
import pyarrow as pa
import sqlglot
from sqlglot import exp

from local import ddl, googlesql, tables
from local.decoding import ARROW
from local.errors import LocalError, NotSupportedError, QueryError
from local.remote import Caller, Calls, Job, RemoteFunction
from local.translate import STABLE, quote_projects, to_duckdb
from local.values import plain

# sqlglot's hints on what it translates; what cannot be translated is refused by `translate.py`.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

SESSION_USER = "analyst@example.com"
RETRY_DELAY = 0.1  # seconds before the first retry, doubled for each further one

_DUCKDB_RETURNS = {
    "BOOL": "BOOLEAN",
    "INT64": "BIGINT",
    "FLOAT64": "DOUBLE",
    "NUMERIC": "DECIMAL(38, 9)",
    "BIGNUMERIC": "DECIMAL(38, 18)",
    "STRING": "VARCHAR",
    "BYTES": "BLOB",
    "DATE": "DATE",
    "DATETIME": "TIMESTAMP",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "TIME": "TIME",
    "JSON": "JSON",
}


@dataclass(frozen=True)
class Result:
    """The rows of a query, and what its remote calls cost."""

    table: pa.Table
    calls: Calls

    @property
    def frame(self) -> pd.DataFrame:
        """The rows as a DataFrame."""
        return self.table.to_pandas()


class BigQuery:
    """Tables and remote functions of one project and its neighbours, for one thread at a time."""

    def __init__(self, project: str = "local", *, retry_delay: float = RETRY_DELAY) -> None:
        self.project = project
        self._connection = duckdb.connect()
        self._connection.execute("SET arrow_lossless_conversion = true; SET TimeZone = 'UTC'")
        self._caller = Caller(retry_delay)
        self._tables: set[str] = set()
        self._projects: set[str] = set()
        self._functions: dict[str, tuple[str, RemoteFunction]] = {}
        self._made = 0
        self._job = Job(project, SESSION_USER)
        self._failure: BaseException | None = None
        for name, (function, returns) in googlesql.FUNCTIONS.items():
            self._define(name, function, returns)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End connections; tables and functions are gone."""
        self._job.over.set()
        self._caller.close()
        self._connection.close()

    def load(self, name: str, source: tables.Source) -> None:
        """Create or replace the table `name` from a DataFrame, an Arrow table, or a CSV or Parquet file."""
        project, dataset, table = tables.split_name(name, self.project)
        self._make_dataset(project, dataset)
        tables.create(self._connection, (project, dataset, table), source)
        self._tables.add(f"{project}.{dataset}.{table}")

    def sql(self, text: str) -> Result:
        """Run one statement or several; the result is that of the last, the calls are those of all."""
        projects = {name.split(".")[0] for name in self._functions}
        try:
            parsed = sqlglot.parse(quote_projects(text, projects), read="bigquery")
        except sqlglot.errors.SqlglotError as error:
            raise QueryError(f"Syntax error: {_first_error(error)}") from error
        statements = [statement for statement in parsed if statement is not None]
        if not statements:
            raise QueryError("There is no statement; write one, e.g. SELECT 1.")
        self._job = Job(self.project, SESSION_USER)
        table = pa.table({})
        for statement in statements:
            table = self._run(statement)
        return Result(table, self._job.calls)

    def _run(self, statement: exp.Expr) -> pa.Table:
        if isinstance(statement, exp.Query):
            return self._query(statement)
        if isinstance(statement, exp.Create) and statement.kind == "FUNCTION":
            self._create_function(statement)
        elif isinstance(statement, exp.Drop) and statement.args["kind"] == "FUNCTION":
            self._drop_function(statement)
        else:
            kind = statement.args.get("kind") or ""
            raise NotSupportedError(f"The statement {f'{statement.key} {kind}'.upper().strip()}")
        return pa.table({})

    def _query(self, query: exp.Query) -> pa.Table:
        sql = to_duckdb(query, self.project, self._tables, self._functions)
        self._failure = None
        try:
            result = self._connection.sql(sql).to_arrow_table()
        except (duckdb.Error, KeyboardInterrupt) as error:
            self._job.over.set()
            failure = self._failure or error
            if isinstance(failure, duckdb.Error):
                raise QueryError(f"The query failed: {str(failure).splitlines()[0]}") from failure
            raise failure from None
        return _plain_table(result)

    def _create_function(self, create: exp.Create) -> None:
        function = ddl.remote_function(create, self.project)
        known = function.name in self._functions
        if known and create.args.get("exists"):
            return
        if known and not create.args.get("replace"):
            raise QueryError(f"Already Exists: Routine {function.name}; write CREATE OR REPLACE FUNCTION.")
        self._forget(function.name)
        self._made += 1
        name = f"remote_{self._made}"

        def call(rows: pa.Array, *columns: pa.Array) -> pa.Array:
            return self._caller.call(function, list(columns), len(rows), self._job)

        for alias in (name, name + STABLE):
            self._define(
                alias,
                call,
                _DUCKDB_RETURNS[function.returns],
                json=function.returns == "JSON",
                volatile=alias == name,
            )
        self._functions[function.name] = (name, function)

    def _drop_function(self, drop: exp.Drop) -> None:
        for table in drop.args["tables"]:
            name = ddl.function_name(table, self.project)
            if name not in self._functions and not drop.args.get("exists"):
                raise QueryError(f"Not found: Routine {name}; write DROP FUNCTION IF EXISTS when it may be gone.")
            self._forget(name)

    def _forget(self, name: str) -> None:
        if name in self._functions:
            duckdb_name, _ = self._functions.pop(name)
            self._connection.remove_function(duckdb_name)
            self._connection.remove_function(duckdb_name + STABLE)

    def _define(
        self,
        name: str,
        function: Callable[..., pa.Array],
        returns: str,
        *,
        json: bool = False,
        volatile: bool = True,
    ) -> None:
        """Give DuckDB a function over columns; what it raises reaches the caller as it was raised."""

        def guarded(*columns: pa.ChunkedArray) -> pa.Array:
            try:
                values = function(*(_whole(column) for column in columns))
                return pa.ExtensionArray.from_storage(pa.json_(), values) if json else values
            except BaseException as error:
                if self._failure is None:
                    self._failure = error
                raise

        self._connection.create_function(
            name, guarded, None, returns, type="arrow", null_handling="special", side_effects=volatile
        )

    def _make_dataset(self, project: str, dataset: str) -> None:
        database = exp.to_identifier(project, quoted=True).sql("duckdb")
        if project not in self._projects:
            self._connection.execute(f"ATTACH ':memory:' AS {database}")
            self._projects.add(project)
        schema = exp.to_identifier(dataset, quoted=True).sql("duckdb")
        self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {database}.{schema}")


def _plain_table(table: pa.Table) -> pa.Table:
    """Give every column one of BigQuery's types; structs and arrays stay as they are."""
    columns = []
    for column in table.columns:
        kind, values = plain(_whole(column))
        columns.append(values.cast(ARROW["TIMESTAMP"]) if kind == "TIMESTAMP" else values)
    return pa.table(columns, names=table.column_names)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])


def _first_error(error: Exception) -> str:
    details = getattr(error, "errors", None)
    if not details:
        return str(error).splitlines()[0]
    first = details[0]
    return f"{first['description']} at line {first['line']}, column {first['col']}, near {first['highlight']!r}"


__all__ = ["BigQuery", "LocalError", "Result"]
