"""The prompt of `bqlocal sql`: reads statements that end in a semicolon, with the history of earlier sessions."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

FIRST, FURTHER = "sql> ", "...> "


@contextlib.contextmanager
def history() -> Iterator[None]:
    """Keep the lines typed in a terminal, where the platform has readline."""
    try:
        import readline
    except ImportError:
        readline = None  # type: ignore[assignment]
    if readline is None or not sys.stdin.isatty():
        yield
        return
    file = Path(os.environ.get("XDG_STATE_HOME", "~/.local/state")).expanduser() / "bqlocal_history"
    with contextlib.suppress(OSError):
        readline.read_history_file(file)
    yield
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        readline.write_history_file(file)


def statements() -> Iterator[str]:
    """Yield the text typed up to a semicolon at the end of a line, until Ctrl-D; Ctrl-C discards unfinished lines."""
    lines: list[str] = []
    while True:
        try:
            lines.append(input((FURTHER if lines else FIRST) if sys.stdin.isatty() else ""))
        except KeyboardInterrupt:
            click.echo(err=True)
            lines = []
            continue
        except EOFError:
            if "".join(lines).strip():
                yield "\n".join(lines)
            return
        if lines[-1].rstrip().endswith(";"):
            yield "\n".join(lines)
            lines = []
        elif not "".join(lines).strip():
            lines = []
