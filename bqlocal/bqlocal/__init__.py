"""BigQuery SQL on your machine, calling remote functions over HTTP the way BigQuery does."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bqlocal.bigquery import BigQuery, Result
    from bqlocal.errors import BqlocalError, NotSupportedError, QueryError, RemoteFunctionError, SourceError
    from bqlocal.remote import Calls

__all__ = [
    "BigQuery",
    "BqlocalError",
    "Calls",
    "NotSupportedError",
    "QueryError",
    "RemoteFunctionError",
    "Result",
    "SourceError",
]


def __getattr__(name: str) -> Any:
    """Import on first use: every pytest run imports this package for its plugin, few need DuckDB and pandas."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bqlocal import bigquery, errors, remote

    for module in (bigquery, errors, remote):
        if hasattr(module, name):
            return getattr(module, name)
    raise AssertionError(name)
