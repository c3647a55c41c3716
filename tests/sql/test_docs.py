"""docs/sql-types.md describes the functions, names and types that the code has."""

import re
from pathlib import Path

import pytest

from serving.functions import _FUNCTIONS
from serving.types import TYPES
from sql.names import argument_names, identifier
from tests import googlesql

PAGE = (Path(__file__).parents[2] / "docs" / "sql-types.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table in a section, without its two head rows."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_table_has_every_type() -> None:
    """The table has each MLflow type with its SQL type."""
    described = {name: cells[1] for cells in rows("Types") for name in cells[0].split(", ")}
    assert described == {name: row.sql_type for name, row in TYPES.items()}


def test_table_has_every_function() -> None:
    """The table has each SQL function."""
    assert [cells[0].strip("`") for cells in rows("Functions")] == list(_FUNCTIONS)


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
