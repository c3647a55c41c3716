"""What the tests of launch/ share: a remote function that echoes, and a look at ports."""

import socket
from pathlib import Path

from launch.processes import HOST

ECHO = Path(__file__).parent / "handlers" / "echo"


def listens(port: int) -> bool:
    """Return whether anything listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
