"""The statements to copy are GoogleSQL, and none of those offered as fast sends single rows."""

import re
from pathlib import Path

import pytest

from tests import googlesql

SQL = Path(__file__).parent.parent.parent / "sql"
FILES = sorted(path.name for path in SQL.glob("*.sql"))
CONDITIONAL = r"(?:\b(?:IF|COALESCE|IFNULL|NULLIF)\(|\bTHEN\b)[^;]*?\bpredict\("


@pytest.mark.parametrize("name", FILES)
def test_file_parses(name: str) -> None:
    """GoogleSQL's parser reads every file."""
    assert googlesql.statements((SQL / name).read_text()) >= 1


@pytest.mark.parametrize("name", FILES)
def test_file_starts_with_its_purpose(name: str) -> None:
    """Every file starts with a comment."""
    assert (SQL / name).read_text().startswith("-- ")


@pytest.mark.parametrize("name", [name for name in FILES if name != "slow_patterns.sql"])
def test_no_call_disables_batching(name: str) -> None:
    """No statement calls the function where BigQuery sends row by row."""
    code = re.sub(r"--.*", "", (SQL / name).read_text())
    assert not re.search(CONDITIONAL, code)


def test_slow_patterns_have_fast_ones() -> None:
    """Each slow pattern disables batching, and the fast one after it doesn't."""
    parts = re.split(r"-- (Slow|Fast): .*", (SQL / "slow_patterns.sql").read_text())[1:]
    assert parts[::2] == ["Slow", "Fast"] * (len(parts) // 4)
    for speed, code in zip(parts[::2], parts[1::2], strict=True):
        statements = [it for it in code.split(";") if "predict(" in it]
        assert any(re.search(CONDITIONAL, statement) for statement in statements) == (speed == "Slow"), code
