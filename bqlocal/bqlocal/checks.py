"""Checks a query before it is translated: rejects GoogleSQL that DuckDB would answer differently, and says what to
write instead.

`supported.py` lists what is answered; every reason to reject something else is here.
"""

import re

from sqlglot import exp

from bqlocal.errors import NotSupportedError
from bqlocal.supported import CASTS, FUNCTIONS, PARTS

# Keys of a node's `meta`.
REMOTE = "remote"  # a call of a remote function; the value is its name
ONE_ROW = "one row"  # a remote call that BigQuery sends one row at a time
WRITTEN_OUT = "written out"  # DuckDB's SQL in place of a SQL function's call

_REJECTED = (
    exp.AtTimeZone,
    exp.Command,
    exp.Lambda,
    exp.Parameter,
    exp.Pivot,
    exp.Placeholder,
    exp.TableSample,
)


def check(node: exp.Expr) -> None:
    """Raise NotSupportedError for a node of a query that means something else in DuckDB."""
    if WRITTEN_OUT in node.meta:
        return
    if isinstance(node, exp.Func) and type(node) not in FUNCTIONS and REMOTE not in node.meta:
        name = node.name if isinstance(node, exp.Anonymous) else node.sql("bigquery").split("(")[0]
        raise NotSupportedError(f"The function {name.upper()}")
    if isinstance(node, exp.Cast) and (cast_type(node) not in CASTS or node.args.get("format")):
        raise NotSupportedError(f"A CAST to {cast_type(node)}{' with FORMAT' * bool(node.args.get('format'))}")
    if isinstance(node, exp.Extract) and node.name.upper() not in PARTS:
        raise NotSupportedError(f"EXTRACT of {node.name}", f"supported parts are {', '.join(sorted(PARTS))}")
    if isinstance(node, exp.Bracket) and node.args.get("offset") is None:
        raise NotSupportedError(node.sql("bigquery"), "write OFFSET, ORDINAL, SAFE_OFFSET or SAFE_ORDINAL")
    if isinstance(node, exp.RegexpExtract) and not _is_simple_pattern(node.expression):
        raise NotSupportedError(node.sql("bigquery"), "the pattern must be a literal with at most one group")
    if isinstance(node, exp.Struct) and any(map(_is_nameless, node.expressions)):
        raise NotSupportedError(node.sql("bigquery"), "give every field a name, as in STRUCT(1 AS a)")
    if isinstance(node, _REJECTED):
        raise NotSupportedError(node.sql("bigquery")[:60])


def cast_type(cast: exp.Cast) -> str:
    """Return the BigQuery type that a CAST produces."""
    return str(cast.to.sql("bigquery"))


def _is_nameless(field: exp.Expr) -> bool:
    return not isinstance(field, exp.PropertyEQ | exp.Alias | exp.Column | exp.Dot)


def _is_simple_pattern(pattern: exp.Expr) -> bool:
    """Return whether a pattern is a literal for which REGEXP_EXTRACT returns the same in DuckDB."""
    if not isinstance(pattern, exp.Literal | exp.RawString):
        return False
    try:
        return re.compile(pattern.name).groups <= 1
    except re.error:
        return False
