"""Expressions that sqlglot alone would leave with DuckDB's meaning, one function for each.

The rule: `REWRITES` maps a class of sqlglot's tree to what takes the node's place. Arguments are rewritten already
when their node's turn comes. Where a rewriting must write an argument twice, a remote call in it is refused.
"""

from collections.abc import Callable

from sqlglot import exp, parse_one

from bqlocal.errors import NotSupportedError
from bqlocal.refusals import REMOTE, cast_type


def _call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=f"googlesql_{name}", expressions=list(arguments))


def _divide(node: exp.Div) -> exp.Expr:
    return _call("divide", node.this, node.expression)


def _cast(node: exp.Cast) -> exp.Expr:
    kind = cast_type(node)
    safe = "safe_" if isinstance(node, exp.TryCast) else ""
    if kind in ("INT64", "BOOL"):
        return _call(f"{safe}cast_{kind.lower()}", node.this)
    if kind == "STRING":
        return _call("cast_string", node.this)
    if kind == "BIGNUMERIC":
        _check_bignumeric(node)
    if kind in _DECIMALS:
        node.set("to", exp.DataType.build(_DECIMALS[kind], dialect="duckdb"))
    return node


# sqlglot writes DECIMAL without digits, which DuckDB takes for DECIMAL(18, 3).
_DECIMALS = {"NUMERIC": "DECIMAL(38, 9)", "BIGNUMERIC": "DECIMAL(38, 18)"}


def _check_bignumeric(node: exp.Cast) -> None:
    fraction = node.this.name.partition(".")[2] if isinstance(node.this, exp.Literal) else None
    if fraction is None or len(fraction) > 18 or "e" in node.this.name.lower():
        raise NotSupportedError(
            f"{node.sql('bigquery')}", "a BIGNUMERIC is a literal of at most 18 digits after the point"
        )


def _finite(node: exp.Expr) -> exp.Expr:
    return _call("finite", node.copy())


def _number(node: exp.Literal) -> exp.Expr:
    if node.is_string:
        return node
    if not node.is_int:
        return exp.cast(exp.Literal.string(node.name), exp.DataType.build("DOUBLE"))
    # DuckDB's own literals are 32 bits wide; LIMIT, INTERVAL and positions take them as they are.
    arithmetic = exp.Add | exp.Sub | exp.Mul | exp.Neg
    return exp.cast(node, exp.DataType.build("BIGINT")) if isinstance(node.parent, arithmetic) else node


def _json(node: exp.JSONFormat) -> exp.Expr:
    if node.args.get("options") or node.args.get("is_json"):
        raise NotSupportedError(f"{node.sql('bigquery')} with options")
    return _call("to_json" if node.args.get("to_json") else "to_json_string", node.this)


def _nullif(node: exp.Nullif) -> exp.Expr:
    """DuckDB computes the first argument twice, and a remote call may answer differently the second time."""
    if not any(REMOTE in call.meta for call in node.find_all(exp.Anonymous)):
        return node
    once = parse_one(
        "list_extract(list_transform([x], lambda v: CASE WHEN v = y THEN NULL ELSE v END), 1)", read="duckdb"
    )
    for name, value in (("x", node.this), ("y", node.expression)):
        next(column for column in once.find_all(exp.Column) if column.name == name).replace(value.copy())
    return once


def _date(node: exp.DateAdd | exp.DateSub | exp.DateTrunc) -> exp.Expr:
    """DuckDB answers with a DATETIME."""
    unit = node.args["unit"].name.upper()
    known = (
        ("DAY", "ISOWEEK", "MONTH", "QUARTER", "YEAR")
        if isinstance(node, exp.DateTrunc)
        else ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR")
    )
    if unit not in known or isinstance(node.args["unit"], exp.WeekStart):
        raise NotSupportedError(f"{node.sql('bigquery')}", f"known units are {', '.join(known)}")
    date = _call("date", node.this)
    if isinstance(node, exp.DateTrunc):
        part = exp.Literal.string({"ISOWEEK": "week"}.get(unit, unit))
        return exp.cast(exp.Anonymous(this="date_trunc", expressions=[part, date]), exp.DataType.build("DATE"))
    days = exp.Anonymous(
        this=f"to_{unit.lower()}s",
        expressions=[exp.cast(node.expression, exp.DataType.build("INT"))],
    )
    operator = exp.Add if isinstance(node, exp.DateAdd) else exp.Sub
    return exp.cast(exp.paren(operator(this=date, expression=days)), exp.DataType.build("DATE"))


