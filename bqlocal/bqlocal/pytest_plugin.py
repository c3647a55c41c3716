"""The pytest plugin: an emulator that all tests of a session share.

pytest loads this module at every start, so it imports the emulator only when a test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bqlocal import BigQuery


@pytest.fixture(scope="session")
def bigquery_options() -> dict[str, Any]:
    """Return the keyword arguments of the session's BigQuery; override it to change them, e.g. to {"chaos": 1}."""
    return {}


@pytest.fixture(scope="session")
def bigquery(bigquery_options: dict[str, Any]) -> Iterator[BigQuery]:
    """An empty BigQuery on this machine, shared by all tests of the session and closed at its end."""
    from bqlocal import BigQuery

    with BigQuery(**bigquery_options) as emulator:
        yield emulator
