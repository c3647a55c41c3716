"""The commands that read a model remove what they downloaded of it."""

from collections.abc import Callable
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from click.testing import CliRunner

from deploy import model as deploy_model
from deploy.sizing.sample import sample_rows
from launch import examine
from loading.source import local_folder
from local import parity


def _parity(uri: str, folder: Path) -> None:
    rows = pd.DataFrame(mlflow.pyfunc.load_model(uri).input_example)
    rows.to_parquet(folder / "rows.parquet")
    assert parity.run(uri, folder / "rows.parquet", endpoint=None).differences == []


def _deploy(uri: str, folder: Path) -> None:
    options = ["--model", uri, "--functions", "project.ds", "--output", str(folder / "report.json")]
    assert CliRunner().invoke(deploy_model.main, options).exit_code == 0


def _sizing(uri: str, _: Path) -> None:
    with examine.examined(uri) as found:
        assert sample_rows(found).rows


@pytest.mark.check
@pytest.mark.parametrize("command", [_parity, _deploy, _sizing])
def test_download_is_removed(
    command: Callable[[str, Path], None],
    saved: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A command leaves nothing of a model that it downloaded in the folder for temporary files."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(examine, "DESCRIPTIONS", tmp_path / "descriptions")
    command(f"file://{saved('tree_regressor')}", tmp_path)
    assert list(temporary.glob("model-*")) == []


def test_local_folder_stays(saved: Callable[[str], str], tmp_path: Path) -> None:
    """A folder of the caller's own is used where it is, and stays."""
    with local_folder(saved("tree_regressor")) as folder:
        assert str(folder) == saved("tree_regressor")
    assert (folder / "MLmodel").is_file()
