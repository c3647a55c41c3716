"""BigQuery's limits for functions, GoogleSQL's quoting, and example queries, for everything that writes SQL.

The deployed function shows the examples at GET /, so this module imports only the standard library and `serving`.
"""

import json
import re
from collections.abc import Sequence

from serving.column_names import argument_names
from serving.functions import SqlFunction, available_functions
from serving.model import Model

MAX_ARGUMENTS = 256  # per function
# Before the project's name in old organizations, such as example.com:my-project.
DOMAIN = r"(?:[a-z0-9][a-z0-9.-]*[.][a-z]{2,63}:)?"

# https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#reserved_keywords
_RESERVED = """
all and any array as asc assert_rows_modified at between by case cast collate contains create cross cube current default
define desc distinct else end enum escape except exclude exists extract false fetch following for from full group
grouping groups hash having if ignore in inner intersect interval into is join lateral left like limit lookup merge
natural new no not null nulls of on or order outer over partition preceding proto qualify range recursive respect right
rollup rows select set some struct tablesample then to treat true unbounded union unnest using when where window with
within
"""
RESERVED_KEYWORDS = frozenset(_RESERVED.split())

# function -> what follows the name that --name gave; a custom function's own name follows it after an underscore.
_ENDINGS = {"predict": "", "predict_row": "_row", "predict_proba": "_proba", "model_info": "_info"}


def sql_name(name: str, function: str) -> str:
    """Return what a function is called in BigQuery under --name, which is empty if it was not given."""
    return f"{name}{_ENDINGS.get(function, f'_{function}')}" if name else function


def identifier(name: str) -> str:
    """Return a name as a GoogleSQL identifier, quoted only if necessary. Quoted identifiers have JSON's escapes."""
    if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and name.lower() not in RESERVED_KEYWORDS:
        return name
    return "`" + json.dumps(name, ensure_ascii=False)[1:-1].replace("`", "\\`") + "`"


def connection_path(project: str, connection: str) -> str:
    """Return a connection, location.name, as the quoted path that a statement takes.

    The dots in the project of an old organization, such as example.com:my-project, must not separate anything.
    """
    if ":" not in project:
        return f"`{project}.{connection}`"
    return f"`{project}`.{'.'.join(map(identifier, connection.split('.')))}"


def string_literal(text: str) -> str:
    """Return text as a GoogleSQL string literal, which has all of JSON's escapes."""
    return json.dumps(text, ensure_ascii=False)


def exceeds_arguments(columns: Sequence[object]) -> bool:
    """Tell whether a model has more columns than a function may have arguments, so only predict_row can take them."""
    return len(columns) > MAX_ARGUMENTS


def callable_functions(model: Model) -> list[SqlFunction]:
    """Return the model's functions that BigQuery can declare."""
    wide = exceeds_arguments(model.signature.columns)
    return [function for function in available_functions(model) if not (wide and function.takes == "columns")]


def predict_call(columns: Sequence[str], dataset: str) -> str:
    """Return the call that predicts for each row of a table with the alias t."""
    if exceeds_arguments(columns):
        return _call("predict_row", "row", columns, dataset)
    return _call("predict", "columns", columns, dataset)


def class_call(columns: Sequence[str], dataset: str) -> str:
    """Return the call that gives a probability for each row of a table with the alias t."""
    return _call("predict_proba", "columns", columns, dataset)


def select_examples(model: Model) -> list[tuple[SqlFunction, str, str]]:
    """Return each callable function with its name in BigQuery and a query that calls it."""
    columns = _table_columns([column.name for column in model.signature.columns])
    examples = []
    for function in callable_functions(model):
        name = sql_name(model.info.sql_name, function.name)
        call = _call(name, function.takes, columns, "ds")
        table = "" if function.takes == "nothing" else "\nFROM ds.my_table AS t"
        examples.append((function, name, f"SELECT {call} AS result{table};"))
    return examples


def _table_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns as a table has them: it ignores case, so the second of A and a has its argument's name."""
    lower = [name.lower() for name in columns]
    arguments = argument_names(columns)
    return [arguments[at] if lower[at] in lower[:at] else name for at, name in enumerate(columns)]


def call_arguments(takes: str, columns: Sequence[str], row: str) -> str:
    """Return the arguments for a row of a query; `row` is its table's alias, `columns` are quoted where necessary."""
    return {"columns": ", ".join(f"{row}.{column}" for column in columns), "row": f"TO_JSON({row})", "nothing": ""}[
        takes
    ]


def _call(name: str, takes: str, columns: Sequence[str], dataset: str) -> str:
    """Return a call on the table t. Without the alias, a column named t would mean the whole row."""
    return f"{dataset}.{identifier(name)}({call_arguments(takes, [*map(identifier, columns)], 't')})"
