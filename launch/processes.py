"""What starting a server on this machine needs: a free port, and an end that takes the children along.

The rule: everything is ended by the handle that started it, never by name.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import httpx

HOST = "127.0.0.1"
GRACE = 5.0  # seconds between asking a process to end and ending it
STARTS_WITHIN = 60.0  # seconds, imports of a cold disk included
TAIL = 20  # lines of the log in an error
_POLL = 0.05  # seconds


class ProcessError(click.ClickException):
    """A process or a port on this machine is not as needed; the message says what to do."""


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


def ended_by_sigterm() -> None:
    """Have this process leave through every `with` block when it is asked to end, so that nothing stays behind."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@contextlib.contextmanager
def server(
    name: str,
    command: list[str],
    probe: str,
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    python: str = sys.executable,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server, `python -m` COMMAND, for the length of the block, which begins once the URL `probe` answers."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [python, "-m", *command],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        _wait(name, process, probe, log)
        yield process
    finally:
        end(process)


def _wait(name: str, process: subprocess.Popen[bytes], probe: str, log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    with httpx.Client(trust_env=False, timeout=STARTS_WITHIN) as client:  # creating one takes 30 ms
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise ProcessError(f"{name} ended with status {process.returncode}{_tail(log)}")
            try:
                client.get(probe)
            except httpx.TransportError:
                time.sleep(_POLL)
            else:
                return
    raise ProcessError(f"{name} does not answer on {probe} after {STARTS_WITHIN:.0f} s{_tail(log)}")


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-TAIL:]
    return "; the end of its log:\n" + "\n".join(lines) if lines else "; its log is empty."


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
