"""Rewrites expressions whose meaning sqlglot alone would leave to DuckDB.

`REWRITES` maps a sqlglot class to the function that returns a node's replacement. A node's arguments are rewritten
before the node itself.
"""

from collections.abc import Callable

from sqlglot import exp, parse_one

from bqlocal.checks import REMOTE, cast_type
from bqlocal.conversions import CONVERSIONS
from bqlocal.errors import NotSupportedError
from bqlocal.types import DUCKDB_TYPES

_DATE_UNITS = ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR")
_TRUNC_UNITS = ("DAY", "ISOWEEK", "MONTH", "QUARTER", "YEAR")


def _call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    """Return a call of one of `googlesql.FUNCTIONS`."""
    return exp.Anonymous(this=f"googlesql_{name}", expressions=list(arguments))


def _cast(node: exp.Cast) -> exp.Expr:
    sql_type = cast_type(node)
    safe = "safe_" if isinstance(node, exp.TryCast) else ""
    if sql_type in ("INT64", "BOOL"):
        return _call(f"{safe}cast_{sql_type.lower()}", node.this)
    if sql_type == "STRING":
        return _call("cast_string", node.this)
    if sql_type == "BIGNUMERIC":
        _check_bignumeric(node)
    if sql_type in ("NUMERIC", "BIGNUMERIC"):
        # sqlglot writes DECIMAL without digits, which DuckDB takes for DECIMAL(18, 3).
        node.set("to", exp.DataType.build(DUCKDB_TYPES[sql_type], dialect="duckdb"))
    return node


def _check_bignumeric(node: exp.Cast) -> None:
    fraction = node.this.name.partition(".")[2] if isinstance(node.this, exp.Literal) else None
    if fraction is None or len(fraction) > 18 or "e" in node.this.name.lower():
        raise NotSupportedError(
            node.sql("bigquery"), "a BIGNUMERIC must be a literal with at most 18 digits after the point"
        )


def _finite(node: exp.Expr) -> exp.Expr:
    return _call("finite", node.copy())


def _number(node: exp.Literal) -> exp.Expr:
    if node.is_string:
        return node
    if not node.is_int:
        return exp.cast(exp.Literal.string(node.name), exp.DataType.build("DOUBLE"))
    # DuckDB's own literals have 32 bits, which LIMIT, INTERVAL and positions require.
    arithmetic = exp.Add | exp.Sub | exp.Mul | exp.Neg
    return exp.cast(node, exp.DataType.build("BIGINT")) if isinstance(node.parent, arithmetic) else node


def _json(node: exp.JSONFormat) -> exp.Expr:
    if node.args.get("options") or node.args.get("is_json"):
        raise NotSupportedError(f"{node.sql('bigquery')} with options")
    return _call("to_json" if node.args.get("to_json") else "to_json_string", node.this)


def _json_query(node: exp.JSONExtract) -> exp.Expr:
    return exp.JSONExtract(this=_call("json_only", node.this), expression=node.expression)


def _nullif(node: exp.Nullif) -> exp.Expr:
    """DuckDB evaluates the first argument twice, and a remote call may answer differently the second time."""
    if not any(REMOTE in call.meta for call in node.find_all(exp.Anonymous)):
        return node
    once = parse_one(
        "list_extract(list_transform([x], lambda v: CASE WHEN v = y THEN NULL ELSE v END), 1)", read="duckdb"
    )
    for name, value in (("x", node.this), ("y", node.expression)):
        next(column for column in once.find_all(exp.Column) if column.name == name).replace(value.copy())
    return once


def _date(node: exp.DateAdd | exp.DateSub | exp.DateTrunc) -> exp.Expr:
    """DuckDB returns a DATETIME."""
    unit = node.args["unit"].name.upper()
    units = _TRUNC_UNITS if isinstance(node, exp.DateTrunc) else _DATE_UNITS
    if unit not in units or isinstance(node.args["unit"], exp.WeekStart):
        raise NotSupportedError(node.sql("bigquery"), f"supported units are {', '.join(units)}")
    date = _call("date", node.this)
    if isinstance(node, exp.DateTrunc):
        part = exp.Literal.string("week" if unit == "ISOWEEK" else unit)
        return exp.cast(exp.Anonymous(this="date_trunc", expressions=[part, date]), exp.DataType.build("DATE"))
    count = exp.cast(node.expression, exp.DataType.build("INT"))
    interval = exp.Anonymous(this=f"to_{unit.lower()}s", expressions=[count])
    operator = exp.Add if isinstance(node, exp.DateAdd) else exp.Sub
    return exp.cast(exp.paren(operator(this=date, expression=interval)), exp.DataType.build("DATE"))


