"""Rewrites of the functions that are named after a type, such as TIMESTAMP(x), DATETIME(x) and FLOAT64(json).

With one argument most of them are casts. Time zones, parts of a date and numbers of seconds have functions of DuckDB,
whose results get the type that GoogleSQL gives them.
"""

import re
from collections.abc import Callable

from sqlglot import exp

from bqlocal.errors import NotSupportedError

_FACTORS = {"0": 10**6, "3": 10**3, "6": 1}  # microseconds of a unit, by UnixToTime's scale

# A format whose elements mean the same to GoogleSQL and to DuckDB. Without a year the two have different defaults.
_FORMAT = re.compile(r"([^%]|%[YmdHMS%])*%Y([^%]|%[YmdHMS%])*")


def _timestamp(node: exp.Timestamp) -> exp.Expr:
    zone = node.args.get("zone")
    if zone is None:
        return _as("TIMESTAMPTZ", node.this)
    return _call("timezone", _zone_name(node, zone), _call("googlesql_without_zone", node.this))


def _date(node: exp.Date) -> exp.Expr:
    zone = node.args.get("zone")
    return _as("DATE", node.this if zone is None else _local(node, zone))


def _datetime(node: exp.Datetime) -> exp.Expr:
    """DATETIME(timestamp, 'zone') or DATETIME(date, time)."""
    second = node.expression
    if isinstance(second, exp.Literal) and second.is_string:
        return _local(node, second)
    return exp.paren(exp.Add(this=_as("DATE", node.this), expression=_as("TIME", second)))


def _time(node: exp.Time | exp.TsOrDsToTime) -> exp.Expr:
    """DuckDB casts a TIMESTAMP to TIME by way of a DATETIME only."""
    zone = node.args.get("zone")
    return _as("TIME", _as("TIMESTAMP", node.this) if zone is None else _local(node, zone))


def _string(node: exp.String) -> exp.Expr:
    if node.args.get("zone") is not None:
        raise NotSupportedError(node.sql("bigquery"), "write STRING of a DATETIME, as in STRING(DATETIME(ts, 'zone'))")
    return _call("googlesql_string", node.this)


def _unix_to_time(node: exp.UnixToTime) -> exp.Expr:
    """TIMESTAMP_SECONDS, TIMESTAMP_MILLIS and TIMESTAMP_MICROS."""
    scale = node.args.get("scale")
    factor = exp.Literal.number(_FACTORS[scale.name if scale is not None else "0"])
    microseconds = exp.Mul(this=_as("BIGINT", exp.paren(node.this)), expression=factor)
    return _as("TIMESTAMPTZ", _call("make_timestamp", microseconds))


def _unix_micros(node: exp.UnixMicros) -> exp.Expr:
    return _call("epoch_us", _as("TIMESTAMPTZ", node.this))


def _date_from_unix(node: exp.DateFromUnixDate) -> exp.Expr:
    return exp.paren(exp.Add(this=_as("DATE", exp.Literal.string("1970-01-01")), expression=_as("INT", node.this)))


def _datetime_from_parts(node: exp.TimestampFromParts) -> exp.Expr:
    return _call("make_timestamp", *(node.args[part] for part in ("year", "month", "day", "hour", "min", "sec")))


def _time_from_parts(node: exp.TimeFromParts) -> exp.Expr:
    return _call("make_time", *(node.args[part] for part in ("hour", "min", "sec")))


def _parsed(duckdb_type: str) -> Callable[[exp.StrToTime | exp.ParseDatetime], exp.Expr]:
    """Return the rewrite of PARSE_TIMESTAMP or PARSE_DATETIME."""

    def parsed(node: exp.StrToTime | exp.ParseDatetime) -> exp.Expr:
        pattern = node.args["format"]
        if not isinstance(pattern, exp.Literal) or not _FORMAT.fullmatch(pattern.name) or node.args.get("zone"):
            raise NotSupportedError(
                node.sql("bigquery"), "the format must be a literal of %Y and any of %m, %d, %H, %M and %S"
            )
        return _as(duckdb_type, _call("strptime", node.this, pattern))

    return parsed


def _as(duckdb_type: str, value: exp.Expr) -> exp.Expr:
    return exp.cast(value, exp.DataType.build(duckdb_type, dialect="duckdb"), copy=False)


def _call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _local(node: exp.Expr, zone: exp.Expr) -> exp.Expr:
    """Return a TIMESTAMP as the DATETIME of a time zone."""
    return _call("timezone", _zone_name(node, zone), _as("TIMESTAMPTZ", node.this))


def _zone_name(node: exp.Expr, zone: exp.Expr) -> exp.Expr:
    """Return a time zone's name; DuckDB knows no offsets."""
    if not isinstance(zone, exp.Literal) or zone.name[:1] in ("+", "-"):
        raise NotSupportedError(node.sql("bigquery"), "write the time zone's name, as in 'Europe/Zurich'")
    return zone


CONVERSIONS: dict[type[exp.Expr], Callable[..., exp.Expr]] = {
    exp.Date: _date,
    exp.DateFromUnixDate: _date_from_unix,
    exp.Datetime: _datetime,
    exp.Float64: lambda node: _call("googlesql_json_float64", node.this),
    exp.Int64: lambda node: _call("googlesql_json_int64", node.this),
    exp.JSONBool: lambda node: _call("googlesql_json_bool", node.this),
    exp.ParseDatetime: _parsed("TIMESTAMP"),
    exp.String: _string,
    exp.StrToTime: _parsed("TIMESTAMPTZ"),
    exp.Time: _time,
    exp.TimeFromParts: _time_from_parts,
    exp.Timestamp: _timestamp,
    exp.TimestampFromParts: _datetime_from_parts,
    exp.TsOrDsToDatetime: lambda node: _as("TIMESTAMP", node.this),
    exp.TsOrDsToTime: _time,
    exp.UnixMicros: _unix_micros,
    exp.UnixToTime: _unix_to_time,
}
