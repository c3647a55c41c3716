"""The statements that people copy are GoogleSQL, and none of those offered as fast sends single rows."""

import re
from pathlib import Path

import pytest

from tests import googlesql

SQL = Path(__file__).parent.parent.parent / "sql"
FILES = sorted(path.name for path in SQL.glob("*.sql"))
CONDITIONAL = r"(?:\b(?:IF|COALESCE|IFNULL|NULLIF)\(|\bTHEN\b)[^;]*?\bpredict\("


@pytest.mark.parametrize("name", FILES)
def test_googlesql_reads_the_file(name: str) -> None:
    assert googlesql.statements((SQL / name).read_text()) >= 1


@pytest.mark.parametrize("name", FILES)
def test_the_file_says_first_what_it_is_for(name: str) -> None:
    assert (SQL / name).read_text().startswith("-- ")


@pytest.mark.parametrize("name", [name for name in FILES if name != "slow_patterns.sql"])
def test_no_statement_puts_the_function_where_batching_is_off(name: str) -> None:
    code = re.sub(r"--.*", "", (SQL / name).read_text())
    assert not re.search(CONDITIONAL, code)


def test_each_slow_pattern_has_a_fast_one_after_it() -> None:
    parts = re.split(r"-- (Slow|Fast): .*", (SQL / "slow_patterns.sql").read_text())[1:]
    assert parts[::2] == ["Slow", "Fast"] * (len(parts) // 4)
    for kind, code in zip(parts[::2], parts[1::2], strict=True):
        statements = [it for it in code.split(";") if "predict(" in it]
        assert any(re.search(CONDITIONAL, statement) for statement in statements) == (kind == "Slow"), code
