"""The one assertion for the one shape in which every failure of the function leaves it."""

import json
from typing import Any


def assert_error(response: Any, status: int, *words: str) -> None:
    """Assert that an HTTP response is this failure: JSON, at most 1,000 bytes, one message that holds these words."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert len(response.content) <= 1000
    body = json.loads(response.content.decode("utf-8"))
    assert list(body) == ["errorMessage"]
    assert "Traceback" not in body["errorMessage"]
    for word in words:
        assert word in body["errorMessage"]
