"""Where the files of a format go: into a folder, or one after the other to stdout."""

from collections.abc import Mapping
from pathlib import Path

import click

from launch import kept

COMMENTS = {".js": "//", ".sql": "--", ".sqlx": "--", ".tf": "#", ".tfvars": "#", ".yml": "#"}


class OutputError(click.ClickException):
    """A folder can't be written; the message says why."""


def joined(files: Mapping[str, str]) -> str:
    """Return the texts of files by path, each under a comment with its path if there are several."""
    if len(files) == 1:
        return "".join(files.values())
    return "\n".join(f"{COMMENTS[Path(path).suffix]} {path}\n{text}" for path, text in files.items())


def write(files: Mapping[str, str], folder: Path) -> None:
    """Write files by path below a folder, each completely or not at all; raise OutputError."""
    try:
        for path, text in files.items():
            kept.write(folder / path, text)
    except OSError as error:
        raise OutputError(f"--output {str(folder)!r} cannot be written: {error.strerror}.") from error
