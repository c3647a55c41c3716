"""Whatever the process prints becomes log lines: one JSON object per line, with the request that it belongs to.

Models print, libraries warn, and gunicorn reports its workers. As plain text, each line would be an entry of its own
without a severity, and a stack trace would be twenty of them. functions-framework does part of this when the platform
sets LOG_EXECUTION_ID, but disables the loggers of libraries, and several lines that come in one write lose their
fields; take_over therefore hides that variable from it.
"""

import contextlib
import logging
import sys
import threading
import traceback
from collections.abc import Iterable, MutableMapping
from typing import Any, TextIO, cast

import orjson

from serving import telemetry
from serving.telemetry import log_event

FRAMEWORK_HANDLERS = ("asgi", "wsgi")  # of the root logger, installed under LOG_EXECUTION_ID before main.py is imported


def take_over(environ: MutableMapping[str, str], level: int) -> TextIO:
    """Turn everything printed from now on into log lines of at least this level; return the stream they are written to.

    Call it before the server starts.
    """
    printed = sys.stdout.stream if isinstance(sys.stdout, _Printed) else sys.stdout
    stream = _own_stream(printed)
    telemetry.configure(level, stream)
    sys.stdout = cast(TextIO, _Printed("INFO", printed))
    sys.stderr = cast(TextIO, _Printed("WARNING", printed))
    environ.pop("LOG_EXECUTION_ID", None)
    root = logging.getLogger()
    for handler in [each for each in root.handlers if each.name in FRAMEWORK_HANDLERS or isinstance(each, _Records)]:
        root.removeHandler(handler)
    root.addHandler(_Records())
    for name in ("gunicorn.error", "uvicorn.error"):
        logging.getLogger(name).filters = [_Records().divert]
    return stream


def _own_stream(stream: TextIO) -> TextIO:
    """Return another stream to where the process's own leads; code of a model may close that, or detach its buffer."""
    if stream is not sys.__stdout__:
        return stream
    return open(stream.fileno(), "w", encoding=stream.encoding, errors=stream.errors, closefd=False)


class _Printed:
    """A text stream that logs what is printed to it: each print is one line of the log. It can't be closed.

    Everything else, such as its buffer, is that of the `stream` in whose place it is.
    """

    def __init__(self, severity: str, stream: TextIO) -> None:
        self.stream = stream
        self._severity = severity
        self._unfinished = threading.local()  # the text of a print until its end, which comes in several writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        unfinished = getattr(self._unfinished, "text", "") + text
        self._unfinished.text = "" if text.endswith("\n") else unfinished[-telemetry.TRACE_LIMIT :]
        if text.endswith("\n") and unfinished.strip():
            self._log(unfinished.rstrip())
        return len(text)

    def close(self) -> None:
        pass

    def flush(self) -> None:
        with contextlib.suppress(ValueError):  # closed or detached
            self.stream.flush()

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def _log(self, text: str) -> None:
        """Log a text, or each of its lines if all of them are JSON objects, as those of a structured logger are."""
        try:
            entries = [orjson.loads(line) for line in text.splitlines()]
        except orjson.JSONDecodeError:
            entries = []
        if not entries or not all(type(entry) is dict for entry in entries):
            entries = [{"message": _text(text)}]
        for entry in entries:
            severity = str(entry.pop("severity", self._severity))
            known = type(logging.getLevelName(severity)) is int
            log_event(severity if known else self._severity, **{"message": "", **entry})


class _Records(logging.Handler):
    """Logs the records of libraries."""

    def emit(self, record: logging.LogRecord) -> None:
        severity = logging.getLevelName(10 * min(max(record.levelno // 10, 1), 5))  # a level of its own has no name
        try:
            fields = {"logger": record.name}
            if record.exc_info:
                fields["stack_trace"] = _text("".join(traceback.format_exception(*record.exc_info)))
            log_event(severity, _text(record.getMessage()), **fields)
        except Exception:
            self.handleError(record)

    def divert(self, record: logging.LogRecord) -> bool:
        """Log a record of a logger that this filters, and keep it from that logger's own handlers."""
        self.emit(record)
        return False


def _text(text: str) -> str:
    return telemetry.truncate(text, telemetry.TRACE_LIMIT)
