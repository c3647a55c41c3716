"""--read means the same in each command that reads files."""

import click

from bqlocal.cli import sql
from train.__main__ import main


def test_help_is_the_same() -> None:
    """Training, whose imports come late, has a copy of bqlocal's help of the option."""
    texts = {
        param.help
        for command in (sql, main)
        for param in command.params
        if isinstance(param, click.Option) and "--read" in param.opts
    }
    assert len(texts) == 1
