"""DuckDB underneath: it runs translated SQL and calls remote functions where SQL needs their values.

The rule: what a remote function or a function of GoogleSQL raises reaches the caller as it was raised; what
DuckDB itself raises becomes one sentence. Nothing of a statement is left behind in memory or on disk.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from sqlglot import exp, parse_one

from bqlocal import googlesql
from bqlocal.batching import Caller
from bqlocal.decoding import ARROW
from bqlocal.errors import QueryError, SourceError
from bqlocal.remote import Job, RemoteFunction
from bqlocal.staging import HIDDEN, Stage, argument, placeholder, reply, stage
from bqlocal.translate import SINGLE, STABLE
from bqlocal.values import plain

MEMORY = "400MB"  # of DuckDB, which goes to disk beyond it
CHUNK = 20_000  # rows read ahead of the requests
DUCKDB_TYPES = {
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

# Told after every request how many rows have their reply, and of how many.
OnRows = Callable[[int, int], None]


class Engine:
    """A DuckDB connection and the remote functions that it knows."""

    def __init__(self, state: Path | None, caller: Caller, on_rows: OnRows) -> None:
        self._caller = caller
        self._on_rows = on_rows
        self._spill = tempfile.TemporaryDirectory(prefix="duckdb-")
        try:
            self.connection = duckdb.connect(str(state or ":memory:"))
        except duckdb.Error as error:
            raise SourceError(f"{str(state)!r} cannot be opened: {str(error).splitlines()[0]}") from error
        self.connection.execute(
            f"SET arrow_lossless_conversion = true; SET TimeZone = 'UTC'; SET memory_limit = '{MEMORY}';"
            f"SET temp_directory = '{self._spill.name}'; ATTACH ':memory:' AS scratch"
        )
        self._functions: dict[str, tuple[str, RemoteFunction]] = {}
        self._made = 0
        self._stages: list[int] = []
        self._failure: BaseException | None = None
        self.job: Job | None = None
        for name, (function, returns) in googlesql.FUNCTIONS.items():
            self._define(name, function, returns)

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
        """Run a query of DuckDB's SQL; every column has one of BigQuery's types."""
        table = self._run(lambda: self.connection.sql(sql).to_arrow_table())
        columns = []
        for column in table.columns:
            kind, values = plain(whole(column))
            columns.append(values.cast(ARROW["TIMESTAMP"]) if kind == "TIMESTAMP" else values)
        return pa.table(columns, names=table.column_names)

    def kinds(self, sql: str) -> list[tuple[str, str]]:
        """Return the columns of a query, not run, with their BigQuery types."""
        table = self._run(lambda: self.connection.sql(f"SELECT * FROM ({sql}) LIMIT 0").to_arrow_table())
        return [(name, plain(whole(table[at]))[0]) for at, name in enumerate(table.column_names)]

    def staged(self, query: exp.Query) -> str:
        """Make the remote calls of a query that can be made beforehand; return the rest of it as DuckDB's SQL."""
        stage(query, self._stage)
        return query.sql("duckdb")

    def forget_stages(self) -> None:
        """Drop what `staged` left for the query that it returned."""
        for number in self._stages:
            self.connection.unregister(f"replies_{number}")
            self.connection.execute(f"DROP TABLE IF EXISTS scratch.stage_{number}")
        self._stages = []

    def define(self, function: RemoteFunction) -> None:
        """Let SQL call a remote function."""
        self.forget(function.name)
        self._made += 1
        name = f"remote_{self._made}"
        for one_row in (False, True):
            for stable in (False, True):

                def call(rows: pa.Array, *columns: pa.Array, one_row: bool = one_row) -> pa.Array:
                    assert self.job is not None
                    chunk = [(columns, len(rows))]
                    parts = list(self._caller.call(function, chunk, self.job, one_row=one_row))
                    return _column(function, parts)

                self._define(
                    name + SINGLE * one_row + STABLE * stable, call, DUCKDB_TYPES[function.returns], volatile=not stable
                )
        self._functions[function.name] = (name, function)

    def forget(self, name: str) -> None:
        if name in self._functions:
            duckdb_name, _ = self._functions.pop(name)
            for suffix in ("", STABLE, SINGLE, SINGLE + STABLE):
                self.connection.remove_function(duckdb_name + suffix)

    def _stage(self, asked: Stage) -> exp.Select | None:
        sql = asked.select.sql("duckdb")
        names = self._run(lambda: self.connection.sql(sql).columns)
        if len({name.lower() for name in names}) < len(names):
            return None
        number = self._stages[-1] + 1 if self._stages else 1
        self._stages.append(number)
        self.execute(f"CREATE TABLE scratch.stage_{number} AS {sql}")
        replies = {reply(at): self._replies(number, at, call) for at, call in enumerate(asked.calls)}
        self.connection.register(f"replies_{number}", pa.table(replies))
        source = parse_one(f"SELECT 1 FROM scratch.stage_{number} POSITIONAL JOIN replies_{number}", read="duckdb")
        replaced = {placeholder(at): column for at, column in enumerate(asked.columns)}
        shown = [name for name in names if not name.startswith(HIDDEN)]
        listed = [replaced.get(name) or exp.column(name, quoted=True) for name in shown]
        source.set("expressions", listed)
        return source  # type: ignore[return-value]

    def _replies(self, number: int, at: int, call: exp.Anonymous) -> pa.ChunkedArray:
        assert self.job is not None
        function = next(known for name, known in self._functions.values() if known.name == call.meta["remote"])
        arguments = [f'"{argument(at, n)}"' for n in range(len(function.arguments))]
        cursor = self.connection.cursor()
        try:
            cursor.execute("SET arrow_lossless_conversion = true")
            total = cursor.sql(f"SELECT COUNT(*) FROM scratch.stage_{number}").fetchall()[0][0]
            table = cursor.sql(f"SELECT {', '.join(arguments) or '1'} FROM scratch.stage_{number}")
            chunks = _chunks(table.to_arrow_reader(CHUNK), bool(arguments))
            parts, done = [], 0
            for part in self._caller.call(function, chunks, self.job):
                parts.append(part)
                done += len(part)
                self._on_rows(done, total)
        finally:
            cursor.close()
        return pa.chunked_array([_column(function, parts)])

    def _define(self, name: str, function: Callable[..., pa.Array], returns: str, *, volatile: bool = True) -> None:
        def guarded(*columns: pa.ChunkedArray) -> pa.Array:
            try:
                return function(*(whole(column) for column in columns))
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
                self.job.over.set()
            failure = self._failure or error
            if isinstance(failure, duckdb.Error):
                raise QueryError(f"The query failed: {str(failure).splitlines()[0]}") from failure
            raise failure from None


def whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece."""
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])


def _chunks(reader: pa.RecordBatchReader, any_arguments: bool) -> Iterator[tuple[Sequence[pa.Array], int]]:
    for batch in reader:
        yield (batch.columns if any_arguments else (), batch.num_rows)


def _column(function: RemoteFunction, parts: list[pa.Array]) -> pa.Array:
    values = pa.concat_arrays(parts) if parts else pa.array([], ARROW[function.returns])
    return pa.ExtensionArray.from_storage(pa.json_(), values) if function.returns == "JSON" else values
