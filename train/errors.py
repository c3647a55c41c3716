"""The exception that training reports at the command line.

A message says what was wrong, what was expected and what to do. click prints it to stderr without a traceback and
exits with status 1.
"""

import click


class TrainError(click.ClickException):
    """Training cannot continue, for a reason that the user can remove."""
