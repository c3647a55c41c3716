"""Runs gcloud, bq and this project's own tools: in parallel to read, one at a time and in bounded time to change.

Each command is the leader of its own session, so ending it also ends what it started. Ctrl-C or SIGTERM ends every
command that still runs.
"""

import json
import os
import re
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from deploy.errors import StepFailed
from deploy.symptoms import known_advice
from launch.processes import end

T = TypeVar("T")

ROOT = Path(__file__).parent.parent
READ_SECONDS = 300.0  # for a command that only reads
MAX_PAUSE = 16.0  # seconds between two tries
CREATED_SECONDS = 60.0  # until a resource that exists, as Google Cloud says when it's created, can be read
CREATED_PAUSE = 4.0  # seconds between two looks for it
REASON_LINES = 6  # of a tool's error

TRANSIENT = r"HTTPError 429|status=\[429\]|RESOURCE_EXHAUSTED|rateLimitExceeded|UNAVAILABLE|Too Many Requests"
# Google Cloud's answer about an account or a grant that it created a moment ago.
SETTLING = r"[Ss]ervice account .* does not exist|INVALID_ARGUMENT: .*does not exist"
# Another change of the same resource is under way, or came first. bq prints an API's message without its status.
CONFLICT = (
    r"subject of a conflict|ALREADY_EXISTS|[Aa]lready [Ee]xists|ABORTED|status=\[4(09|12)\]|HTTPError 4(09|12)"
    r"|(?<![\w.-])409(?![\w-])|(already|still) in progress|[Uu]nable to queue the operation"
    r"|[Cc]oncurrent policy changes|conditionNotMet|pre-?conditions you specified"
)
RETRYABLE = f"{TRANSIENT}|{SETTLING}|{CONFLICT}"
FINAL = r"Cloud Run service .*already exists"  # another one's, which stays
ABSENT = r"HTTPError 404|status=\[404\]|: 404\b|[Nn]ot found|NOT_FOUND|matched no objects"


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        """Whether the command succeeded."""
        return self.status == 0

    @property
    def absent(self) -> bool:
        """Whether the command failed because its resource does not exist."""
        return not self.ok and self.matches(ABSENT)

    def matches(self, pattern: str) -> bool:
        """Tell whether the pattern occurs in what the command printed."""
        return bool(re.search(pattern, f"{self.err}\n{self.out}"))

    def json(self) -> Any:
        """Return the printed JSON; bq prints nothing for an empty list."""
        try:
            return json.loads(self.out or "[]")
        except ValueError as error:
            raise click.ClickException(f"A command printed {self.out[:200]!r}; expected JSON.") from error

    @property
    def reason(self) -> str:
        """The error that the command printed, on one line: from the word ERROR on, else the last line."""
        lines = [line for line in f"{self.err}\n{self.out}".splitlines() if line.strip()]
        starts = (at for at, line in enumerate(lines) if re.search(r"ERROR|[Ee]rror in|Error:", line))
        start = next(starts, len(lines) - 1)
        return " ".join(" ".join(lines[start : start + REASON_LINES]).split()) if lines else f"status {self.status}"


class Commands:
    """Runs commands; `wait` bounds each change in seconds, and a dry run prints the changes instead."""

    def __init__(self, project: str, wait: float, *, dry_run: bool = False) -> None:
        self.project = project
        self.wait = wait
        self.dry_run = dry_run
        self.changes: list[list[str]] = []  # as they ran, or would run
        self.progress = ""  # which step this is, such as [3/11]
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False
        # deploy.sh adds this project to PYTHONPATH; gcloud and bq, which are Python too, must not import from it.
        paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and Path(path) != ROOT]
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}

    def bq(self, *arguments: str) -> list[str]:
        """Return a bq command without its greeting, its questions and the defaults of configuration files."""
        return ["bq", "--quiet", "--headless", f"--project_id={self.project}", "--format=json", *arguments]

    def run(self, command: Sequence[str], stdin: str = "", seconds: float | None = READ_SECONDS) -> Result:
        """Run a command to its end, or end it after so many seconds."""
        with self._lock:
            if self._stopped:
                raise click.Abort
            process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            self._running.add(process)
        late = ""
        try:
            out, err = process.communicate(stdin.encode(), seconds)
        except subprocess.TimeoutExpired:
            end(process)
            out, err = process.communicate()
            late = f"\nError: it did not end within {seconds:.0f} seconds."
        finally:
            if process.poll() is None:
                end(process)
            self._running.discard(process)
        return Result(process.returncode, out.decode(errors="replace"), err.decode(errors="replace") + late)

    def start(self, task: Callable[[], T]) -> Future[T]:
        """Call a function in a thread of its own; a daemon thread, so that it does not outlive Ctrl-C."""
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(task())
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        return future

    def stop(self) -> None:
        """End every command that still runs; none starts afterwards."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            end(process)

    def retry(self, command: Sequence[str], retryable: str, seconds: float, stdin: str = "") -> Result:
        """Run a command again while it fails with an error that matches the pattern, for at most so many seconds."""
        deadline, pause = time.monotonic() + seconds, 1.0
        while True:
            result = self.run(command, stdin, self.wait)
            if (
                result.ok
                or result.matches(FINAL)
                or not result.matches(retryable)
                or time.monotonic() + pause >= deadline
            ):
                return result
            time.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE)

    def say(self, text: str) -> None:
        """Print what a step does or found, after its number."""
        click.echo(f"{self.progress} {text}".lstrip())

    def change(self, step: str, advice: str, command: Sequence[str], retryable: str = RETRYABLE) -> Result:
        """Make one change, or print its command in a dry run. Raise StepFailed with the advice."""
        if self._only_announced(step, command):
            return Result(0, "", "")
        result = self.retry(command, retryable, self.wait)
        if not result.ok:
            raise StepFailed(step, result.reason, known_advice(result.reason) or advice)
        return result

    def create(self, step: str, advice: str, command: Sequence[str], shows: Sequence[str]) -> None:
        """Create a resource as `change` does; one that another run created first, which `shows` finds, will do."""
        if self._only_announced(step, command):
            return
        deadline = time.monotonic() + min(self.wait, CREATED_SECONDS)
        while True:
            result = self.retry(command, f"{TRANSIENT}|{SETTLING}", self.wait)
            if result.ok or self.run(shows).ok:
                return
            if not result.matches(CONFLICT) or time.monotonic() + CREATED_PAUSE >= deadline:
                raise StepFailed(step, result.reason, known_advice(result.reason) or advice)
            time.sleep(CREATED_PAUSE)

    def _only_announced(self, step: str, command: Sequence[str]) -> bool:
        """Print a step before its command runs; tell whether that is all, because the run is dry."""
        self.say(step)
        self.changes.append(list(command))
        if self.dry_run:
            click.echo(f"    {shlex.join(command)}")
        return self.dry_run
