"""What --help says of every command: an example that starts as the user types it, and a text for every option."""

from importlib import import_module

import click
import pytest
from click.testing import CliRunner

PROGRAMS = {
    "./deploy.sh": "deploy.__main__",
    "bqlocal": "bqlocal.cli",
    "python -m benchmarks": "benchmarks.__main__",
    "python -m benchmarks.against": "benchmarks.against",
    "python -m deploy.model": "deploy.model",
    "python -m deploy.sizing": "deploy.sizing.__main__",
    "python -m loading.publish": "loading.publish",
    "python -m local": "local.__main__",
    "python -m sql.render": "sql.render",
    "python -m train": "train.__main__",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_help(program: str) -> None:
    """--help has an example of this very command, and a text for each option; so has that of each command in a group."""
    main = import_module(PROGRAMS[program]).main
    for name, command in {"": main, **getattr(main, "commands", {})}.items():
        arguments = [name] if name else []
        done = CliRunner().invoke(main, [*arguments, "--help"], prog_name=program)
        assert done.exit_code == 0
        assert " ".join([program, *arguments]) in done.stdout.partition("Example")[2]
        assert [it.name for it in command.params if isinstance(it, click.Option) and not it.help] == []
