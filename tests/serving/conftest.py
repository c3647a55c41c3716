"""Fixtures of the tests of requests."""

from collections.abc import Iterator

import pytest

from serving import contract


@pytest.fixture(scope="module")
def small_tables() -> Iterator[None]:
    """Let requests of any size become tables."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contract, "MIN_NUMBERS", 0)
        patch.setattr(contract, "MIN_TABLE", 0)
        yield
