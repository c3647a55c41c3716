"""The one error of training: a sentence for the person at the command line.

Every message names the value at fault, what was expected and what to do next. click prints it on stderr
without a traceback and exits with status 1.
"""

import click


class TrainError(click.ClickException):
    """Training cannot go on, for a reason that the caller can remove."""
