"""What of a query is refused before it is translated, by name and with what to write instead.

The rule: `supported.py` lists what is answered; this file holds the reasons of everything else.
"""

import re

from sqlglot import exp

from bqlocal.errors import NotSupportedError
from bqlocal.supported import CASTS, FUNCTIONS, PARTS

REMOTE = "remote"  # marks the call of a remote function in the tree
ONE_ROW = "one row"  # marks one that BigQuery does not batch


def check(node: exp.Expr) -> None:
    """Refuse a node of a query that would mean something else in DuckDB."""
    if isinstance(node, exp.Func) and type(node) not in FUNCTIONS and REMOTE not in node.meta:
        name = node.name if isinstance(node, exp.Anonymous) else node.sql("bigquery").split("(")[0]
        raise NotSupportedError(f"The function {name.upper()}")
    if isinstance(node, exp.Cast) and (cast_type(node) not in CASTS or node.args.get("format")):
        raise NotSupportedError(f"A CAST to {node.to.sql('bigquery')}{' with FORMAT' * bool(node.args.get('format'))}")
    if isinstance(node, exp.Extract) and node.name.upper() not in PARTS:
        raise NotSupportedError(f"EXTRACT of {node.name}", f"known are {', '.join(sorted(PARTS))}")
    if isinstance(node, exp.Bracket) and node.args.get("offset") is None:
        raise NotSupportedError(f"{node.sql('bigquery')}", "write OFFSET, ORDINAL, SAFE_OFFSET or SAFE_ORDINAL")
    if isinstance(node, exp.RegexpExtract) and _groups(node.expression) != 1:
        raise NotSupportedError(f"{node.sql('bigquery')}", "the pattern is a literal with at most one group")
    if isinstance(node, exp.Struct) and any(map(_nameless, node.expressions)):
        raise NotSupportedError(f"{node.sql('bigquery')}", "give every field a name, as in STRUCT(1 AS a)")
    if isinstance(node, _REFUSED):
        raise NotSupportedError(f"{node.sql('bigquery')[:60]}")


_REFUSED = (
    exp.AtTimeZone,
    exp.Command,
    exp.Lambda,
    exp.Parameter,
    exp.Pivot,
    exp.Placeholder,
    exp.TableSample,
)


def _nameless(field: exp.Expr) -> bool:
    return not isinstance(field, exp.PropertyEQ | exp.Alias | exp.Column | exp.Dot)


def _groups(pattern: exp.Expr) -> int:
    """Return how many groups decide what REGEXP_EXTRACT returns, 1 standing for none as well."""
    if not isinstance(pattern, exp.Literal | exp.RawString):
        return 0
    try:
        return max(re.compile(pattern.name).groups, 1)
    except re.error:
        return 0


def cast_type(cast: exp.Cast) -> str:
    return str(cast.to.sql("bigquery"))
