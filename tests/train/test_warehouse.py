"""A table of BigQuery is read by REST, all of it or a sample; what can't be read is one sentence."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from train.data import load
from train.errors import DataError
from train.warehouse import fetch

# In the form of BigQuery's REST reference; ids, etags and times are left out.
FIELDS = [
    {"name": "size", "type": "INTEGER", "mode": "NULLABLE"},
    {"name": "city", "type": "STRING", "mode": "NULLABLE"},
    {"name": "sold", "type": "TIMESTAMP", "mode": "NULLABLE"},
    {"name": "price", "type": "FLOAT", "mode": "NULLABLE"},
]
TABLE = {
    "kind": "bigquery#table",
    "tableReference": {"projectId": "my-project", "datasetId": "shop", "tableId": "houses"},
    "schema": {"fields": FIELDS},
    "numRows": "60",
    "type": "TABLE",
}
ROWS = [
    {"f": [{"v": str(20 + at % 7)}, {"v": None if at % 9 == 4 else "NA"}, {"v": str(1_600_000_000_000_000 + at)}, {"v": f"{at % 11}.5"}]}
    for at in range(60)
]  # fmt: skip
REFERENCE = {"projectId": "my-project", "jobId": "j", "location": "US"}


class Replies(BaseHTTPRequestHandler):
    """Answers as BigQuery does."""

    queries: list[str]
    table: dict[str, Any]

    def do_GET(self) -> None:
        if "/datasets/" in self.path and self.path.partition("?")[0].endswith("/data"):
            self.answer(200, {"kind": "bigquery#tableDataList", "totalRows": "60", "rows": ROWS})
        elif self.path.partition("?")[0].endswith("/tables/houses"):
            self.answer(200, self.table)
        elif self.path.partition("?")[0].endswith("/tables/secret"):
            self.answer(403, _error(403, "Access Denied: Table my-project:shop.secret: User does not have permission."))
        else:
            self.answer(404, _error(404, "Not found: Table my-project:shop.nowhere"))

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["query"]
        self.queries.append(query)
        if "COUNT" in query:
            schema, rows = [{"name": "f0_", "type": "INTEGER"}], [{"f": [{"v": "60"}]}]
        else:
            schema, rows = FIELDS, ROWS[:20]
        answer = {"schema": {"fields": schema}, "rows": rows, "totalRows": str(len(rows)), "jobComplete": True}
        self.answer(200, {"kind": "bigquery#queryResponse", "jobReference": REFERENCE, **answer})

    def answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


def _error(code: int, message: str) -> dict[str, Any]:
    reason = {403: "accessDenied", 404: "notFound"}[code]
    return {"error": {"code": code, "message": message, "errors": [{"message": message, "reason": reason}]}}


@pytest.fixture
def replies(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Replies]]:
    """BigQuery on a free loopback port."""
    handler = type("Handler", (Replies,), {"queries": [], "table": TABLE})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        yield handler
        server.shutdown()


def test_table(replies: type[Replies]) -> None:
    """All rows of a table are read without a query, with the types of its columns, and NA is a text."""
    data = load("bigquery:my-project.shop.houses", "price")
    assert data.name == "houses"
    assert len(data.target) == 60
    assert data.features.dtypes.astype(str).to_dict() == {"size": "float64", "city": "str", "sold": "datetime64[ns]"}
    assert set(data.features["city"].dropna()) == {"NA"}
    assert data.integers == ("size",)
    assert replies.queries == []


def test_sample(replies: type[Replies]) -> None:
    """Of a table above the limit, a random sample is read, which is said; a view is counted first."""
    rows, notes = fetch("my-project.shop.houses", limit=20)
    assert len(rows) == 20
    assert notes == ["Read a random sample of 20 of the 60 rows of my-project.shop.houses, about 20 at most."]
    assert replies.queries[-1] == "SELECT * FROM `my-project.shop.houses` WHERE RAND() < 0.333333333"
    replies.table = TABLE | {"type": "VIEW", "numRows": None}
    fetch("my-project.shop.houses")
    assert replies.queries[-1] == "SELECT * FROM `my-project.shop.houses`"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my-project.shop.nowhere", r"^BigQuery's table my-project.shop.nowhere does not exist: .*Not found"),
        ("my-project.shop.secret", "may not be read with these credentials: .*Access Denied"),
        ("houses", "names no table; write bigquery:project.dataset.table"),
    ],
)
def test_unreadable_table(name: str, message: str, replies: type[Replies]) -> None:
    """A table that isn't there or may not be read is one sentence with exit status 2."""
    with pytest.raises(DataError, match=message) as failure:
        load(f"bigquery:{name}", "price")
    assert failure.value.exit_code == 2
    assert "\n" not in failure.value.message


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without credentials, the message says how to log in."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    with pytest.raises(DataError, match=r"without credentials: .*; run gcloud auth application-default login"):
        load("bigquery:my-project.shop.houses", "price")
