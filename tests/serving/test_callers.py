"""Where no platform checks callers, only this machine's own programs and page may call the function."""

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from tests.assertions import assert_error

LOCAL = ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:1", "127.1.2.3:65535", "[::1]", "[::1]:8080"]
OTHER_HOSTS = [
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.example/localhost",
    "evil.example#@localhost",
    "10.0.0.1:8080",
    "0.0.0.0:8080",
    "127.1",
    "2130706433",
    "[::2]",
    "[::1",
    "",
]
OTHER_ORIGINS = ["null", "https://evil.example", "http://localhost.evil.example", "http://10.0.0.1", "file://", "*", ""]
ROW = [0.5, -0.25, 1, 2]


@pytest.fixture(params=["POST", "GET", "OPTIONS"])
def send(
    request: pytest.FixtureRequest, app: Callable[..., TestClient], saved: Callable[[str], str]
) -> Callable[..., int]:
    """Return a function that sends a request with headers to the function with settings, and returns the status."""

    def send(headers: dict[str, str], **settings: str) -> int:
        client = app(saved("tree_regressor"), **settings)
        body = {"calls": [ROW]} if request.param == "POST" else None
        response = client.request(request.param, "/", headers=headers, json=body)
        if response.status_code == 403:
            assert_error(response, 403, "expected localhost", "ALLOWED_HOSTS")
            assert client.get("/live", headers=headers).status_code == 200
        return 200 if response.status_code == 400 and request.param == "OPTIONS" else response.status_code

    return send


@pytest.mark.parametrize("host", LOCAL)
def test_this_machine(send: Callable[..., int], host: str) -> None:
    """A program or the function's page on this machine is answered, whatever the port."""
    assert send({"host": host}) == 200
    assert send({"host": host, "origin": f"http://{host}"}) == 200


@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_other_host(send: Callable[..., int], host: str) -> None:
    """A request to another name is a 403, as after DNS rebinding, except for probes."""
    assert send({"host": host}) == 403
    assert send({"host": host, "origin": f"http://{host}"}) == 403


@pytest.mark.parametrize("origin", OTHER_ORIGINS)
def test_other_origin(send: Callable[..., int], origin: str) -> None:
    """A request from a page of another host is a 403."""
    assert send({"host": "127.0.0.1:8080", "origin": origin}) == 403


def test_allowed_hosts(send: Callable[..., int]) -> None:
    """ALLOWED_HOSTS adds names, and * allows any."""
    headers = {"host": "Function:8080", "origin": "http://function:8080"}
    assert send(headers) == 403
    assert send(headers, ALLOWED_HOSTS="other.example, function") == 200
    assert send({"host": "evil.example"}, ALLOWED_HOSTS="other.example, function") == 403
    assert send(headers, ALLOWED_HOSTS="*") == 200


def test_cloud_run(send: Callable[..., int]) -> None:
    """On Cloud Run, which checks who calls, any host is answered."""
    assert send({"host": "predict-abc-uc.a.run.app", "origin": "https://evil.example"}, K_SERVICE="predict") == 200


@pytest.mark.parametrize("value", ["function:8080", "http://function", "a b", "a,b/c"])
def test_bad_allowed_hosts(app: Callable[..., TestClient], value: str) -> None:
    """A value of ALLOWED_HOSTS that could never match ends the process with a sentence."""
    with pytest.raises(SystemExit, match=r"ALLOWED_HOSTS is .*expected host names without ports"):
        app("/tmp", ALLOWED_HOSTS=value)