def _timestamp_diff(node: exp.TimestampDiff) -> exp.Expr:
    """DuckDB counts boundaries, BigQuery whole units."""
    return _call("timestamp_diff", node.this, node.expression, exp.Literal.string(node.args["unit"].name.upper()))


def _greatest(node: exp.Greatest | exp.Least) -> exp.Expr:
    """DuckDB ignores NULL; in BigQuery any NULL makes the result NULL."""
    nulls = exp.or_(*(value.copy().is_(exp.null()) for value in (node.this, *node.expressions)))
    return exp.case().when(nulls, exp.null()).else_(node.copy())


def _element(node: exp.Bracket) -> exp.Expr:
    """DuckDB returns NULL for an index out of bounds, and counts negative ones from the end."""
    base = node.args["offset"]
    index = exp.cast(node.expressions[0], exp.DataType.build("BIGINT"))
    outside = exp.or_(index.copy() < base, index.copy() >= exp.func("len", node.this.copy()) + base)
    error = exp.Null() if node.args.get("safe") else _call("out_of_bounds", index.copy())
    element = exp.Anonymous(this="list_extract", expressions=[node.this.copy(), exp.paren(index + (1 - base))])
    return exp.case().when(outside, error).else_(element)


def _unnest(node: exp.Unnest) -> exp.Expr:
    """DuckDB counts the elements of UNNEST ... WITH OFFSET from one."""
    offset = node.args.get("offset")
    if not isinstance(offset, exp.Identifier):
        return node
    alias = node.args.get("alias")
    if alias is None or not alias.columns:
        raise NotSupportedError(node.sql("bigquery"), "name the elements, as in UNNEST(...) AS x WITH OFFSET")
    element = alias.columns[0].sql("duckdb")
    rows = f"SELECT {element}, __at - 1 AS {offset.sql('duckdb')} FROM UNNEST(a) WITH ORDINALITY AS t({element}, __at)"
    query = parse_one(rows, read="duckdb")
    unnest = query.find(exp.Unnest)
    assert unnest is not None
    unnest.set("expressions", [item.copy() for item in node.expressions])
    return exp.Subquery(this=query)


def _extract(node: exp.Extract) -> exp.Expr:
    """DuckDB's WEEK is BigQuery's ISOWEEK, and its DAYOFWEEK counts from zero."""
    part = node.name.upper()
    if part == "ISOWEEK":
        node.set("this", exp.var("WEEK"))
    return exp.paren(node.copy() + 1) if part == "DAYOFWEEK" else node


REWRITES: dict[type[exp.Expr], Callable[..., exp.Expr]] = CONVERSIONS | {
    exp.Div: lambda node: _call("divide", node.this, node.expression),
    exp.SafeDivide: lambda node: _call("safe_divide", node.this, node.expression),
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Literal: _number,
    exp.JSONExtract: _json_query,
    exp.JSONFormat: _json,
    exp.JSONType: lambda node: _call("json_type", node.this),
    exp.Round: lambda node: _call("round", node.this, *filter(None, [node.args.get("decimals")])),
    exp.Substring: lambda node: _call("substr", node.this, *filter(None, map(node.args.get, ("start", "length")))),
    exp.Nullif: _nullif,
    exp.DateAdd: _date,
    exp.DateSub: _date,
    exp.DateTrunc: _date,
    exp.TimestampDiff: _timestamp_diff,
    exp.Greatest: _greatest,
    exp.Least: _greatest,
    exp.Bracket: _element,
    exp.Extract: _extract,
    exp.Unnest: _unnest,
    exp.Format: lambda node: _call("format", node.this, *node.expressions),
    exp.Sqrt: _finite,
    exp.Exp: _finite,
    exp.Ln: _finite,
    exp.Log: _finite,
    exp.Pow: _finite,
}
