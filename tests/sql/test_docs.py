"""The names and statements in docs/sql-types.md are right; tests/docs checks its functions and types."""

import re
from pathlib import Path

import pytest

from serving.column_names import argument_names
from sql.names import identifier
from tests import googlesql

PAGE = (Path(__file__).parents[2] / "docs" / "sql-types.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table in a section, without its two head rows."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_names_are_mapped_as_described() -> None:
    """The table of names shows what sql.render makes of them."""
    for columns, arguments in rows("Names"):
        names = argument_names(re.findall(r"`([^`]+)`", columns))
        quoted = [f"`` {identifier(name)} ``" if identifier(name) != name else f"`{name}`" for name in names]
        assert arguments.startswith(", ".join(quoted))


@pytest.mark.parametrize("statement", re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL))
def test_statements_parse(statement: str) -> None:
    """GoogleSQL's parser reads every statement."""
    assert googlesql.statements(statement) == 1
