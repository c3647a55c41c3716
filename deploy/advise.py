"""--advise: sizes measured with the model itself, by deploy/sizing, for the options that were not given."""

import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

import click

from deploy.errors import StepFailed
from deploy.gcloud import Commands
from deploy.plan import Plan

STEP = "Measuring the model on this machine, which takes about a minute"


def measured_options(
    plan: Plan, values: Mapping[str, str], given: Collection[str], commands: Commands
) -> dict[str, str]:
    """Print what was measured; return the values of the options that are not in `given`."""
    click.echo(STEP)
    with tempfile.TemporaryDirectory() as folder:
        arguments = [*plan.model_options, f"--output={folder}", f"--instances={plan.max_instances}"]
        result = commands.run([sys.executable, "-m", "deploy.sizing", *arguments], seconds=None)
        if not result.ok:
            raise StepFailed(STEP, result.reason, "Fix this error, or omit --advise.")
        lines = (Path(folder) / "options").read_text().splitlines()
    measured = {}
    for line in lines:
        name, value, reason = line.split(" ", 2)
        key = name.replace("-", "_")
        if key in given:
            click.echo(f"  --{name} {values[key]}, as given; measured: {value}, {reason}")
        else:
            click.echo(f"  --{name} {value}: {reason}")
            measured[key] = value
    for line in result.out.splitlines():
        if line.startswith("Expected"):
            click.echo(line)
    return measured
