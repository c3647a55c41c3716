"""Reading BigQuery's request: nothing that comes before or after the calls is lost or taken for a part of them."""

import orjson
import pytest

from serving import contract
from serving.decoding import from_request
from serving.errors import BadRequest
from serving.signature import Column, Signature

TWO_NUMBERS = Signature((Column("a", "double", "FLOAT64"), Column("b", "double", "FLOAT64")), None)


@pytest.fixture(params=[0, contract.MIN_TABLE], autouse=True)
def min_table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read each request as a table and as parsed values."""
    monkeypatch.setattr(contract, "MIN_NUMBERS", request.param)
    monkeypatch.setattr(contract, "MIN_TABLE", request.param)


@pytest.mark.parametrize(
    "body",
    [
        '{"userDefinedContext": {"on_null": "pass"}, "calls": [[1, 2]]}',
        '{"calls": [[1, 2]], "userDefinedContext": {"on_null": "pass"}}',
        '{"x": {"calls": [[9]]}, "userDefinedContext": {"on_null": "pass"}, "calls": [[1, 2]]}',
        '{"requestId": "calls", "userDefinedContext": {"on_null": "pass"}, "calls": [[1, 2]] }\n',
        '{"calls": [[9, 9]], "userDefinedContext": {"on_null": "pass"}, "calls" : [[1, 2]]}',
        '{"calls": [[1, 2]], "userDefinedContext": {"on_null": "pass"}, "z": []}',
        '{"calls": [[1, 2]], "userDefinedContext": {"on_null": "pass"}, "z": [[9, 9]]}',
        '{"userDefinedContext": {"on_null": "pass"}, "calls": [[1, 2]], "x": [3]}',
        '{"calls": [[9, 9]], "userDefinedContext": {"on_null": "pass"}, "calls": [[1, 2]], "z": {"calls": [[9, 9]]}}',
    ],
)
def test_fields_in_any_order(body: str) -> None:
    """Options and calls are read wherever they are in the request; of duplicate keys the last one counts."""
    request = contract.read(body.encode())
    assert request.context == {"on_null": "pass"}
    assert request.calls == [[1, 2]]
    assert from_request(TWO_NUMBERS, request)["b"].tolist() == [2.0]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ('"userDefinedContext": [1]', "`userDefinedContext` is [1]"),
        ('"userDefinedContext": [[1]]', "`userDefinedContext` is [[1]]"),
        ('"requestId": [1]', "`requestId` is [1]"),
        ('"caller": [[1]]', "`caller` is [[1]]"),
        ('"x": [1', "is not JSON"),
        ('"x": [1]]', "is not JSON"),
    ],
)
def test_bad_field_after_calls(fields: str, words: str) -> None:
    """A field after the calls is checked even if it ends with a bracket, as the calls do."""
    with pytest.raises(BadRequest) as caught:
        contract.read(f'{{"calls": [[1]], {fields}}}'.encode())
    assert words in str(caught.value)


def test_calls_kept_as_text() -> None:
    """Calls that are a table stay text until a function asks for the values."""
    calls = [[1, 2.5, "x"], [None, "NaN", True]] * 2_000
    request = contract.read(orjson.dumps({"requestId": "r", "calls": calls}))
    assert request.table is not None
    assert request.raw_calls == orjson.dumps(calls)
    assert request.calls == calls
