"""The command line behind deploy.sh: from the options to a deployment, or to the deletion of one."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
from click.core import ParameterSource

from deploy.gcloud import Commands
from deploy.option import Option
from deploy.options import OPTIONS, find_problems, to_plan
from deploy.preflight import missing_tools
from deploy.registry import fetched, look_up
from deploy.report import Report, printed
from deploy.run import Run, stop_on

INTERRUPTED = 130  # the exit status after Ctrl-C


def _add_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(OPTIONS):
        command = _click_option(option)(command)
    return command


def _click_option(option: Option) -> Callable[..., Any]:
    return click.option(
        f"--{option.name}",
        default=() if option.repeatable else option.default,
        envvar=option.variable,
        help=option.meaning,
        metavar=option.example,
        show_default=bool(option.default),
        show_envvar=True,
        callback=_joined if option.repeatable else None,
        multiple=option.repeatable,
        # An option without its value is reported together with all other problems.
        is_flag=False,
        flag_value="",
    )


def _joined(context: click.Context, option: click.Parameter, values: Sequence[str]) -> str:
    """Return the values of a repeatable option, which add to those of its environment variable."""
    if context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE:
        values = [os.environ.get(str(option.envvar), ""), *values]
    return " ".join(" ".join(values).split())


@click.command(context_settings={"ignore_unknown_options": True, "max_content_width": 120})
@_add_options
@click.option("--advise", is_flag=True, help="Measure the model on this machine first and set the sizes not given.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object about the run; progress goes to stderr.")
@click.option("--dry-run", is_flag=True, help="Print every command and change nothing.")
@click.option("--destroy", "destroys", is_flag=True, help="Delete what deploy.sh created with the same options.")
@click.argument("unknown", nargs=-1, type=click.UNPROCESSED, metavar="")
@click.pass_context
def main(
    context: click.Context,
    /,
    advise: bool,
    as_json: bool,
    dry_run: bool,
    destroys: bool,
    unknown: tuple[str, ...],
    **values: str,
) -> None:
    """Deploy an MLflow model as SQL functions in BigQuery.

    \b
    Example:
      ./deploy.sh --project my-project --region us-central1 --dataset ds \\
        --model gs://my-bucket/houses
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(INTERRUPTED))
    given = {key for key in values if context.get_parameter_source(key) is not ParameterSource.DEFAULT}
    report = Report()
    with printed(report) if as_json else contextlib.nullcontext():
        unexpected = [f"There is no option {text}; see ./deploy.sh --help." for text in unknown]
        without_value = {key for key in given if not values[key]}
        stop_on([*unexpected, *find_problems(values, without_value)])
        stop_on(missing_tools())
        registered = look_up(values)
        if registered and not destroys:
            registered = fetched(registered)
        plan = report.plan = to_plan(values, registered)
        commands = report.commands = Commands(plan.project, plan.wait, dry_run=dry_run)
        run = Run(values, given, registered, commands, report, advise)
        try:
            if destroys:
                run.destroy()
            else:
                run.deploy()
        finally:
            commands.stop()
        if dry_run:
            report.outcome = "planned"


if __name__ == "__main__":
    main(prog_name="./deploy.sh")
