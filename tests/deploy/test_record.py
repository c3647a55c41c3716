"""The record of what deploy.sh created, in the format that every version has written."""

from deploy.record import Entry, Record

# As the first versions of deploy.sh wrote it, in shell.
TEXT = """\
account sql-fn-predict@my-project.iam.gserviceaccount.com
reader sql-fn-predict@my-project.iam.gserviceaccount.com
function predict
connection my-project.us.predict
dataset ds
analyst my-project.us.predict user:ana@example.com
routine predict
routine predict_row
routine model_info
sql 0123456789abcdef0123456789abcdef01234567
"""


def test_read_and_write() -> None:
    """A record written by an earlier version is read, and written back as it was."""
    record = Record.parse(TEXT)
    assert str(record) == TEXT
    assert record.names("routine") == ["predict", "predict_row", "model_info"]
    assert record.names("analyst") == ["my-project.us.predict user:ana@example.com"]
    assert Entry("dataset", "ds") in record


def test_add() -> None:
    """New entries follow the others, recorded ones are not repeated, and a new hash replaces the old one."""
    record = Record.parse(TEXT).add(
        [Entry("routine", "predict"), Entry("routine", "predict_proba"), Entry("sql", "f" * 40)]
    )
    assert str(record) == TEXT.replace(
        "sql 0123456789abcdef0123456789abcdef01234567", f"routine predict_proba\nsql {'f' * 40}"
    )
