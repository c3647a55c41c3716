"""The DuckDB connection: runs translated SQL and makes the remote calls that it needs.

An error of a remote function or of a function in `googlesql.py` reaches the caller unchanged; an error of DuckDB
becomes a QueryError of one sentence. No statement leaves anything behind in memory or on disk.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa
from sqlglot import exp, parse_one

from bqlocal import googlesql
from bqlocal.batching import Caller
from bqlocal.errors import QueryError, SourceError
from bqlocal.remote import Job, RemoteFunction
from bqlocal.staging import HIDDEN, Stage, argument_column, placeholder, reply_column, stage
from bqlocal.translate import SINGLE, STABLE
from bqlocal.types import ARROW_TYPES, DUCKDB_TYPES
from bqlocal.values import with_sql_type

MEMORY_LIMIT = "400MB"  # of DuckDB, which spills to disk beyond it
CHUNK_ROWS = 20_000  # read ahead of the requests

# Called after every request with the number of rows that have their reply, and the total.
OnRows: TypeAlias = Callable[[int, int], None]


class Engine:
    """A DuckDB connection and the remote functions that its SQL may call."""

    def __init__(self, state: Path | None, caller: Caller, on_rows: OnRows) -> None:
        self._caller = caller
        self._on_rows = on_rows
        self._spill = tempfile.TemporaryDirectory(prefix="duckdb-")
        try:
            self.connection = duckdb.connect(str(state or ":memory:"))
        except duckdb.Error as error:
            raise SourceError(f"Cannot open {str(state)!r}: {_first_line(error)}") from error
        self.connection.execute(
            f"SET arrow_lossless_conversion = true; SET TimeZone = 'UTC'; SET memory_limit = '{MEMORY_LIMIT}';"
            f"SET temp_directory = '{self._spill.name}'; ATTACH ':memory:' AS scratch"
        )
        self._functions: dict[str, tuple[str, RemoteFunction]] = {}
        self._defined = 0
        self._stages: list[int] = []
        self._failure: BaseException | None = None
        self.job: Job | None = None
        for name, (function, returns) in googlesql.FUNCTIONS.items():
            self._register(name, function, returns)

    def close(self) -> None:
        self._caller.close()
        self.connection.close()
        self._spill.cleanup()

    @property
    def functions(self) -> dict[str, tuple[str, RemoteFunction]]:
        """The remote functions by name, each with its name in DuckDB."""
        return self._functions

    def execute(self, sql: str) -> None:
        """Run a statement of DuckDB's SQL."""
        self._run(lambda: self.connection.execute(sql))

    def fetch(self, sql: str) -> pa.Table:
        """Run a query of DuckDB's SQL; every column of the result has one of BigQuery's types."""
        table = self._run(lambda: self.connection.sql(sql).to_arrow_table())
        columns = []
        for column in table.columns:
            sql_type, values = with_sql_type(_one_array(column))
            columns.append(values.cast(ARROW_TYPES["TIMESTAMP"]) if sql_type == "TIMESTAMP" else values)
        return pa.table(columns, names=table.column_names)

    def column_types(self, sql: str) -> list[tuple[str, str]]:
        """Return the columns of a query, without running it, as (name, BigQuery type)."""
        names = self._run(lambda: self.connection.sql(sql).columns)  # a subquery would rename the second of two alike
        table = self._run(lambda: self.connection.sql(f"SELECT * FROM ({sql}) LIMIT 0").to_arrow_table())
        return [(name, with_sql_type(_one_array(table[i]))[0]) for i, name in enumerate(names)]

    def run_stages(self, query: exp.Expr) -> str:
        """Make the remote calls of a query that can be made beforehand; return the rest of it as DuckDB's SQL."""
        stage(query, self._run_stage)
        return query.sql("duckdb")

    def drop_stages(self) -> None:
        """Drop the tables that `run_stages` made for the query that it returned."""
        for number in self._stages:
            self.connection.unregister(f"replies_{number}")
            self.connection.execute(f"DROP TABLE IF EXISTS scratch.stage_{number}")
        self._stages = []

    def define(self, function: RemoteFunction) -> None:
        """Make a remote function callable from SQL, in place of an earlier one of that name."""
        self.forget(function.name)
        self._defined += 1
        name = f"remote_{self._defined}"
        for one_row in (False, True):
            for stable in (False, True):

                def call(rows: pa.Array, *columns: pa.Array, one_row: bool = one_row) -> pa.Array:
                    assert self.job is not None
                    chunk = [(columns, len(rows))]
                    return _column(function, list(self._caller.call(function, chunk, self.job, one_row=one_row)))

                self._register(
                    name + SINGLE * one_row + STABLE * stable, call, DUCKDB_TYPES[function.returns], volatile=not stable
                )
        self._functions[function.name] = (name, function)

    def forget(self, name: str) -> None:
        """Make a remote function unknown to SQL."""
        if name in self._functions:
            duckdb_name, _ = self._functions.pop(name)
            for suffix in ("", STABLE, SINGLE, SINGLE + STABLE):
                self.connection.remove_function(duckdb_name + suffix)

    def _run_stage(self, staged: Stage) -> exp.Select | None:
        sql = staged.select.sql("duckdb")
        names = self._run(lambda: self.connection.sql(sql).columns)
        if len({name.lower() for name in names}) < len(names):
            return None
        number = self._stages[-1] + 1 if self._stages else 1
        self._stages.append(number)
        self.execute(f"CREATE TABLE scratch.stage_{number} AS {sql}")
        replies = {reply_column(n): self._replies(number, n, call) for n, call in enumerate(staged.calls)}
        self.connection.register(f"replies_{number}", pa.table(replies))
        select = parse_one(f"SELECT 1 FROM scratch.stage_{number} POSITIONAL JOIN replies_{number}", read="duckdb")
        replaced = {placeholder(n): column for n, column in enumerate(staged.columns)}
        visible = [name for name in names if not name.startswith(HIDDEN)]
        select.set("expressions", [replaced.get(name) or exp.column(name, quoted=True) for name in visible])
        return select  # type: ignore[return-value]

    def _replies(self, number: int, index: int, call: exp.Anonymous) -> pa.ChunkedArray:
        """Make call `index` of stage `number` for all of its rows."""
        assert self.job is not None
        function = next(known for name, known in self._functions.values() if known.name == call.meta["remote"])
        arguments = [f'"{argument_column(index, n)}"' for n in range(len(function.arguments))]
        cursor = self.connection.cursor()
        try:
            cursor.execute("SET arrow_lossless_conversion = true")
            total = cursor.sql(f"SELECT COUNT(*) FROM scratch.stage_{number}").fetchall()[0][0]
            table = cursor.sql(f"SELECT {', '.join(arguments) or '1'} FROM scratch.stage_{number}")
            chunks = _chunks(table.to_arrow_reader(CHUNK_ROWS), has_arguments=bool(arguments))
            parts, done = [], 0
            for part in self._caller.call(function, chunks, self.job):
                parts.append(part)
                done += len(part)
                self._on_rows(done, total)
        finally:
            cursor.close()
        return pa.chunked_array([_column(function, parts)])

    def _register(self, name: str, function: Callable[..., pa.Array], returns: str, *, volatile: bool = True) -> None:
        """Register a function of whole columns with DuckDB; keep its first exception, which DuckDB would reword."""

        def guarded(*columns: pa.ChunkedArray) -> pa.Array:
            try:
                return function(*(_one_array(column) for column in columns))
            except BaseException as error:
                if self._failure is None:
                    self._failure = error
                raise

        self.connection.create_function(
            name, guarded, None, returns, type="arrow", null_handling="special", side_effects=volatile
        )

    def _run(self, action: Callable[[], Any]) -> Any:
        self._failure = None
        try:
            return action()
        except (duckdb.Error, KeyboardInterrupt) as error:
            if self.job is not None:
                self.job.cancelled.set()
            failure = self._failure or error
            if isinstance(failure, duckdb.Error):
                raise QueryError(f"The query failed: {_first_line(failure)}") from failure
            raise failure from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])


def _chunks(reader: pa.RecordBatchReader, *, has_arguments: bool) -> Iterator[tuple[Sequence[pa.Array], int]]:
    for batch in reader:
        yield (batch.columns if has_arguments else (), batch.num_rows)


def _column(function: RemoteFunction, parts: list[pa.Array]) -> pa.Array:
    values = pa.concat_arrays(parts) if parts else pa.array([], ARROW_TYPES[function.returns])
    return pa.ExtensionArray.from_storage(pa.json_(), values) if function.returns == "JSON" else values
