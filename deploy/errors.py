"""How a deployment that has begun ends early, and how that is printed to stderr."""

from typing import IO, Any

import click


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


class Superseded(Exception):
    """Another run has changed the models of the service, so this one has to start over from what is there."""
