"""The one error of training: a sentence for the person at the command line.

Every message names the value at fault, what was expected and what to do next. click prints it on stderr
without a traceback and exits with status 1.
"""

import click


class TrainError(click.ClickException):
    """Training cannot go on, for a reason that the caller can remove."""


def cause(error: BaseException) -> str:
    """Return in a few words what an error of a library comes down to: the system's own word where there is one."""
    first, seen = str(error), error
    while True:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        following = seen.__cause__ or seen.__context__
        if following is None:
            return " ".join(first.split())[:200].rstrip(".")
        seen = following
