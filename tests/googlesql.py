"""GoogleSQL itself, compiled to WebAssembly: the reference for BigQuery's JSON encoding and SQL syntax.

Compiling it to machine code takes half a minute, so the result is kept in wasmtime's cache (~/.cache/wasmtime); from
then on the first call takes half a second and later ones milliseconds.
"""

import fcntl
import functools
from pathlib import Path
from typing import Any

import zetasql
from zetasql.api import CatalogBuilder, Parser, PreparedExpression
from zetasql.core import wasm_client
from zetasql.types import AnalyzerOptions, LanguageFeature, LanguageOptions, ZetaSQLBuiltinFunctionOptions


class CachingConfig(wasm_client.Config):  # type: ignore[misc]
    """wasmtime's configuration with its cache of compiled modules."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = True


wasm_client.Config = CachingConfig  # zetasql offers no way to pass one


@functools.cache
def language() -> Any:
    """Return the options of BigQuery's dialect; the first call starts GoogleSQL."""
    with Path(zetasql.__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other test processes wait for the compiled module instead of compiling too
        options = LanguageOptions.maximum_features()
    options.enabled_language_features.append(LanguageFeature.FEATURE_REMOTE_FUNCTION)
    return options


@functools.cache
def _catalog() -> Any:
    functions = ZetaSQLBuiltinFunctionOptions(language_options=language())
    return CatalogBuilder("catalog").with_builtin_functions(functions).build()


@functools.cache
def to_json_string(expression: str) -> str:
    """Return TO_JSON_STRING of a GoogleSQL expression: the JSON that BigQuery would send."""
    options = AnalyzerOptions(language_options=language(), default_timezone="UTC")
    text: str = PreparedExpression(f"TO_JSON_STRING({expression})", options, _catalog()).execute().get_string()
    return text


def statements(script: str) -> int:
    """Parse a script as BigQuery does and return the number of its statements; raise the parser's errors."""
    return len(Parser.parse_script_static(script, language()).statement_list_node.statement_list)
