"""The exceptions that training reports at the command line.

A message says what was wrong, what was expected and what to do. click prints it to stderr without a traceback.
"""

import click


class TrainError(click.ClickException):
    """Training cannot continue, for a reason that the user can remove; exits with status 1."""


class OptionError(TrainError):
    """An option can't be used, which shows before anything is made; status 2."""

    exit_code = 2


class DataError(OptionError):
    """The data or an option for reading them can't be used."""
