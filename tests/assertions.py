"""The assertion for the function's error responses, which all have the same shape."""

import json
from typing import Any


def assert_error(response: Any, status: int, *words: str) -> None:
    """Assert that a response is an error with this status: JSON of at most 1,000 bytes whose message has these words."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert len(response.content) <= 1000
    body = json.loads(response.content.decode("utf-8"))
    assert list(body) == ["errorMessage"]
    assert "Traceback" not in body["errorMessage"]
    for word in words:
        assert word in body["errorMessage"]