def _timestamp_diff(node: exp.TimestampDiff) -> exp.Expr:
    """DuckDB counts boundaries where BigQuery counts whole units."""
    return _call("timestamp_diff", node.this, node.expression, exp.Literal.string(node.args["unit"].name.upper()))


def _extreme(node: exp.Greatest | exp.Least) -> exp.Expr:
    """DuckDB leaves NULL out; in BigQuery it decides."""
    nulls = exp.or_(*(value.copy().is_(exp.null()) for value in (node.this, *node.expressions)))
    return exp.case().when(nulls, exp.null()).else_(node.copy())


def _element(node: exp.Bracket) -> exp.Expr:
    """DuckDB has NULL where an index is out of bounds, and counts negative ones from the end."""
    base = node.args["offset"]
    index = exp.cast(node.expressions[0], exp.DataType.build("BIGINT"))
    outside = exp.or_(index.copy() < base, index.copy() >= exp.func("len", node.this.copy()) + base)
    error = exp.Null() if node.args.get("safe") else _call("out_of_bounds", index.copy())
    element = exp.Anonymous(this="list_extract", expressions=[node.this.copy(), exp.paren(index + (1 - base))])
    return exp.case().when(outside, error).else_(element)


def _offset(node: exp.Unnest) -> exp.Expr:
    """DuckDB counts from one."""
    offset = node.args.get("offset")
    if not isinstance(offset, exp.Identifier):
        return node
    alias = node.args.get("alias")
    if alias is None or not alias.columns:
        raise NotSupportedError(f"{node.sql('bigquery')}", "name the elements, as in UNNEST(...) AS x WITH OFFSET")
    element = alias.columns[0].sql("duckdb")
    rows = f"SELECT {element}, __at - 1 AS {offset.sql('duckdb')} FROM UNNEST(a) WITH ORDINALITY AS t({element}, __at)"
    query = parse_one(rows, read="duckdb")
    unnest = query.find(exp.Unnest)
    assert unnest is not None
    unnest.set("expressions", [item.copy() for item in node.expressions])
    return exp.Subquery(this=query)


def _extract(node: exp.Extract) -> exp.Expr:
    part = node.name.upper()
    if part == "ISOWEEK":
        node.set("this", exp.var("WEEK"))
    return exp.paren(node.copy() + 1) if part == "DAYOFWEEK" else node


REWRITES: dict[type[exp.Expr], Callable[..., exp.Expr]] = {
    exp.Div: _divide,
    exp.SafeDivide: lambda node: _call("safe_divide", node.this, node.expression),
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Literal: _number,
    exp.JSONFormat: _json,
    exp.Round: lambda node: _call("round", node.this, *filter(None, [node.args.get("decimals")])),
    exp.Substring: lambda node: _call("substr", node.this, *filter(None, map(node.args.get, ("start", "length")))),
    exp.Nullif: _nullif,
    exp.DateAdd: _date,
    exp.DateSub: _date,
    exp.DateTrunc: _date,
    exp.TimestampDiff: _timestamp_diff,
    exp.Greatest: _extreme,
    exp.Least: _extreme,
    exp.Bracket: _element,
    exp.Extract: _extract,
    exp.Unnest: _offset,
    exp.Format: lambda node: _call("format", node.this, *node.expressions),
    exp.Sqrt: _finite,
    exp.Exp: _finite,
    exp.Ln: _finite,
    exp.Log: _finite,
    exp.Pow: _finite,
}
