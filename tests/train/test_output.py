"""The output folder changes all at once or not at all."""

import contextlib
from pathlib import Path

import pytest

from train.errors import TrainError
from train.output import output, remove_drafts


def test_finished_run_replaces_the_earlier(tmp_path: Path) -> None:
    """A finished run takes the place of the earlier one and leaves nothing beside it."""
    for content in ("first", "second"):
        with output(tmp_path / "out") as draft:
            (draft / "scores.json").write_text(content)
    assert (tmp_path / "out" / "scores.json").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_failed_run_keeps_the_earlier(tmp_path: Path) -> None:
    """A run that fails half-way leaves the earlier one intact and nothing beside it."""
    with output(tmp_path / "out") as draft:
        (draft / "scores.json").write_text("first")
    with contextlib.suppress(ZeroDivisionError), output(tmp_path / "out") as draft:
        (draft / "scores.json").write_text("half")
        raise ZeroDivisionError
    assert (tmp_path / "out" / "scores.json").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_tracking_store_moves_on(tmp_path: Path) -> None:
    """A tracking store in the folder, made before the first run ends, is there after every run."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mlflow.db").write_text("runs")
    for content in ("first", "second"):
        with output(tmp_path / "out") as draft:
            (draft / "scores.json").write_text(content)
    assert (tmp_path / "out" / "mlflow.db").read_text() == "runs"
    assert (tmp_path / "out" / "scores.json").read_text() == "second"


def test_remove_drafts(tmp_path: Path) -> None:
    """What a killed run leaves beside its folder is deleted, and nothing else."""
    draft = output(tmp_path / "out")
    draft.__enter__()
    (tmp_path / ".other.1").mkdir()
    remove_drafts(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [".other.1"]


def test_other_folder_is_rejected(tmp_path: Path) -> None:
    """A folder with other files is never replaced."""
    (tmp_path / "letters.txt").write_text("precious")
    with pytest.raises(TrainError, match="holds something other than an earlier run"), output(tmp_path):
        pass


def test_file_is_rejected(tmp_path: Path) -> None:
    """A file in the place of the output folder is rejected."""
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainError, match="is a file"), output(tmp_path / "file"):
        pass


def test_unwritable_folder_is_rejected() -> None:
    """A folder that cannot be created is rejected before the search."""
    with pytest.raises(TrainError, match="'/proc/train' cannot be written"), output(Path("/proc/train")):
        pass
