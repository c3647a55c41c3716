"""One run, from the options to a deployment, or to the deletion of one model or of everything.

A run that finds that another one has changed the service meanwhile starts over from what is there.
"""

import os
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from deploy.advise import measured_options
from deploy.deployment import Deployment
from deploy.destroy import destroy
from deploy.errors import StepFailed, Superseded
from deploy.gcloud import Commands
from deploy.inherited import given_options, inherited, with_inherited
from deploy.observation import Observation
from deploy.options import find_problems, to_plan
from deploy.plan import Plan
from deploy.preflight import blockers, memory_blockers, permission_notes, runtime_notes
from deploy.reading import Standing, look, observe
from deploy.registry import look_up
from deploy.removal import REMOVAL, remaining_values
from deploy.report import Report
from deploy.service_problems import list_problems
from deploy.steps import STEPS
from deploy.unmade import forget_unmade
from launch.errors import Blocked
from launch.registry import Registered

TRIES = 10  # of a run that others supersede
Steps = Sequence[Callable[[Deployment], None]]


@dataclass
class Run:
    """What the command line says: the value of every option by its key, and which of them were given."""

    values: Mapping[str, str]
    given: Collection[str]
    registered: Registered | None  # what the registry says about --model
    commands: Commands
    report: Report
    advise: bool

    def deploy(self) -> None:
        """Deploy the model."""
        self._until_settled(self._deploy)
        self.report.outcome = "deployed"

    def destroy(self) -> None:
        """Delete what the record lists, or what it lists of one of several models."""
        self._until_settled(self._destroy)
        self.report.outcome = "destroyed"

    def _until_settled(self, action: Callable[[], None]) -> None:
        for _ in range(TRIES):
            self.commands.progress = ""
            try:
                action()
                return
            except Superseded:
                click.echo("Another run has changed the service meanwhile; starting over from what is there now")
        raise StepFailed("Deploying", "other runs change the service again and again.", "Wait until they have ended.")

    def _deploy(self) -> None:
        plan = self._planned(self.values)
        click.echo(f"Checking {plan.project}, {plan.region} and the model")
        standing = look(plan, self.commands)
        others = standing.found.record.others(plan.model_name)
        values = with_inherited(self.values, self.given, others)
        kept = inherited(values, self.values)
        values = self._with_record(values, plan, standing) if others else values
        plan = self._planned(values, given_options(self.values, self.given))
        stop_on([*find_problems(values), *list_problems(plan, others)])
        seen = observe(plan, self.commands, standing, others)
        stop_on([*blockers(plan, seen), *(() if self.advise else memory_blockers(plan, seen))])
        for key, value in kept.items():
            click.echo(f"  --{key.replace('_', '-')} {value}, as the other models of {plan.function} have it")
        for note in (*(seen.model.notes if seen.model else ()), *runtime_notes(seen), *permission_notes(plan, seen)):
            click.echo(f"  {note}")
        if self.advise:
            measured = measured_options(plan, values, {*self.given, *kept}, self.commands)
            stop_on(find_problems({**values, **measured}))
            options = given_options({**self.values, **measured}, {*self.given, *measured})
            plan = self._planned({**values, **measured}, options)
            stop_on(memory_blockers(plan, seen))
        self.report.deployment = self._take(STEPS, plan, seen)

    def _destroy(self) -> None:
        plan = self._planned(self.values)
        standing = look(plan, self.commands)
        standing.function.result()
        stop_on(standing.problems)
        record = standing.found.record
        leaving = record.model(plan.model_name)
        others = record.others(plan.model_name)
        if not self.values["name"] or not others:
            destroy(plan, standing.found, self.commands)
        elif not leaving:
            names = ", ".join(it.name for it in others)
            click.echo(f"There is nothing to delete: {plan.function} has no model {plan.model_name}; it has {names}.")
        else:
            self._remove(plan, standing)

    def _remove(self, plan: Plan, standing: Standing) -> None:
        """Delete one of several models; what remains is deployed as its first model says."""
        others = standing.found.record.others(plan.model_name)
        own = {**self.values, "function": plan.function}
        values = self._with_record(remaining_values(own, others), plan, standing)
        if others[0].registry:
            os.environ["MLFLOW_TRACKING_URI"] = others[0].registry
        remaining = to_plan(values, look_up(values), others[0].options)
        click.echo(f"Checking {plan.project}, {plan.region} and the models that stay")
        seen = observe(remaining, self.commands, standing, others[1:])
        stop_on([*blockers(remaining, seen), *memory_blockers(remaining, seen)])
        self._take(REMOVAL, remaining, seen, leaving=plan.model_name)
        if not self.commands.dry_run:
            click.echo(f"{plan.model_name} is deleted; {', '.join(it.name for it in others)} and all files stay.")

    def _planned(self, values: Mapping[str, str], options: Mapping[str, str] | None = None) -> Plan:
        self.report.plan = to_plan(values, self.registered, options)
        return self.report.plan

    def _with_record(self, values: Mapping[str, str], plan: Plan, standing: Standing) -> dict[str, str]:
        """Return the values with the record at its place: that of a service doesn't move with one of its models."""
        if self.values["record"] or not standing.found.uri:
            return dict(values)
        return {**values, "record": standing.found.uri.removesuffix(plan.record_in(""))}

    def _take(self, steps: Steps, plan: Plan, seen: Observation, leaving: str = "") -> Deployment:
        """Take every step, each with its number."""
        with tempfile.TemporaryDirectory() as folder:
            deployment = Deployment(plan, seen, self.commands, Path(folder), leaving)
            for number, step in enumerate(steps, 1):
                self.commands.progress = f"[{number}/{len(steps)}]"
                try:
                    step(deployment)
                except StepFailed:
                    forget_unmade(deployment)
                    raise
        return deployment


def stop_on(problems: Sequence[str]) -> None:
    """Raise Blocked if there are problems."""
    if problems:
        raise Blocked(problems)
