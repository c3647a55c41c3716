"""Every HTTP request gets an answer in BigQuery's contract, including requests that BigQuery never sends."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving.admission import REQUEST_LIMIT
from tests.assertions import assert_error

ROW = [0.5, -0.25, 1, 2]
DEEP = 2_000


def request(**fields: Any) -> bytes:
    return json.dumps({"requestId": "r", "caller": "c", "sessionUser": "s", **fields}).encode()


def calls(*rows: Any, **context: str) -> bytes:
    return request(calls=list(rows), **({"userDefinedContext": context} if context else {}))


def one(value: str) -> bytes:
    """Return a request whose one row starts with this piece of JSON."""
    return b'{"calls": [[' + value.encode("utf-8", "surrogatepass") + b", 0, 0, 0]]}"


MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty body": (b"", "is not JSON"),
    "white space": (b"  \n ", "is not JSON"),
    "not JSON": (b"calls", "is not JSON"),
    "cut off": (calls(ROW)[:-3], "is not JSON"),
    "two documents": (calls(ROW) * 2, "is not JSON"),
    "trailing comma": (b'{"calls": [[1, 2, 3, 4],]}', "is not JSON"),
    "single quotes": (b"{'calls': []}", "is not JSON"),
    "byte order mark": (b"\xef\xbb\xbf" + calls(ROW), "is not JSON"),
    "utf-16": (calls(ROW).decode().encode("utf-16"), "is not JSON"),
    "invalid utf-8": (b'{"calls": [["\xff\xfe", 0, 0, 0]]}', "is not JSON"),
    "nul bytes": (b"\x00" * 100, "is not JSON"),
    "compressed": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "is not JSON"),
    "a form": (b"calls=%5B%5B1%5D%5D", "is not JSON"),
    "bare NaN": (one("NaN"), "is not JSON"),
    "bare Infinity": (one("-Infinity"), "is not JSON"),
    "hexadecimal": (one("0x10"), "is not JSON"),
    "leading zero": (one("01"), "is not JSON"),
    "number beyond any double": (one("1e999"), "is not JSON"),
    "lone surrogate": (one('"\\ud800"'), "is not JSON"),
    "lone surrogate as bytes": (one('"\ud800"'), "is not JSON"),
    "control character": (one('"\x01"'), "is not JSON"),
    "deep list": (b"[" * DEEP + b"]" * DEEP, "is not JSON"),
    "deep object": (b'{"a":' * DEEP + b"1" + b"}" * DEEP, "is not JSON"),
    "unclosed depth": (b"[" * 1_000_000, "is not JSON"),
    "a list": (b"[]", "expected a JSON object"),
    "a number": (b"17", "expected a JSON object"),
    "a text": (b'"calls"', "expected a JSON object"),
    "null": (b"null", "expected a JSON object"),
    "no calls": (request(), "has no `calls`"),
    "misspelled calls": (request(call=[ROW]), "has no `calls`"),
    "calls null": (request(calls=None), "`calls` is null"),
    "calls an object": (request(calls={"0": ROW}), "`calls` is {"),
    "calls a text": (request(calls="[[1]]"), "`calls` is"),
    "calls a number": (request(calls=1), "`calls` is 1"),
    "row null": (calls(ROW, None), "Row 1"),
    "row an object": (calls({"a": 1}), "Row 0"),
    "row a text": (calls("1,2,3,4"), "Row 0"),
    "row a number": (calls(ROW, ROW, 5), "Row 2"),
    "row too short": (calls(ROW, ROW[1:]), "Row 1 has 3 arguments; the function takes 4: a FLOAT64, b FLOAT64"),
    "row of one": (calls([1]), "Row 0 has 1 argument; the function takes 4: "),
    "row too long": (calls([*ROW, 1]), "Row 0 has 5 arguments"),
    "row empty": (calls([]), "Row 0 has 0 arguments"),
    "100,000 empty rows": (calls(*[[]] * 100_000), "Row 0 has 0 arguments"),
    "long row": (calls([1] * 100_000), "Row 0 has 100,000 arguments"),
    "text": (one('"many"'), 'Row 0, column a: "many" is not FLOAT64'),
    "empty text": (one('""'), "column a"),
    "blank in a number": (one('" 1"'), "column a"),
    "underscore in a number": (one('"1_000"'), "column a"),
    "nan in lower case": (one('"nan"'), "column a"),
    "inf in Python's words": (one('"inf"'), "column a"),
    "exponent as text": (one('"1e5"'), "column a"),
    "digits of another script": (one('"١٢"'), "column a"),
    "number of 400 digits": (one('"' + "9" * 400 + '"'), "column a"),
    "boolean": (one("true"), "column a: true is not FLOAT64"),
    "list as value": (one("[1]"), "column a"),
    "object as value": (one('{"a": 1}'), "column a"),
    "deep value": (one("[" * 900 + "]" * 900), "column a"),
    "huge text": (one('"' + "x" * 1_000_000 + '"'), "column a"),
    "multi-byte text": (one('"' + "🦆" * 5_000 + '"'), "column a"),
    "escapes in the text": (one('"' + "\\u0007" * 5_000 + '"'), "column a"),
    "context a text": (request(calls=[ROW], userDefinedContext="predict"), "`userDefinedContext`"),
    "context a list": (request(calls=[ROW], userDefinedContext=[["function", "predict"]]), "`userDefinedContext`"),
    "context with a number": (request(calls=[ROW], userDefinedContext={"schema": 5}), "`userDefinedContext`"),
    "context with null": (request(calls=[ROW], userDefinedContext={"on_null": None}), "`userDefinedContext`"),
    "unknown function": (
        calls(ROW, function="predcit"),
        "available functions: model_info, predict, predict_proba, predict_row",
    ),
    "function with a path": (calls(ROW, function="../main"), "There is no SQL function"),
    "dunder function": (calls(ROW, function="__class__"), "There is no SQL function"),
    "unknown key": (calls(ROW, on_nul="pass"), "on_nul"),
    "unknown policy": (calls(ROW, on_null="skip"), "expected one of null, pass, error"),
    "unknown error policy": (calls(ROW, on_error="ignore"), "expected one of fail, null, json"),
    "other schema": (calls(ROW, schema="0" * 16), "made for a model with schema"),
    "params not JSON": (calls(ROW, params="{"), "expected a JSON object"),
    "params unknown": (calls(ROW, params='{"depth": 1}'), "declares none"),
    "class of a regressor": (
        calls(ROW, **{"function": "predict_proba", "class": "yes"}),
        "predict_proba is not available",
    ),
    "request id a number": (request(calls=[ROW], requestId=7), "`requestId`"),
    "caller a list": (request(calls=[ROW], caller=[]), "`caller`"),
    "session user null": (request(calls=[ROW], sessionUser=None), "`sessionUser`"),
    "arguments for model_info": (calls(ROW, function="model_info"), "model_info takes none"),
    "two arguments for predict_row": (calls([{}, {}], function="predict_row"), "takes one"),
    "a list for predict_row": (calls([ROW], function="predict_row"), "expected an object"),
    "an object without columns": (calls([{"z": 1}], function="predict_row"), 'has no "a"'),
}


@pytest.fixture
def client(app: Callable[..., TestClient], saved: Callable[[str], str]) -> TestClient:
    return app(saved("tree_regressor"))


@pytest.mark.parametrize(("body", "words"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_request(client: TestClient, body: bytes, words: str) -> None:
    """A malformed request is a 400 with the reason, and the next request succeeds."""
    assert_error(client.post("/", content=body), 400, words)
    assert client.post("/", content=calls(ROW)).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_unsupported_method(client: TestClient, method: str) -> None:
    """Any other method than GET and POST is a 400."""
    assert_error(client.request(method, "/", content=calls(ROW)), 400, method, "expected POST")


@pytest.mark.parametrize("path", ["/predict", "/v1/predict/", "/predict/predict"])
def test_function_in_path(client: TestClient, path: str) -> None:
    """The last segment of the path selects the function."""
    assert client.post(path, content=calls(ROW)).json() == client.post("/", content=calls(ROW)).json()


def test_function_in_context_wins(client: TestClient) -> None:
    """The function in the context takes precedence over the one in the path."""
    assert "digest" in client.post("/predict", content=calls([], function="model_info")).json()["replies"][0]


@pytest.mark.parametrize("path", ["/nothing", "/predict.v1", "/%2e%2e/main", "/predict%00"])
def test_unknown_path(client: TestClient, path: str) -> None:
    """A path without a function is a 400."""
    assert_error(client.post(path, content=calls(ROW)), 400, "There is no SQL function")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/xml", "text/csv", "x", ""])
def test_any_content_type(client: TestClient, content_type: str) -> None:
    """A JSON body is accepted with nearly any content type, and with none."""
    headers = {"content-type": content_type} if content_type else None
    assert client.post("/", content=calls(ROW), headers=headers).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "Text/Plain;charset=UTF-8",
        " text/plain ; a=b",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ],
)
def test_form(client: TestClient, content_type: str) -> None:
    """What a page of another site can send without asking is a 400, even if it is JSON."""
    response = client.post("/", content=calls(ROW), headers={"content-type": content_type})
    assert_error(response, 400, "Content-Type", "application/json")


GOOD = gzip.compress(calls(ROW))


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", "identity, gzip"])
@pytest.mark.parametrize(
    "body", [GOOD, gzip.compress(calls(ROW)[:20]) + gzip.compress(calls(ROW)[20:])], ids=["one part", "two parts"]
)
def test_gzip(client: TestClient, body: bytes, encoding: str) -> None:
    """A body compressed by gzip, in one member or several, gets the reply of the plain one."""
    response = client.post("/", content=body, headers={"content-encoding": encoding})
    assert response.json() == client.post("/", content=calls(ROW), headers={"content-encoding": "identity"}).json()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (calls(ROW), "not gzip"),
        (GOOD[:-9], "not gzip"),
        (GOOD[:-8] + bytes(8), "not gzip"),
        (GOOD + b"more", "not gzip"),
        (GOOD[:30] + bytes(10) + GOOD[40:], "not gzip"),
        (b"", "not JSON"),
        (gzip.compress(b"calls"), "not JSON"),
        (gzip.compress(b" " * REQUEST_LIMIT + calls(ROW)), f"expected at most {REQUEST_LIMIT}"),
        (gzip.compress(bytes(2**20)) * 1_000, f"expected at most {REQUEST_LIMIT}"),
    ],
    ids=["plain", "truncated", "checksum", "trailing bytes", "damaged", "empty", "not JSON", "too large", "bomb"],
)
def test_bad_gzip(client: TestClient, body: bytes, words: str) -> None:
    """A body that is not gzip, or too large when decompressed, is a 400."""
    assert_error(client.post("/", content=body, headers={"content-encoding": "gzip"}), 400, words)


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "compress", "gzip, gzip", "gzip, br", "nonsense"])
def test_other_content_encoding(client: TestClient, encoding: str) -> None:
    """Any other compression is a 415 that names it."""
    assert_error(client.post("/", content=GOOD, headers={"content-encoding": encoding}), 415, encoding, "expected gzip")


def test_no_calls(client: TestClient) -> None:
    """A request without calls gets no replies."""
    assert client.post("/", content=calls()).json() == {"replies": []}


def test_duplicate_keys(client: TestClient) -> None:
    """Of duplicate keys the last one counts."""
    body = b'{"calls": [[1, 2, 3]], "calls": [[1, 2, 3, 4]]}'
    assert len(client.post("/", content=body).json()["replies"]) == 1


def test_reply_too_large(client: TestClient) -> None:
    """A reply that BigQuery would reject is a 400 that names a number of rows that fits."""
    size_of_one = len(client.post("/model_info", content=calls([])).content)
    response = client.post("/model_info", content=calls(*[[]] * (20_000_000 // size_of_one)))
    assert_error(response, 400, "BigQuery accepts 15000000", "max_batching_rows = ")
    fitting = int(response.json()["errorMessage"].rpartition("max_batching_rows = ")[2].rstrip("."))
    assert 12_000_000 < len(client.post("/model_info", content=calls(*[[]] * fitting)).content) <= 15_000_000


def test_internal_error(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug is a 500 with the request id and without details."""
    monkeypatch.setattr("serving.contract.write", lambda *_: 1 / 0)
    response = client.post("/", content=request(calls=[ROW], requestId="abc-123"))
    assert_error(response, 500, "abc-123")
    assert "division" not in response.text
