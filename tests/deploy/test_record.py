"""The record of what deploy.sh created, also as earlier versions wrote it."""

import pytest

from deploy.record import Entry, Record

TEXT = """\
account sql-fn-predict@my-project.iam.gserviceaccount.com
reader sql-fn-predict@my-project.iam.gserviceaccount.com models
function predict
connection my-project.us.predict
dataset my-project.ds
analyst my-project.us.predict user:ana@example.com
setting vpc-connector
setting update-labels team
routine my-project.ds.predict
routine my-project.ds.predict_row
routine my-project.ds.model_info
sql my-project.ds 0123456789abcdef0123456789abcdef01234567
"""
# As the first versions of deploy.sh wrote it, in shell: without the dataset of routines and the bucket of readers.
EARLY = (
    TEXT.replace(" models\n", "\n")
    .replace("my-project.ds.", "")
    .replace("sql my-project.ds", "sql")
    .replace("my-project.ds", "ds")
)


def test_read_and_write() -> None:
    """A record is written as it was read."""
    record = Record.parse(TEXT, "my-project.other", "models")
    assert str(record) == TEXT
    assert record.routines == [f"my-project.ds.{name}" for name in ("predict", "predict_row", "model_info")]
    assert record.names("analyst") == ["my-project.us.predict user:ana@example.com"]
    assert Entry("dataset", "my-project.ds") in record


@pytest.mark.parametrize("dataset_id", ["my-project.ds", "my-project.other"])
def test_early_record(dataset_id: str) -> None:
    """The routines of an early record belong to the dataset that it names, whatever dataset a run is given."""
    assert str(Record.parse(EARLY, dataset_id, "models")) == TEXT


def test_early_record_without_dataset() -> None:
    """The routines of an early record that names no dataset belong to the one that a run is given."""
    record = Record.parse(EARLY.replace("dataset ds\n", ""), "my-project.ds", "models")
    assert str(record) == TEXT.replace("dataset my-project.ds\n", "")


def test_add() -> None:
    """New entries follow the others, and recorded ones are not repeated."""
    reader = Entry("reader", "sql-fn-predict@my-project.iam.gserviceaccount.com others")
    record = Record.parse(TEXT, "my-project.ds", "models").add([Entry("function", "predict"), reader])
    assert str(record) == f"{TEXT}{reader}\n"
