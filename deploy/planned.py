"""What a run makes of the service: its models, of which this run's is new, replaced or the same, and its record."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deploy.missing import missing
from deploy.observation import ModelReport, Observation
from deploy.plan import Plan
from deploy.record import Record
from deploy.service import ServiceModel
from loading.mlmodel import requirements


def planned_models(plan: Plan, model: ModelReport, known: Sequence[ServiceModel]) -> tuple[ServiceModel, ...]:
    """Return the models of the service with the plan's; `known` are those of the record.

    The first one of a service is its default, so that SQL made for it alone keeps answering.
    """
    before = next((it for it in known if it.name == plan.model_name), None)
    this = ServiceModel(
        sql_name=plan.sql.name,
        uri=plan.served_uri,
        digest="" if plan.follow else model.digest,
        version=plan.model_version,
        follow=plan.follow,
        registry=plan.followed.registry if plan.followed else "",
        default=before.default if before else not known,
        requirements=_text(plan.requirements) if plan.requirements else "",
        options=plan.service_options,
        routines=before.routines if before else (),
        sql=before.sql if before else {},
    )
    kept = [this if it is before else it for it in known]
    return examined(kept if before else [*kept, this], model)


def examined(models: Sequence[ServiceModel], report: ModelReport) -> tuple[ServiceModel, ...]:
    """Return the models of a service as they were examined in the packages of all of them; one that leaves was not."""
    members = report.members
    return tuple(replace(it, plan=members[it.name].plan) if it.name in members else it for it in models)


def _text(file: Path) -> str:
    return "".join(f"{line}\n" for line in requirements(file.parent, file.name))


def planned_record(plan: Plan, seen: Observation, record: Record) -> Record:
    """Return a record with everything that a run is going to make, except for SQL functions."""
    record = record.add(missing(plan, seen))
    if not seen.model:
        return record
    record = record.serving(planned_models(plan, seen.model, record.models))
    return record.adopted if record.names("routine") else record
