"""Reads a table of BigQuery by its REST interface, all of it or a random sample of its rows."""

import os
import re
from typing import Any

import pyarrow as pa
from google.api_core.exceptions import ClientError, GoogleAPIError
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from bqlocal.tables import SourceError

MAX_ROWS = 200_000  # more than the search uses, and REST reads some 10,000 rows a second
_NAME = re.compile(r"(?P<project>[a-z0-9.:-]+)\.(?P<dataset>\w+)\.(?P<table>[\w$ -]+)")


def fetch(name: str, limit: int = MAX_ROWS) -> tuple[pa.Table, list[str]]:
    """Return the rows of project.dataset.table, at most `limit`, and a note on a sample.

    Raises SourceError if the table isn't there or may not be read.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise SourceError(f"--data 'bigquery:{name}' names no table; write bigquery:project.dataset.table.")
    try:
        return _fetch(_client(match["project"]), name, limit)
    except GoogleAuthError as error:
        raise SourceError(
            f"BigQuery's table {name} can't be read without credentials: {_first(error)}; "
            "run gcloud auth application-default login."
        ) from error
    except ClientError as error:
        problem = {403: "may not be read with these credentials", 404: "does not exist"}.get(
            error.code, "can't be read"
        )
        raise SourceError(f"BigQuery's table {name} {problem}: {_first(error)}.") from error
    except (GoogleAPIError, OSError) as error:
        raise SourceError(f"BigQuery's table {name} can't be read: {_first(error)}.") from error


def _client(project: str) -> Any:
    emulated = "BIGQUERY_EMULATOR_HOST" in os.environ
    return bigquery.Client(project=project, credentials=AnonymousCredentials() if emulated else None)


def _fetch(client: Any, name: str, limit: int) -> tuple[pa.Table, list[str]]:
    table = client.get_table(name)
    if table.table_type == "TABLE" and table.num_rows <= limit:
        return client.list_rows(table).to_arrow(create_bqstorage_client=False), []
    count = next(iter(client.query_and_wait(f"SELECT COUNT(*) FROM `{name}`")))[0]
    if count <= limit:
        query = f"SELECT * FROM `{name}`"
        return client.query_and_wait(query).to_arrow(create_bqstorage_client=False), []
    query = f"SELECT * FROM `{name}` WHERE RAND() < {limit / count:.9f}"
    rows = client.query_and_wait(query).to_arrow(create_bqstorage_client=False)
    return rows, [f"Read a random sample of {len(rows):,} of the {count:,} rows of {name}, about {limit:,} at most."]


def _first(error: Exception) -> str:
    """Return the first sentence of an error, without its end."""
    message = getattr(error, "message", None) or str(error)
    return " ".join(str(message).split()).partition(". ")[0].rstrip(".")[:300]
