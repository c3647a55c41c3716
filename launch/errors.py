"""The error of everything that is found out before the first change."""

from collections.abc import Sequence
from typing import IO, Any

import click


class Blocked(click.ClickException):
    """Nothing can begin, and nothing was changed: `blockers` has one sentence per reason. Ends with status 2."""

    exit_code = 2

    def __init__(self, blockers: Sequence[str]) -> None:
        super().__init__("\n".join(blockers))
        self.blockers = tuple(blockers)
        context = click.get_current_context(silent=True)  # it has ended when click shows the error
        self._program = context.find_root().info_name if context else ""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print one line per blocker."""
        for blocker in self.blockers:
            click.echo(f"{'deploy.sh' if self._program == './deploy.sh' else 'Error'}: {blocker}", file, err=True)
