"""What a person reads when something here does not work.

Every message is one sentence or two: the value, what was expected, what to do. All of them are
`ClickException`s, so that a command line prints the sentence on stderr and exits with status 1, and a
notebook shows it as an exception.

    LocalError
    ├── QueryError               the statement or its data are at fault
    │   ├── NotSupportedError    GoogleSQL that is refused here, by name, rather than answered wrongly
    │   └── RemoteFunctionError  a remote function did not answer as BigQuery demands
    └── SourceError              a table cannot be read from its file or frame
"""

import click


class LocalError(click.ClickException):
    """Anything that this folder reports to a person."""


class QueryError(LocalError):
    """The statement or its data are at fault."""


class NotSupportedError(QueryError):
    """GoogleSQL that BigQuery would run and that is refused here."""

    def __init__(self, what: str, instead: str = "") -> None:
        super().__init__(f"{what} is not supported on this machine{'; ' + instead if instead else ''}.")


class RemoteFunctionError(QueryError):
    """A remote function did not answer as BigQuery demands."""


class SourceError(LocalError):
    """A table cannot be read from its file or frame."""
