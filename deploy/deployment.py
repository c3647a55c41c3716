"""A deployment under way: what is missing, what is recorded, and what the steps learned from creating it."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from deploy.gcloud import Commands
from deploy.missing import missing
from deploy.observation import Observation
from deploy.plan import Plan
from deploy.planned import examined, planned_models
from deploy.record import Entry, Record
from deploy.record_file import RecordFile
from deploy.service import ServiceModel


class Deployment:
    """What the steps share. In a dry run, placeholders stand for what Google Cloud would choose."""

    def __init__(self, plan: Plan, seen: Observation, commands: Commands, folder: Path, leaving: str = "") -> None:
        self.plan = plan
        self.leaving = leaving  # the model that the service loses; the plan is that of one that stays
        self.seen = seen
        assert seen.model  # without a report there are problems, which end the deployment before
        self.model = seen.model
        self.commands = commands
        self.folder = folder  # for temporary files
        self.record_file = RecordFile(seen.found, plan.record_uri, plan.dataset_id, commands, folder)
        known = seen.record.others(leaving)
        self.models = examined(known, seen.model) if leaving else planned_models(plan, seen.model, known)
        self.location = seen.dataset.location if seen.dataset else plan.new_location
        self.connection_id = plan.connection_id(self.location)
        self.function_url = seen.function.url if seen.function else "https://endpoint-of-the-function"
        self.source_hash = ""  # of the function, once it's deployed
        self.caller = seen.connection.account if seen.connection else "account-of-the-connection"
        self.missing = tuple(missing(plan, seen))

    @property
    def record(self) -> Record:
        """What is recorded now."""
        return self.record_file.record

    @property
    def entry(self) -> ServiceModel:
        """The model of this run, as the record has it."""
        found = self.record.model(self.plan.model_name)
        return found or next(it for it in self.models if it.name == self.plan.model_name)

    def forget(self, *entries: Entry) -> None:
        """Remove what is no longer there from the record."""
        self.record_file.update(lambda record: record.remove(entries))

    def remember_routines(self, names: Iterable[str]) -> None:
        """Record SQL functions of the plan's dataset before they are created."""
        full = [f"{self.plan.dataset_id}.{name}" for name in names]
        self._change(lambda it: replace(it, routines=tuple(dict.fromkeys((*it.routines, *full)))))

    def remember_sql(self, sql_hash: str) -> None:
        """Record what the SQL functions in the plan's dataset were registered with."""
        self._change(lambda it: replace(it, sql={**it.sql, self.plan.dataset_id: sql_hash}))

    def _change(self, change: Callable[[ServiceModel], ServiceModel]) -> None:
        """Record what this run's model has now."""
        name = self.plan.model_name
        self.record_file.update(lambda record: record.with_model(change(record.model(name) or self.entry)))
