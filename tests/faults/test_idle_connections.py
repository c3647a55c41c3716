"""Connections that the platform keeps open between requests."""

import http.client
import select

import pytest

from launch.function import Function


@pytest.mark.check
def test_idle_connection_stays_open() -> None:
    """The function leaves it to the platform to close an idle connection: gunicorn's own limit is 2 seconds."""
    with Function("") as function:
        connection = http.client.HTTPConnection("127.0.0.1", function.port, timeout=60)
        for _ in range(2):
            connection.request("GET", "/live")
            reply = connection.getresponse()
            assert (reply.status, len(reply.read()) > 0) == (200, True)
            closed, _, _ = select.select([connection.sock], [], [], 3)
            assert closed == []
        connection.close()
