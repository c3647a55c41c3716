"""The output folder changes all at once or not at all."""

import contextlib
from pathlib import Path

import pytest

from train.errors import TrainError
from train.output import output


def test_a_finished_run_takes_the_place_of_the_earlier_one(tmp_path: Path) -> None:
    for content in ("first", "second"):
        with output(tmp_path / "out") as draft:
            (draft / "scores.json").write_text(content)
    assert (tmp_path / "out" / "scores.json").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_broken_run_leaves_what_was_there(tmp_path: Path) -> None:
    with output(tmp_path / "out") as draft:
        (draft / "scores.json").write_text("first")
    with contextlib.suppress(ZeroDivisionError), output(tmp_path / "out") as draft:
        (draft / "scores.json").write_text("half")
        raise ZeroDivisionError
    assert (tmp_path / "out" / "scores.json").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_is_no_earlier_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("precious")
    with pytest.raises(TrainError, match="holds something other than an earlier run"), output(tmp_path):
        pass


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainError, match="is a file"), output(tmp_path / "file"):
        pass


def test_a_place_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(TrainError, match="'/proc/train' cannot be written"), output(Path("/proc/train")):
        pass
