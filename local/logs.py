"""`python -m local logs`: what the function did for each query, aggregated from its log lines.

Only sql/requests_by_job.sql, the view for BigQuery, defines how lines become a row per query. It runs here over a table
of the form that a log sink of Cloud Logging creates. Lines that belong to no query are counted and reported.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import sqlglot
from sqlglot import exp

from bqlocal import BigQuery, Result, SourceError
from bqlocal.errors import quantity

VIEW = Path(__file__).parent.parent / "sql" / "requests_by_job.sql"
TABLE = "logs.run_googleapis_com_stdout"
SCHEMA = pa.schema(
    {
        "timestamp": pa.timestamp("us", "UTC"),
        "labels": pa.struct({"instanceid": pa.string()}),
        "jsonPayload": pa.struct(
            {
                **dict.fromkeys(("job", "requestid", "user", "function", "model"), pa.string()),
                **dict.fromkeys(("status", "rows", "nullrows"), pa.float64()),
                "milliseconds": pa.struct({"total": pa.float64()}),
            }
        ),
    }
)


@dataclass
class Lines:
    """The lines of a log: the requests of queries as rows of TABLE, and the number of other lines."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    others: int = 0
    not_json: int = 0

    def __str__(self) -> str:
        return (
            f"{quantity(len(self.rows), 'request')} of queries; ignored "
            f"{quantity(self.others, 'other entry', 'other entries')} and "
            f"{quantity(self.not_json, 'line that is not JSON', 'lines that are not JSON')}"
        )


def read(text: Iterable[str]) -> Lines:
    """Read the function's log lines, or entries of Cloud Logging, one per line or as one JSON array.

    Raises SourceError when none of them is a request of a query.
    """
    lines = Lines()
    for entry in _entries(text, lines):
        try:
            lines.rows.append(_row(entry))
        except (AttributeError, KeyError, TypeError, ValueError):
            lines.others += 1
    if not lines.rows:
        raise SourceError(
            f"The log has no line of a query ({lines}); expected what the function prints, or the output of "
            "`gcloud logging read 'resource.labels.service_name=\"predict\"' --format=json`."
        )
    return lines


def roll_up(lines: Lines, vcpus: float, gibs: float) -> Result:
    """Return a row per query, priced for instances with so many vCPUs and GiB of memory."""
    view = sqlglot.parse_one(VIEW.read_text(), read="bigquery")
    for constant in view.find_all(exp.Alias):
        if constant.alias in ("vcpus", "gibs"):
            constant.set("this", exp.Literal.number(vcpus if constant.alias == "vcpus" else gibs))
    with BigQuery() as bigquery:
        bigquery.load(TABLE, pa.Table.from_pylist(lines.rows, SCHEMA))
        return bigquery.sql(view.expression.sql("bigquery"))


def _entries(text: Iterable[str], lines: Lines) -> Iterator[Any]:
    """Yield the JSON values of a log; count the lines that are not JSON."""
    rest = iter(text)
    first = next(rest, "")
    # gcloud prints an array; a server's own line may look like "[2026-11-23 ...] ...".
    if first.strip() in ("[", "[]") or first.startswith("[{"):
        try:
            yield from orjson.loads(first + "".join(rest))
        except orjson.JSONDecodeError as error:
            raise SourceError(f"The log is a JSON array that is incomplete or malformed: {error}.") from error
        return
    for line in itertools.chain([first], rest):
        if not line.strip():
            continue
        try:
            yield orjson.loads(line)
        except orjson.JSONDecodeError:
            lines.not_json += 1


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry as a row of TABLE.

    An entry that is not a request of a query raises AttributeError, KeyError, TypeError or ValueError.
    """
    exported = "jsonPayload" in entry
    payload = entry["jsonPayload"] if exported else entry
    strings = ("job", "requestId", "user", "function", "model")
    numbers = ("status", "rows", "nullRows")
    return {
        "timestamp": datetime.fromisoformat(entry["timestamp" if exported else "time"]),
        "labels": {"instanceid": entry.get("labels", {}).get("instanceId")},
        "jsonPayload": {
            **{key.lower(): str(payload[key]) for key in strings if payload.get(key) is not None},
            **{key.lower(): float(payload[key]) for key in numbers if payload.get(key) is not None},
            "job": str(payload["job"]),
            "milliseconds": {"total": float(payload["milliseconds"]["total"])},
        },
    }
