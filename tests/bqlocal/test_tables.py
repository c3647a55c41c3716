"""Tables from files, DataFrames and Arrow tables, with BigQuery's types."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from bqlocal import BigQuery, SourceError
from bqlocal.tables import read
from tests.bqlocal.conftest import ROWS, Create
from tests.endpoint import Endpoint


def test_csv_and_parquet(tmp_path: Path, bigquery: BigQuery) -> None:
    """The same rows as CSV and as Parquet are the same table."""
    ROWS.to_csv(tmp_path / "rows.csv", index=False)
    ROWS.to_parquet(tmp_path / "rows.parquet")
    bigquery.load("ds.csv", tmp_path / "rows.csv")
    bigquery.load("other-project.ds.parquet", str(tmp_path / "rows.parquet"))
    query = "SELECT * FROM {} ORDER BY id"
    csv = bigquery.sql(query.format("ds.csv")).frame
    parquet = bigquery.sql(query.format("`other-project.ds.parquet`")).frame
    pd.testing.assert_frame_equal(csv, parquet, check_dtype=False)
    assert csv["a"].isna().sum() == 14


def test_empty_csv_fields(tmp_path: Path, bigquery: BigQuery) -> None:
    """An empty field of a CSV file is NULL, an empty string in quotes is not."""
    (tmp_path / "t.csv").write_text('a,b\n1,""\n2,\n3,x\n')
    bigquery.load("ds.t", tmp_path / "t.csv")
    assert bigquery.sql("SELECT b FROM ds.t ORDER BY a").table["b"].to_pylist() == ["", None, "x"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_read(suffix: str, tmp_path: Path) -> None:
    """`read` returns a file's rows in their order, as int64, float64 and strings."""
    frame = pd.DataFrame({"i": [3, 1, 2], "f": [0.5, None, 2.0], "s": ["x", None, "é"]})
    path = tmp_path / f"rows{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".parquet":
        frame.astype({"i": "int8", "f": "float32"}).to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=True, force_ascii=False)
    table = read(path).rows
    assert [str(field.type) for field in table.schema] == ["int64", "double", "string"]
    assert table.to_pydict() == {"i": [3, 1, 2], "f": [0.5, None, 2.0], "s": ["x", None, "é"]}


def test_read_errors(tmp_path: Path) -> None:
    """`read` raises SourceError for a missing file and for one with other content."""
    with pytest.raises(SourceError, match="There is no file"):
        read(tmp_path / "nowhere.csv")
    (tmp_path / "x.parquet").write_text("no parquet")
    with pytest.raises(SourceError, match=r"^Cannot load '.*x\.parquet': .*$"):
        read(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("t", "x.csv", "'t' is not a table name; write dataset.table or project.dataset.table."),
        ("p:ds.t", "x.csv", "'p:ds.t' is not a table name; write dataset.table or project.dataset.table."),
        ("example.com:p.t", "x.csv", "'example.com:p.t' is not a table name; write dataset.table or "),
        (
            "ds.t",
            "x.xlsx",
            "Cannot read the workbook 'x.xlsx'; save the sheet as CSV, in UTF-8.",
        ),
        ("ds.t", "x.doc", "Cannot load 'x.doc'; expected a file that ends in .csv, .tsv, .txt, .parquet, .json,"),
        ("ds.t", "nowhere.csv", "There is no file 'nowhere.csv'; check the path."),
        ("ds.t", pd.DataFrame({"Age": [1], "age": [2]}), "The table has two columns 'age'; BigQuery ignores case in"),
        ("ds.t", pd.DataFrame({"a": [1, "x"]}), "The DataFrame mixes types in a column: "),
    ],
)
def test_invalid_source(name: str, source: Any, message: str, bigquery: BigQuery) -> None:
    """A name or source that cannot become a table is an error that says why."""
    with pytest.raises(SourceError) as failure:
        bigquery.load(name, source)
    assert failure.value.message.startswith(message)


def test_file_with_other_content(tmp_path: Path, bigquery: BigQuery) -> None:
    """A file that is not what its suffix says is a one-line error."""
    (tmp_path / "x.parquet").write_text("no parquet")
    with pytest.raises(SourceError, match=r"^Cannot load '.*x\.parquet': .*$"):
        bigquery.load("ds.t", tmp_path / "x.parquet")


def test_types_reach_the_function(bigquery: BigQuery, endpoint: Endpoint, create: Create) -> None:
    """Arrow types that BigQuery does not have are widened to those that it has."""
    table = pa.table(
        {
            "i": pa.array([1], pa.int8()),
            "u": pa.array([2**40], pa.uint64()),
            "f": pa.array([0.5], pa.float32()),
            "s": pa.array(["x"]).dictionary_encode(),
            "t": pa.array([1_500_000_000], pa.timestamp("ns")),
        }
    )
    create("ds.f(i INT64, u INT64, f FLOAT64, s STRING, t DATETIME)")
    bigquery.load("ds.t", table)
    bigquery.sql("SELECT ds.f(i, u, f, s, t) FROM ds.t")
    assert endpoint.calls == [[1, 2**40, 0.5, "x", "1970-01-01T00:00:01.500"]]
