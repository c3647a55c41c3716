"""Errors that say what was wrong, what was expected and what to do.

All of them are `ClickException`s: a command line prints the message to stderr and exits with status 1, a notebook or a
test shows an exception.

    BqlocalError
    ├── QueryError               a statement or its data are wrong
    │   ├── NotSupportedError    BigQuery would run it, bqlocal would answer differently and so does not
    │   └── RemoteFunctionError  a remote function did not answer as BigQuery requires
    └── SourceError              a table cannot be read from its file or DataFrame
"""

import click


class BqlocalError(click.ClickException):
    """Base class of all errors that bqlocal reports to a person."""


class QueryError(BqlocalError):
    """A statement or its data are wrong."""


class NotSupportedError(QueryError):
    """A statement uses GoogleSQL that BigQuery would run and bqlocal would answer differently."""

    def __init__(self, what: str, instead: str = "") -> None:
        super().__init__(f"{what} is not supported by bqlocal{'; ' + instead if instead else ''}.")


class RemoteFunctionError(QueryError):
    """A remote function did not answer as BigQuery requires."""


class SourceError(BqlocalError):
    """A table cannot be read from its file or DataFrame."""


def quantity(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, such as 1 row or 1,000 rows; `plural` is the noun's if an s doesn't make it."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
