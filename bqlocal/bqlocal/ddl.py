"""Reads CREATE FUNCTION ... REMOTE WITH CONNECTION into a `RemoteFunction`.

Raises a QueryError for every declaration that BigQuery would reject.
"""

import re

import httpx
from sqlglot import exp

from bqlocal.errors import NotSupportedError, QueryError
from bqlocal.names import repeated
from bqlocal.remote import RemoteFunction
from bqlocal.types import TYPES

MAX_ARGUMENTS = 256
MAX_NAME_LENGTH = 128  # characters of an argument's name
MAX_CONTEXT_BYTES = 8 * 1024  # bytes of all keys and values
OPTIONS = ("description", "endpoint", "max_batching_rows", "user_defined_context")


def full_name(table: exp.Table | None, project: str, entity: str) -> str:
    """Return `project.dataset.name`; the project is the given one unless the statement names another."""
    if table is None or not table.db:
        name = table.name if table is not None else ""
        raise QueryError(f"{entity} name {name!r} needs a dataset: write dataset.{name}.")
    return f"{table.catalog or project}.{table.db}.{table.name}"


def is_remote(create: exp.Create) -> bool:
    """Tell whether a CREATE FUNCTION statement declares a remote function, or at least no SQL function."""
    properties = create.args.get("properties")
    remote = properties is not None and properties.find(exp.RemoteWithConnectionModelProperty) is not None
    return remote or create.expression is None


def remote_function(create: exp.Create, project: str) -> RemoteFunction:
    """Return the function that a CREATE FUNCTION statement declares; raise QueryError for an invalid declaration."""
    declared = create.this
    name = full_name(declared.this, project, "Function")
    properties = create.args["properties"].expressions if create.args.get("properties") else []
    if not any(isinstance(item, exp.RemoteWithConnectionModelProperty) for item in properties):
        raise NotSupportedError(f"The function {name} without REMOTE WITH CONNECTION")
    returns = [item.this for item in properties if isinstance(item, exp.ReturnsProperty)]
    if not returns:
        raise QueryError(f"The remote function {name} needs RETURNS and a type.")
    given = [item for item in properties if type(item) is exp.Property]
    if twice := repeated([item.name for item in given]):
        raise QueryError(f"Function {name} has the option {twice} twice; write it once.")
    options = {item.name.lower(): item.args["value"] for item in given}
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise QueryError(f"Unknown option {unknown[0]!r} of function {name}; known options: {', '.join(OPTIONS)}.")
    short = name.rpartition(".")[2]
    if not re.fullmatch(r"[A-Za-z_]\w{0,255}", short, re.ASCII):
        raise QueryError(f"Function name {short!r} must consist of letters, digits and underscores, at most 256.")
    check_arguments([item.name for item in declared.expressions], name)
    return RemoteFunction(
        name=name,
        arguments=tuple((item.name, _type(item.args["kind"], name)) for item in declared.expressions),
        returns=_type(returns[0], name),
        endpoint=_endpoint(options, name),
        max_batching_rows=_rows(options, name),
        context=_context(options, name),
        description=_string(options["description"], "description", name) if "description" in options else "",
    )


def check_arguments(names: list[str], function: str) -> None:
    """Raise QueryError for names of arguments that BigQuery would reject."""
    if twice := repeated(names):
        raise QueryError(f"Duplicate argument name {twice} of function {function}; case makes no difference.")
    if len(names) > MAX_ARGUMENTS:
        raise QueryError(f"Function {function} has {len(names)} arguments; BigQuery allows {MAX_ARGUMENTS}.")
    for name in names:
        if len(name) > MAX_NAME_LENGTH:
            raise QueryError(
                f"Argument {name[:20]}... of function {function} has a name of over {MAX_NAME_LENGTH} characters."
            )


def _type(declared: exp.Expr, function: str) -> str:
    sql_type = declared.sql("bigquery")
    sql_type = {"DECIMAL": "NUMERIC", "BIGDECIMAL": "BIGNUMERIC", "BOOLEAN": "BOOL"}.get(sql_type, sql_type)
    if sql_type not in TYPES:
        raise QueryError(f"Function {function} uses the type {sql_type}; remote functions support {', '.join(TYPES)}.")
    return sql_type


def _string(value: exp.Expr, option: str, function: str) -> str:
    if not (isinstance(value, exp.Literal) and value.is_string):
        raise QueryError(f"Option {option} of function {function} must be a string, not {value.sql('bigquery')}.")
    return str(value.this)


def _endpoint(options: dict[str, exp.Expr], function: str) -> str:
    if "endpoint" not in options:
        raise QueryError(f"The remote function {function} needs the option endpoint, the URL to call.")
    endpoint = _string(options["endpoint"], "endpoint", function)
    try:
        url = httpx.URL(endpoint)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise QueryError(f"Option endpoint of function {function} must be an http(s) URL, not {endpoint!r}.")
    path = endpoint.partition("://")[2].partition("/")[2]
    if not re.fullmatch(r"[A-Za-z0-9_/-]*", path) or re.match(r"(eventlog$|_ah/)", path) or path.endswith("z"):
        raise QueryError(
            f"Option endpoint of function {function} has the path {'/' + path!r}; BigQuery allows letters, digits, - "
            "and _, but neither /eventlog nor /_ah/... nor a path that ends in z."
        )
    return endpoint


def _rows(options: dict[str, exp.Expr], function: str) -> int:
    value = options.get("max_batching_rows")
    if value is None:
        return 0
    if not (isinstance(value, exp.Literal) and value.is_int):
        raise QueryError(
            f"Option max_batching_rows of function {function} must be an integer, not {value.sql('bigquery')}."
        )
    return int(value.this)


def _context(options: dict[str, exp.Expr], function: str) -> dict[str, str]:
    value = options.get("user_defined_context")
    if value is None:
        return {}
    pairs = value.expressions if isinstance(value, exp.Array) else None
    if pairs is None or any(not isinstance(pair, exp.Tuple) or len(pair.expressions) != 2 for pair in pairs):
        raise QueryError(
            f"Option user_defined_context of function {function} must be an array of pairs, [('key', 'value')]."
        )
    context: dict[str, str] = {}
    for pair in pairs:
        key, text = (_string(it, "user_defined_context", function) for it in pair.expressions)
        if key in context:
            raise QueryError(f"Option user_defined_context of function {function} has {key!r} twice; write it once.")
        context[key] = text
    size = len("".join([*context, *context.values()]).encode())
    if size >= MAX_CONTEXT_BYTES:
        raise QueryError(
            f"Option user_defined_context of function {function} has {size:,} bytes of keys and values; "
            f"BigQuery allows less than {MAX_CONTEXT_BYTES:,}."
        )
    return context
