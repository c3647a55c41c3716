"""Dataform reads the files that sql.render writes for it, and compiles them to queries of BigQuery."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from model_loader import load
from sql.files import write
from sql.formats import render_around
from sql.names import identifier
from sql.settings import SqlSettings

Saved = Callable[[str], str]
CLI, CORE = "@dataform/cli@3.0.69", "3.0.62"
SETTINGS = f"""\
defaultProject: my-project
defaultLocation: US
defaultDataset: scored
dataformCoreVersion: {CORE}
vars:
  houses_table: blocks
  houses_key: block
"""


def files(model: str) -> dict[str, str]:
    return render_around(
        load(model), project="my-project", dataset="ds", form="dataform", settings=SqlSettings("houses")
    )


def test_files(saved: Saved) -> None:
    """There are functions that call the SQL functions, a declaration of the rows, and an incremental table."""
    found = files(saved("classifier"))
    assert list(found) == ["includes/houses.js", "definitions/houses_rows.js", "definitions/houses_scored.sqlx"]
    assert "function call_houses_proba(row) {" in found["includes/houses.js"]
    assert '${houses.call_houses("t")} AS predicted' in found["definitions/houses_scored.sqlx"]


@pytest.fixture(scope="module")
def dataform(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return Dataform's command, in a folder of its own."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("dataform")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, CLI]
    if subprocess.run(command, check=False, timeout=600).returncode:
        pytest.skip("npm cannot install Dataform")
    return folder / "node_modules" / ".bin" / "dataform"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["classifier", "odd_names", "wide"])
def test_dataform_compiles(name: str, saved: Saved, dataform: Path, tmp_path: Path) -> None:
    """`dataform compile` succeeds, and its queries call the function for each row, later for each new one."""
    write(files(saved(name)), tmp_path)
    (tmp_path / "workflow_settings.yaml").write_text(SETTINGS)
    ended = subprocess.run(
        [dataform, "compile", tmp_path, "--json"],
        env={**os.environ, "CI": "true"}, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    compiled = json.loads(ended.stdout)
    assert compiled["graphErrors"] == {}
    (table,) = compiled["tables"]
    assert table["dependencyTargets"] == [{"schema": "ds", "name": "blocks", "database": "my-project"}]
    assert table["uniqueKey"] == ["block"]
    assert "SELECT t.block, `my-project`.ds.houses" in table["query"]
    assert "WHERE scored.block IS NULL" not in table["query"]
    assert "WHERE scored.block IS NULL" in table["incrementalQuery"]
    if name == "odd_names":
        for column in load(saved(name)).signature.columns:
            assert identifier(column.name) in table["query"]
