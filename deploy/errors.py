"""The two ways in which a deployment ends early, and how each is printed to stderr."""

from collections.abc import Sequence
from typing import IO, Any

import click


class Blocked(click.ClickException):
    """The deployment cannot start; nothing was changed. Ends with status 2."""

    exit_code = 2

    def __init__(self, blockers: Sequence[str]) -> None:
        super().__init__("\n".join(blockers))
        self.blockers = tuple(blockers)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print one line per blocker."""
        for blocker in self.blockers:
            click.echo(f"deploy.sh: {blocker}", file, err=True)


class StepFailed(click.ClickException):
    """A step failed after the deployment started. Ends with status 1; a later run continues from there."""

    exit_code = 1

    def __init__(self, step: str, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.step = step
        self.reason = reason
        self.advice = advice

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the step, why it failed and what to do next."""
        click.echo(
            f"deploy.sh: failed: {self.step}\n  Why: {self.reason}\n"
            f"  Next: {self.advice} Then run deploy.sh again; it continues from here.",
            file,
            err=True,
        )
