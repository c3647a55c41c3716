"""Data that cannot be learned from is rejected in one sentence; a blocked download does not hold up a run."""

import threading
from pathlib import Path

import pandas as pd
import pytest

from train.bundled import _within
from train.data import load
from train.errors import DataError, TrainError
from train.scores import choose_scorer

REJECTED = {
    "no file": (None, "y", "There is no file"),
    "empty": ("", "y", "is empty; expected a header"),
    "not text": (b"x,y\n\x00", "y", "is not a text file"),
    "no target named": ("x,y\n1,2\n", None, "needs --target COLUMN"),
    "no such column": ("x,y\n1,2\n", "z", "has no column 'z' for --target; its columns are 'x', 'y'"),
    "another delimiter": ("x^y\n1^2\n", "y", r"its columns are 'x\^y'. --read delimiter=\^ makes a column of this name"),
    "only the target": ("y\n1\n", "y", "has only the target column 'y'"),
    "no rows": ("x,y\n", "y", "has no rows; expected at least 20"),
    "too few rows": ("x,y\n" + "1,2\n" * 10, "y", "has 10 rows with a value in 'y'; expected at least 20"),
    "two columns of a name": ("x,x,y\n1,2,3\n", "y", "more than one column named 'x'"),
    "nothing but IDs": ("id,z,y\n" + "".join(f"{at},,{at % 9 / 7}\n" for at in range(30)), "y", "left out: z, id; --include"),
    "no target at all": ("x,y\n" + "1,\n" * 30, "y", "'y' is empty in every row"),
    "text in the target": (
        "x,y\n" + "1,2.5\n3,4.5\n" * 15 + "1,high\n1,low\n",
        "y",
        r"'y' holds texts, such as 'high' \(in row 31\), 'low' \(in row 32\); --read number=y reads the numbers",
    ),
    "currency to predict": ("x;y\n" + "1;$ 1.200.000\n3;$ 500\n" * 15, "y", "read them by --read number=y"),
    "durations to predict": ("x,y\n" + "1,2h 50m\n3,19h\n" * 15, "y", "durations such as '2h 50m'; write them as numbers"),
    "dates to predict": ("x,y\n" + "1,2024-01-01\n2,2024-02-01\n" * 15, "y", "'y' holds dates"),
    "a rare class": (
        "x,y\n" + "1,a\n" * 30 + "3,c\n" * 8,
        "y",
        r"'y' has fewer than 10 rows of the class 'c' \(8\) .* merge rare classes\.",
    ),
    "one class": ("x,y\n" + "1,a\n" * 30, "y", "'y' is always 'a' in"),
    "constant target": ("x,y\n" + "1,2\n" * 30, "y", "'y' is always 2 in"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "target", "message"), REJECTED.values(), ids=REJECTED.keys())
def test_unusable_file_is_rejected(
    content: str | bytes | None, target: str | None, message: str, tmp_path: Path
) -> None:
    """A file that cannot be read or learned from raises DataError with exit status 2, naming the file or column."""
    path = tmp_path / "rows.csv"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError, match=message) as failure:
        load(str(path), target)
    assert failure.value.exit_code == 2


@pytest.mark.parametrize("source", ["titanic", "rows.doc"])
def test_unknown_source_lists_known_ones(source: str) -> None:
    """A source that is neither a data set nor a file of a known type is answered with the data sets."""
    with pytest.raises(DataError, match=f"'{source}' is neither one of breast_cancer, california, diabetes nor"):
        load(source, None)


def test_target_of_a_data_set_is_fixed() -> None:
    """--target is rejected for a data set, which has its own target."""
    with pytest.raises(DataError, match="'diabetes' has its own target"):
        load("diabetes", "age")


@pytest.mark.parametrize(
    ("values", "task", "reason"),
    [
        ([0.5, 1.5], "regression", "numbers with fractions"),
        (list(range(30)), "regression", "30 different whole numbers are a quantity"),
        ([0] * 11 + [13], "regression", "whole numbers, of which 13 is in 5 rows only, are a quantity"),
        ([0, 1], "classification", "2 different whole numbers"),
        (["no", "yes"], "classification", "2 different texts"),
        ([True, False], "classification", "true and false"),
    ],
)
def test_target_decides_the_task(values: list[object], task: str, reason: str, tmp_path: Path) -> None:
    """Text, booleans and few frequent integers make a classification, other numbers a regression; the reason is said."""
    target = (values * 60)[:60]
    pd.DataFrame({"x": [0.5, 1.5] * 30, "y": target}).to_csv(tmp_path / "rows.csv", index=False)
    data = load(str(tmp_path / "rows.csv"), "y")
    assert data.task == task
    assert data.reason.startswith(reason)


def test_task_can_be_overridden(tmp_path: Path) -> None:
    """A given task replaces the inferred one, and is rejected if the target does not allow it."""
    pd.DataFrame({"x": [0.5, 1.5] * 30, "y": [1, 2, 3] * 20}).to_csv(tmp_path / "rows.csv", index=False)
    assert load(str(tmp_path / "rows.csv"), "y", "regression").task == "regression"
    with pytest.raises(DataError, match="'diagnosis' holds texts; --task regression"):
        load("breast_cancer", None, "regression")
    with pytest.raises(DataError, match=r"'progression' has fewer than 10 rows of the classes .* and \d+ more"):
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


def test_california_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If California Housing cannot be downloaded, the run ends and says how to get the data."""
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # a port where nothing answers
    with pytest.raises(DataError, match=r"could not be downloaded \(.*\)\. Copy cal_housing_py3.pkz"):
        load("california", None)


def test_hanging_download_times_out() -> None:
    """A download that never ends raises TimeoutError after the given seconds."""
    released = threading.Event()
    with pytest.raises(TimeoutError):
        _within(0.2, released.wait)
    released.set()
