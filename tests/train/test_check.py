"""The check of the data says what a colleague would say, one sentence for each kind, and leaves out what is no feature."""

import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from train.data import Data, Options, load
from train.errors import DataError
from train.sources import parse_reading

ROWS = 200
RANDOM = np.random.default_rng(7)
X = RANDOM.normal(50, 10, ROWS).round(3)
Z = RANDOM.uniform(1, 9, ROWS).round(3)
Y = (X + 5 * Z + RANDOM.normal(0, 3, ROWS)).round(2)
LABEL = np.where(Y + RANDOM.normal(0, 20, ROWS) > np.median(Y), "yes", "no")
AT = np.arange(ROWS)
DAYS = pd.date_range("2020-01-01", periods=ROWS)
SHUFFLED = RANDOM.permutation(ROWS)


def checked(folder: Path, columns: dict[str, Any], **options: Any) -> Data:
    """Write the columns beside two features and a target, unless they are given, and load the file."""
    frame = pd.DataFrame({"x": X, "z": Z, "y": Y} | columns)
    frame.to_csv(folder / "rows.csv", index=False)
    return load(str(folder / "rows.csv"), "y", options=Options(**options))


# Columns of a file, and the kind and a part of the one finding about them.
FINDINGS: dict[str, tuple[dict[str, Any], str, str]] = {
    "text ID": ({"ref": [f"r-{7 * at % 997}" for at in AT]}, "id", "name rows: ref ('r-0')"),
    "number ID": ({"user_id": SHUFFLED + 5000}, "id", "user_id"),
    "counting": ({"number": AT + 176000}, "id", "number (176000)"),
    "UUID": ({"key": [str(uuid.UUID(int=int(at) * 2**100 + 0xABCDEFABCDEF12EFAB))  for at in SHUFFLED]}, "id", "name rows: key ("),
    "phone": ({"phone": [f"+49 30 {1000 + at}" for at in AT]}, "id", "phone ('+49 30 1000')"),
    "too many digits for a double": ({"account": 2**55 + SHUFFLED * 1000}, "id", "account (3602879"),
    "index": ({"Unnamed: 0": AT}, "index", "count rows: Unnamed: 0"),
    "nameless": ({"": AT}, "index", "count rows: column3"),
    "ID with gaps": ({"order_no": np.where(AT % 9 == 0, np.nan, SHUFFLED + 5000)}, "id", "order_no"),
    "group": ({"customer_id": SHUFFLED % 30}, "group", "customer_id (30 values); --group COLUMN"),
    "empty": ({"e": None}, "empty", "no value: e"),
    "constant": ({"c": "same"}, "constant", "c ('same')"),
    "nearly empty": ({"e": [1.5, 2.5] + [None] * (ROWS - 2)}, "nearly empty", "e (99.0% missing)"),
    "percent": ({"rate": [f"{at % 17} %" for at in AT]}, "number", "rate ('0 %'); --read number=COLUMN"),
    "either order": ({"day": [f"0{1 + at % 9}/0{1 + at % 7}/2024" for at in AT]}, "ambiguous date", "--read dayfirst=true"),
    "codes": ({"zip": [f"0{1000 + at % 90}" for at in AT]}, "code", "zip ('01000')"),
    "null word": ({"region": ["NA", "EU"] * (ROWS // 2)}, "null word", "region ('NA' (100 rows, first in row 1))"),
    "leak": ({"cents": Y * 100}, "leak", "cents (correlation 1.00000)"),
    "leak as text": ({"paid": [f"$ {y:,.2f}" for y in Y]}, "leak", "paid (correlation 1.00000)"),
    "leak in ranks": ({"rank": Y**3}, "leak", "rank (rank correlation 1.00000)"),
    "sum": ({"rest": Y - X}, "leak", "the target is x + rest"),
    "product": ({"each": Y / Z}, "leak", "the target is z * each"),
    "quotient": ({"total": Y * Z}, "leak", "the target is total / z"),
    "rounded quotient": ({"y": (100 * X / Z).round()}, "leak", "the target is 100 * (x / z)"),
    "repeated": ({name: np.concatenate([values[:150], values[:50]]) for name, values in {"x": X, "z": Z, "y": Y}.items()}, "repeated", "50 rows are copies"),
    "spelling": ({"city": ["Ulm", "ulm ", "Bonn", "Bonn"] * 50}, "spelling", "city ('Ulm' and 'ulm ')"),
    "placeholder": ({"w": np.where(AT % 20 == 3, -999, X)}, "placeholder", "w (-999 in 10 rows)"),
    "zero": ({"w": np.where(AT % 20 == 3, 0, X + 100)}, "placeholder", "w (0 in 10 rows)"),
    "year 9999": ({"d": np.where(AT % 20 == 3, "9999-12-31", DAYS.astype(str)[SHUFFLED % 90])}, "far date", "such as '9999-12-31'); --read null-marker=DATE"),
    "far date": ({"d": np.where(AT % 20 == 3, "1900-01-01", DAYS.astype(str)[SHUFFLED])}, "placeholder", "d (1900-01-01 in 10 rows)"),
    "placeholder in the target": ({"y": np.where(AT % 20 == 3, -1, Y)}, "placeholder", "y (-1 in 10 rows)"),
    "outliers": ({"y": np.where(AT == 9, 1e7, Y)}, "outliers", "1 row makes 100%"),
    "days as numbers": ({"day": DAYS.strftime("%Y%m%d")[SHUFFLED % 90]}, "dates as numbers", "day (20200"),
    "times as numbers": ({"t": DAYS.strftime("%Y%m%d%H%M%S")[SHUFFLED % 90]}, "dates as numbers", "t (20200"),
    "ordered": ({"day": DAYS}, "ordered", "order of a date: day; --time COLUMN"),
    "leak of a class": ({"y": LABEL, "paid": (LABEL == "yes").astype(float) + Z / 100}, "leak", "paid (balanced accuracy 1.0000 alone)"),
    "leak in a list": ({"y": LABEL, "tags": [f"['{label}', '{at % 3}']" for at, label in zip(AT, LABEL, strict=True)]}, "leak", "tags (its texts contain the target)"),
    "sorted": ({"y": np.sort(LABEL), "Unnamed: 0": AT}, "sorted", "sorted by the target: y"),
}  # fmt: skip


@pytest.mark.parametrize(("columns", "kind", "text"), FINDINGS.values(), ids=FINDINGS)
def test_finding(columns: dict[str, Any], kind: str, text: str, tmp_path: Path) -> None:
    """What stands out is said in one sentence with the columns, and in scores.json."""
    data = checked(tmp_path, columns)
    found = {finding.kind: finding for finding in data.checked.findings}
    assert kind in found
    assert text in found[kind].text
    assert found[kind].text.endswith(".")
    assert kind in [finding["kind"] for finding in data.card()["findings"]]
    if kind in ("id", "index", "empty"):
        assert list(data.features) == ["x", "z"]


def test_nothing_to_say(tmp_path: Path) -> None:
    """Ordinary columns bring no finding: prose, measures in order, counts and dates in any order."""
    words = RANDOM.choice(["see", "you", "at", "home", "later", "love"], (ROWS, 6))
    columns = {
        "message": [" ".join(row) for row in words],
        "city": RANDOM.choice(["Ulm", "Bonn", "Köln"], ROWS),
        "rooms": RANDOM.integers(0, 7, ROWS),
        "day": DAYS[SHUFFLED],
        "population": SHUFFLED * 37 + 11,
        "size": AT + 20,
    }
    data = checked(tmp_path, columns)
    assert [finding.text for finding in data.checked.findings] == []
    assert len(data.features.columns) == 8


def test_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--include keeps an ID, --exclude leaves out any column, and --strict ends the run after the findings."""
    columns = {"user_id": SHUFFLED + 5000, "tag": ["NA", "b"] * (ROWS // 2)}
    assert "user_id" in checked(tmp_path, columns, included=["user_id"]).features
    assert "tag" not in checked(tmp_path, columns, excluded=["tag"]).features
    with pytest.raises(DataError, match=r"--strict: the findings printed above end the run, 2 in rows\.") as failure:
        checked(tmp_path, columns, strict=True)
    assert failure.value.exit_code == 2
    assert "user_id" in capsys.readouterr().err
    checked(tmp_path, columns, excluded=["user_id", "tag"], strict=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"excluded": ["q"], "included": ["p"]}, "no column 'q' for --exclude.*\n.*no column 'p' for --include"),
        ({"excluded": ["y"]}, "The target 'y' is excluded by --exclude"),
        ({"excluded": ["x", "z"]}, "--exclude leaves no feature column"),
        ({"excluded": ["x"], "included": ["x"]}, "'x' is both in --exclude and in --include"),
    ],
)
def test_wrong_columns(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    """Options that name columns wrongly are reported together."""
    with pytest.raises(DataError, match=message):
        checked(tmp_path, {}, **options)


def test_rows_of_rare_classes_are_left_out(tmp_path: Path) -> None:
    """The rows of a rare class, and those without a target, are left out and counted."""
    labels = ["a"] * 100 + ["b"] * 90 + ["c"] * 7 + [""] * 3
    data = checked(tmp_path, {"y": labels})
    assert len(data.target) == 190
    assert "Left out: 3 rows without a value in 'y'." in data.notes
    assert "Left out: 7 rows of the class 'c' (7) in 'y', fewer than 10 each." in data.notes


def test_words_for_null(tmp_path: Path) -> None:
    """Such a word is NULL among numbers, a text among texts, and NULL there too where an option says so."""
    columns = {"region": ["NA", "EU"] * (ROWS // 2), "w": np.where(AT % 5, X.astype(str), "n/a")}
    data = checked(tmp_path, columns)
    assert sorted(data.features["region"].unique()) == ["EU", "NA"]
    assert data.features["w"].isna().sum() == ROWS / 5
    assert any("as NULL: 'n/a' in w" in note for note in data.notes)
    data = checked(tmp_path, columns, reading=parse_reading(["null-marker=NA"]))
    assert data.features["region"].isna().sum() == ROWS / 2


def test_infinity_is_missing(tmp_path: Path) -> None:
    """An infinite value is NULL, which is said, and doesn't end the run."""
    data = checked(tmp_path, {"w": np.where(AT == 3, np.inf, X)})
    assert data.features["w"].isna().sum() == 1
    assert "Read as NULL: infinite values in w (1)." in data.notes
