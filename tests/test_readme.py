"""What the README says is so: its settings are those of the code, its example works, its files exist."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from serving import functions
from serving.options import COMMON_KEYS
from serving.types import TYPES
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()


def test_every_setting_that_the_function_reads_is_described() -> None:
    read = set()
    for file in ("main.py", "model_loader.py", "loading/source.py"):
        read |= set(re.findall(r"environ(?:\.get\(|\[)\"(\w+)\"", (ROOT / file).read_text()))
    assert read == set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE))


def test_every_key_of_the_context_and_every_function_is_described() -> None:
    described = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
    keys = {key for function in functions._FUNCTIONS.values() for key in function.keys}
    assert {*COMMON_KEYS, *keys, *functions._FUNCTIONS} <= described


def test_every_type_is_described() -> None:
    table = README[README.index("## SQL types") :]
    for kind, row in TYPES.items():
        assert re.search(rf"^\|[^|]*\b{kind}\b[^|]*\| {row.sql_type} \|", table, re.MULTILINE), kind


def test_every_file_in_the_last_table_exists() -> None:
    first_cells = re.findall(r"^\| (`.*?`) \|", README[README.index("## Where each thing lives") :], re.MULTILINE)
    names = [name for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)]
    assert "main.py" in names
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_the_example_of_an_own_function_works_as_it_stands(
    app: Callable[..., TestClient], saved: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    example = README.split("```python\n")[1].split("```")[0]
    assert len(example.strip().splitlines()) <= 10
    monkeypatch.setattr(functions, "_FUNCTIONS", dict(functions._FUNCTIONS))
    exec(compile(example, "README.md", "exec"), vars(functions))
    client = app(saved("tree_regressor"))
    calls = {"calls": [[1, 2, 3, 4]]}
    thousands = client.post("/predict_thousands", json=calls).json()["replies"][0]
    assert thousands == client.post("/", json=calls).json()["replies"][0] / 1000


def test_every_test_that_the_table_of_faults_names_exists() -> None:
    sources = {path: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    there = {path.name for path in sources} | {
        name for text in sources.values() for name in re.findall(r"def (test_\w+)\(", text)
    }
    named = re.findall(r"`(?:\w+/)?(test_\w+(?:\.py)?)(?:::(test_\w+))?`", (ROOT / "tests" / "README.md").read_text())
    names = {name for pair in named for name in pair if name}
    assert len(names) > 20
    assert names <= there
