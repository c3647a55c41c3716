"""The prompt of `bqlocal sql`: reads statements that end in a semicolon, with the history of earlier sessions."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

FIRST, FURTHER = "sql> ", "...> "
LEAVE = ("exit", "quit")
BANNER = "A statement ends in a semicolon; help says more, exit leaves."
UNFINISHED = "The statement isn't finished: end it with a semicolon, or press Ctrl-C to discard it."
HELP = """\
SELECT ...;   run a statement, over as many lines as it takes up to a semicolon at the end of a line
Ctrl-C        discard the lines typed so far, or interrupt a running query
exit, quit    leave, as does Ctrl-D
Tables come from --table DATASET.TABLE=FILE, remote functions from CREATE FUNCTION or --file; --state keeps both."""


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
    """Yield the text typed up to a semicolon at the end of a line, until `exit`, `quit` or Ctrl-D.

    In a terminal, Ctrl-C discards unfinished lines.
    """
    lines: list[str] = []
    interactive = sys.stdin.isatty()
    if interactive:
        click.echo(BANNER, err=True)
    while True:
        try:
            lines.append(input((FURTHER if lines else FIRST) if interactive else ""))
        except KeyboardInterrupt:
            if not interactive:
                raise
            click.echo(err=True)
            lines = []
            continue
        except EOFError:
            if "".join(lines).strip():
                yield "\n".join(lines)
            return
        word = lines[-1].strip().rstrip("; ").lower()
        if word in LEAVE and not lines[:-1]:
            return
        if word in ("help", "?") and not lines[:-1]:
            click.echo(HELP, err=True)
            lines = []
        elif word in (*LEAVE, "help") and interactive and not lines[-1].rstrip().endswith(";"):
            click.echo(UNFINISHED, err=True)
            lines.pop()
        elif lines[-1].rstrip().endswith(";"):
            yield "\n".join(lines)
            lines = []
        elif not "".join(lines).strip():
            lines = []
