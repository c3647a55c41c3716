"""`python -m local logs`: what the function did for each query, rolled up from its log lines.

The rule: how lines become a row per query stands in sql/requests_by_job.sql alone, the view for BigQuery; here it runs
on this machine, over a table in the form that a sink of Cloud Logging makes. A line that is none of a query is counted
and said, never dropped in silence.
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
from bqlocal.bigquery import BigQuery, Result
from bqlocal.errors import SourceError
from sqlglot import exp

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
    """The lines of a log: those of queries as rows of TABLE, and how many others there were."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    others: int = 0
    not_json: int = 0

    def __str__(self) -> str:
        return (
            f"{len(self.rows):,} requests of queries; left out: {self.others:,} other entries, "
            f"{self.not_json:,} lines that are no JSON"
        )


def roll_up(lines: Lines, vcpus: float, gibs: float) -> Result:
    """Return a row per query; the price is that of instances of this size."""
    view = sqlglot.parse_one(VIEW.read_text(), read="bigquery")
    for constant in view.find_all(exp.Alias):
        if constant.alias in ("vcpus", "gibs"):
            constant.set("this", exp.Literal.number(vcpus if constant.alias == "vcpus" else gibs))
    with BigQuery() as bigquery:
        bigquery.load(TABLE, pa.Table.from_pylist(lines.rows, SCHEMA))
        return bigquery.sql(view.expression.sql("bigquery"))


def read(text: Iterable[str]) -> Lines:
    """Return what is in a log: lines of the function, or entries of Cloud Logging, one a line or as one JSON array.

    Raise SourceError when there is no request of a query among them.
    """
    found = Lines()
    for entry in _entries(text, found):
        try:
            found.rows.append(_row(entry))
        except (AttributeError, KeyError, TypeError, ValueError):
            found.others += 1
    if not found.rows:
        raise SourceError(
            f"The log has no line of a query ({found}); expected what the function prints, or what "
            "`gcloud logging read 'resource.labels.service_name=\"predict\"' --format=json` gives."
        )
    return found


def _entries(text: Iterable[str], found: Lines) -> Iterator[Any]:
    lines = iter(text)
    first = next(lines, "")
    if first.strip() in ("[", "[]") or first.startswith(
        "[{"
    ):  # gcloud's way, and not a server's "[2026-11-23 ...] ..."
        try:
            yield from orjson.loads(first + "".join(lines))
        except orjson.JSONDecodeError as error:
            raise SourceError(f"The log is a JSON array that breaks off or is malformed: {error}.") from error
        return
    for line in itertools.chain([first], lines):
        if not line.strip():
            continue
        try:
            yield orjson.loads(line)
        except orjson.JSONDecodeError:
            found.not_json += 1


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry as a row of TABLE; raise what dictionaries and numbers raise when it is no request of a query."""
    exported = "jsonPayload" in entry
    payload = entry["jsonPayload"] if exported else entry
    texts = ("job", "requestId", "user", "function", "model")
    numbers = ("status", "rows", "nullRows")
    return {
        "timestamp": datetime.fromisoformat(entry["timestamp" if exported else "time"]),
        "labels": {"instanceid": entry.get("labels", {}).get("instanceId")},
        "jsonPayload": {
            **{key.lower(): str(payload[key]) for key in texts if payload.get(key) is not None},
            **{key.lower(): float(payload[key]) for key in numbers if payload.get(key) is not None},
            "job": str(payload["job"]),
            "milliseconds": {"total": float(payload["milliseconds"]["total"])},
        },
    }
