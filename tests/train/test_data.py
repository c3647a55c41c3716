"""Data that cannot be learned from is rejected in one sentence; a blocked download does not hold up a run."""

import threading
from pathlib import Path

import pandas as pd
import pytest

from train.data import _within, load
from train.errors import TrainError
from train.scores import choose_scorer

REJECTED = {
    "no file": (None, "y", "cannot be read as CSV: .*No such file"),
    "empty": ("", "y", "cannot be read as CSV: No columns"),
    "not text": (b"\xff\xfe\x00\x81", "y", "cannot be read as CSV"),
    "no target named": ("x,y\n1,2\n", None, "needs --target COLUMN"),
    "no such column": ("x,y\n1,2\n", "z", "has no column 'z' for --target; its columns are 'x', 'y'"),
    "only the target": ("y\n1\n", "y", "has only the target column 'y'"),
    "too few rows": ("x,y\n" + "1,2\n" * 10, "y", "has 10 rows with a value in 'y'; expected at least 20"),
    "a nameless column": (",x,y\n0,1,2\n", "y", "Column 1 of .* has no name"),
    "two columns of a name": ("x,x,y\n1,2,3\n", "y", "more than one column named 'x'"),
    "an empty column": ("x,z,y\n" + "1,,2\n3,,4\n" * 15, "y", "'z' is empty in every row"),
    "no target at all": ("x,y\n" + "1,\n" * 30, "y", "'y' is empty in every row"),
    "text among numbers": (
        "x,y\n" + "1,2\n3,4\n" * 15 + "two,2\n",
        "y",
        "'x' holds numbers except in 1 of 31 values, the first being 'two' in row 31",
    ),
    "text in the target": (
        "x,y\n" + "1,2.5\n3,4.5\n" * 15 + "1,high\n",
        "y",
        "'y' holds numbers except in 1 of 31 values, the first being 'high' in row 31",
    ),
    "infinite": ("x,y\n" + "1,2\ninf,4\n" * 15, "y", "'x' holds infinite values"),
    "dates to predict": ("x,y\n" + "1,2024-01-01\n2,2024-02-01\n" * 15, "y", "'y' holds dates"),
    "a rare class": (
        "x,y\n" + "1,a\n2,b\n" * 15 + "3,c\n",
        "y",
        "The target 'y' has too few rows of the class 'c': 1; expected",
    ),
    "one class": ("x,y\n" + "1,a\n" * 30, "y", "'y' is always 'a' in"),
    "constant target": ("x,y\n" + "1,2\n" * 30, "y", "'y' is always .*2.* in"),
}


@pytest.mark.parametrize(("content", "target", "message"), REJECTED.values(), ids=REJECTED.keys())
def test_unusable_file_is_rejected(
    content: str | bytes | None, target: str | None, message: str, tmp_path: Path
) -> None:
    """A file that cannot be read or learned from raises TrainError, naming the file or column."""
    path = tmp_path / "rows.csv"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(TrainError, match=message):
        load(str(path), target)


@pytest.mark.parametrize("source", ["titanic", "rows.xlsx"])
def test_unknown_source_lists_known_ones(source: str) -> None:
    """A source that is neither a data set nor a file of a known type is answered with the data sets."""
    with pytest.raises(TrainError, match=f"'{source}' is neither one of breast_cancer, california, diabetes nor"):
        load(source, None)


def test_target_of_a_data_set_is_fixed() -> None:
    """--target is rejected for a data set, which has its own target."""
    with pytest.raises(TrainError, match="'diabetes' has its own target"):
        load("diabetes", "age")


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([0.5, 1.5], "regression"),
        (list(range(30)), "regression"),
        ([0, 1], "classification"),
        (["no", "yes"], "classification"),
        ([True, False], "classification"),
    ],
)
def test_target_decides_the_task(values: list[object], task: str, tmp_path: Path) -> None:
    """Text, booleans and few distinct integers make a classification, other numbers a regression."""
    target = (values * 30)[:60]
    pd.DataFrame({"x": range(60), "y": target}).to_csv(tmp_path / "rows.csv", index=False)
    assert load(str(tmp_path / "rows.csv"), "y").task == task


def test_task_can_be_overridden(tmp_path: Path) -> None:
    """A given task replaces the inferred one, and is rejected if the target does not allow it."""
    pd.DataFrame({"x": range(60), "y": [1, 2, 3] * 20}).to_csv(tmp_path / "rows.csv", index=False)
    assert load(str(tmp_path / "rows.csv"), "y", "regression").task == "regression"
    with pytest.raises(TrainError, match="'diagnosis' is not numeric; --task regression"):
        load("breast_cancer", None, "regression")
    with pytest.raises(TrainError, match=r"'progression' has too few rows of the class .*: 1;"):
        load("diabetes", None, "classification")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mae", "'mae' is not a scikit-learn scorer"),
        ("roc_auc", "'roc_auc' cannot score 'progression', a regression target: "),
    ],
)
def test_unusable_scorer_is_rejected(name: str, message: str) -> None:
    """A scorer that does not exist or does not fit the task is rejected before the search."""
    with pytest.raises(TrainError, match=message):
        choose_scorer(load("diabetes", None), name)


def test_diabetes_replaces_california_offline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """If California Housing cannot be downloaded, one line on stderr says so and diabetes is used."""
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # a port where nothing answers
    data = load("california", None)
    assert data.name == "diabetes"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("California Housing could not be downloaded (")
    assert line.endswith("); using the bundled diabetes data instead.")


def test_hanging_download_times_out() -> None:
    """A download that never ends raises TimeoutError after the given seconds."""
    released = threading.Event()
    with pytest.raises(TimeoutError):
        _within(0.2, released.wait)
    released.set()
