"""Starts servers on this machine: finds free ports, waits until they answer, and stops them with all their children.

A process is stopped by the handle that started it, never by name.
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
GRACE_SECONDS = 5.0  # between asking a process to stop and killing it
# As long as the process lives: a cold disk and a busy machine make imports take minutes.
MAX_START_SECONDS = 300.0
POLL_SECONDS = 0.05
MAX_LOG_LINES = 20  # of a server's log in an error


class ProcessError(click.ClickException):
    """A process or port on this machine is not as required; the message says what to do."""


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def check_free(port: int) -> None:
    """Raise ProcessError if a port is in use."""
    with socket.socket() as probe:
        # As servers do: connections of an earlier one in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ProcessError(
                f"Port {port} on {HOST} is in use; choose another one or stop the process that listens on it."
            ) from error


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a process that leads its own session, and its children; a second Ctrl-C does not interrupt this."""
    with _ignore_sigint():
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
        # Children may outlive it. Without any, the group no longer exists.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def exit_on_sigterm() -> None:
    """Make SIGTERM exit this process through all of its `with` blocks, so that nothing is left behind."""
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
    """Run `python -m COMMAND` for the length of the block, which begins once the URL `probe` answers.

    Raises ProcessError when the process exits or does not answer within MAX_START_SECONDS.
    """
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
    deadline = time.monotonic() + MAX_START_SECONDS
    with httpx.Client(trust_env=False) as client:  # creating one takes 30 ms
        while (left := deadline - time.monotonic()) > 0:
            if process.poll() is not None:
                raise ProcessError(f"{name} exited with status {process.returncode}{_log_end(log)}")
            try:
                client.get(probe, timeout=left)
            except httpx.TransportError:
                time.sleep(POLL_SECONDS)
            else:
                return
    raise ProcessError(f"{name} did not answer on {probe} within {MAX_START_SECONDS:.0f} s{_log_end(log)}")


def _log_end(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-MAX_LOG_LINES:]
    return "; the end of its log:\n" + "\n".join(lines) if lines else "; its log is empty."


@contextlib.contextmanager
def _ignore_sigint() -> Iterator[None]:
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # only the main thread may set handlers, and only it receives Ctrl-C
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
