"""`python -m local` as a person uses it."""

import signal
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from bqlocal import cli
from local.__main__ import main


@pytest.fixture(autouse=True)
def sigterm() -> Iterator[None]:
    """Restore the handler of SIGTERM, which the command sets."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_commands_of_bqlocal() -> None:
    """`sql` and `lint` are bqlocal's own commands."""
    assert main.commands["sql"] is cli.sql
    assert main.commands["lint"] is cli.lint
    assert CliRunner().invoke(main, ["sql", "SELECT 1 AS x", "--format", "csv"]).stdout == "x\n1\n"


def test_up_without_model() -> None:
    """`up` with a model that does not exist is one line on stderr and exit status 2."""
    done = CliRunner().invoke(main, ["up", "--model", "nowhere"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith('Error: The model URI is "nowhere", but there is no such folder; expected gs://')
    assert done.stderr.count("\n") == 1
