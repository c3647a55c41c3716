"""GoogleSQL's analyzer accepts the view over exported log entries; tests/local/test_logs.py runs its query."""

from zetasql.api import Analyzer, CatalogBuilder, TableBuilder, TypeFactory
from zetasql.types import AnalyzerOptions, TypeKind, ZetaSQLBuiltinFunctionOptions

from local.logs import SCHEMA, TABLE, VIEW
from tests import googlesql

SIMPLE_TYPES = {
    "string": TypeKind.TYPE_STRING,
    "double": TypeKind.TYPE_DOUBLE,
    "timestamp[us, tz=UTC]": TypeKind.TYPE_TIMESTAMP,
}


def googlesql_type(arrow: object) -> object:
    """Return the GoogleSQL type of an Arrow type."""
    if str(arrow) in SIMPLE_TYPES:
        return TypeFactory.create_simple_type(SIMPLE_TYPES[str(arrow)])
    return TypeFactory.create_struct_type([(field.name, googlesql_type(field.type)) for field in arrow])  # type: ignore[attr-defined]


def test_column_types() -> None:
    """The view's columns have the documented names and types."""
    language = googlesql.language()
    table = TableBuilder("exported")
    for field in SCHEMA:
        table = table.add_column(field.name, googlesql_type(field.type))
    functions = ZetaSQLBuiltinFunctionOptions(language_options=language)
    catalog = CatalogBuilder("logs").with_builtin_functions(functions).add_table(table.build()).build()
    query = VIEW.read_text().partition("requests_by_job AS\n")[2].replace(TABLE, "exported").rstrip().rstrip(";")
    analysed = Analyzer.analyze_statement_static(query, AnalyzerOptions(language_options=language), catalog)
    types = {
        column.name: column.column.type.type_kind.name.removeprefix("TYPE_") for column in analysed.output_column_list
    }
    assert types == {
        "job": "STRING",
        "started": "TIMESTAMP",
        **dict.fromkeys(("user", "functions", "models"), "STRING"),
        **dict.fromkeys(("requests", "row_count", "null_rows", "retries", "errors"), "INT64"),
        **dict.fromkeys(("request_seconds", "instance_seconds", "estimated_usd"), "DOUBLE"),
    }
