"""GoogleSQL itself, compiled to WebAssembly: the reference for BigQuery's JSON encoding and SQL syntax.

The first call takes about fifteen seconds; later ones take milliseconds.
"""

import functools
from typing import Any

from zetasql.api import CatalogBuilder, Parser, PreparedExpression
from zetasql.types import AnalyzerOptions, LanguageFeature, LanguageOptions, ZetaSQLBuiltinFunctionOptions


@functools.cache
def _language() -> Any:
    options = LanguageOptions.maximum_features()
    options.enabled_language_features.append(LanguageFeature.FEATURE_REMOTE_FUNCTION)
    return options


@functools.cache
def _catalog() -> Any:
    functions = ZetaSQLBuiltinFunctionOptions(language_options=_language())
    return CatalogBuilder("catalog").with_builtin_functions(functions).build()


def to_json_string(expression: str) -> str:
    """Return TO_JSON_STRING of a GoogleSQL expression: the JSON that BigQuery would send."""
    options = AnalyzerOptions(language_options=_language(), default_timezone="UTC")
    text: str = PreparedExpression(f"TO_JSON_STRING({expression})", options, _catalog()).execute().get_string()
    return text


def statements(script: str) -> int:
    """Parse a script as BigQuery does and return the number of its statements; raises the parser's errors."""
    return len(Parser.parse_script_static(script, _language()).statement_list_node.statement_list)
