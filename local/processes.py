"""What starting a server on this machine needs: a free port, and an end that takes the children along.

The rule: everything is ended by the handle that started it, never by name.
"""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator

from local.errors import ProcessError

HOST = "127.0.0.1"
GRACE = 5.0  # seconds between asking a process to end and ending it


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def check_free(port: int) -> None:
    """Say so, in one sentence, when a port is taken."""
    with socket.socket() as probe:
        # As a server would: connections of an earlier one that still wait for their end do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ProcessError(
                f"Port {port} on {HOST} is in use; choose another one or end what listens there."
            ) from error


def end(process: subprocess.Popen[bytes], ask: signal.Signals = signal.SIGTERM) -> None:
    """End a process that leads its own session, and what it started; a second Ctrl-C does not stop this."""
    with _uninterrupted():
        process.send_signal(ask)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        # What it started may outlive it; where nothing did, the group is gone.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # only the main thread may, and only it receives Ctrl-C
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
