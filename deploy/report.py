"""--json: one object on stdout about how a run ended, for programs that call deploy.sh; progress goes to stderr."""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator
from typing import Any

import click

from deploy.deployment import Deployment
from deploy.errors import StepFailed
from deploy.gcloud import Commands
from deploy.plan import Plan
from launch.errors import Blocked
from serving.errors import describe_error


@dataclasses.dataclass
class Report:
    """What is known about a run so far; `outcome` is that of a run that ends here."""

    outcome: str = "failed"
    plan: Plan | None = None
    commands: Commands | None = None
    deployment: Deployment | None = None
    problems: list[str] = dataclasses.field(default_factory=list)

    def to_json(self) -> str:
        """Return the object, on one line."""
        changes = self.commands.changes if self.commands else []
        found = {
            "outcome": self.outcome,
            "plan": _plan(self.plan) if self.plan else None,
            "commands": changes,
            "result": self._result(),
            "problems": self.problems,
        }
        return json.dumps(found, default=str)

    def _result(self) -> dict[str, Any] | None:
        """Return what a deployment made; in a dry run or after a failure, there is no result."""
        if self.outcome != "deployed" or not self.deployment:
            return None
        plan, model = self.deployment.plan, self.deployment.model
        return {
            "function_url": self.deployment.function_url,
            "models": [it.name for it in self.deployment.models],
            "sql_functions": [f"{plan.project}.{plan.dataset}.{name}" for name in model.functions],
            "predictions_compared": len(model.predictions),
        }


def _plan(plan: Plan) -> dict[str, Any]:
    names = {"account": plan.account, "served_uri": plan.served_uri, "record_uri": plan.record_uri}
    return {**dataclasses.asdict(plan), **names}


@contextlib.contextmanager
def printed(report: Report) -> Iterator[None]:
    """Print the report when the run ends, however it does; until then, what is printed goes to stderr."""
    stdout = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        try:
            yield
        except Blocked as blocked:
            report.outcome, report.problems = "blocked", list(blocked.blockers)
            raise
        except StepFailed as failure:
            report.outcome = "failed"
            report.problems = [f"{failure.step}: {failure.reason} {failure.advice}"]
            raise
        except (SystemExit, KeyboardInterrupt, click.Abort):
            report.outcome, report.problems = "failed", ["The run was interrupted."]
            raise
        except Exception as error:
            report.outcome = "failed"
            report.problems = [error.message if isinstance(error, click.ClickException) else describe_error(error)]
            raise
        finally:
            click.echo(report.to_json(), stdout)
