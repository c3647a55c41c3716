"""The steps that take one model out of a service with several: its SQL goes first, then its entry, then its record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from deploy.deployment import Deployment
from deploy.destroy import delete, sql_deletions
from deploy.function import deploy_function
from deploy.inherited import with_inherited
from deploy.options import OPTIONS
from deploy.service import ServiceModel, requirements_file

# What a removal takes from its own command line; all else follows from the models that stay.
OWN = ("project", "region", "function", "python", "record", "wait")


def remaining_values(values: Mapping[str, str], models: Sequence[ServiceModel]) -> dict[str, str]:
    """Return the options by which the first of the models that stay would be deployed again."""
    first, *others = models
    dataset = first.routines[0].split(".")[-2] if first.routines else values["dataset"]
    found = {
        **{option.key: option.default for option in OPTIONS},
        **{key: values[key] for key in OWN},
        **first.options,
        "dataset": dataset,
        "model": first.uri,
        "name": first.sql_name,
        "follow": str(first.follow or ""),
        "requirements": str(requirements_file(first) or ""),
    }
    return with_inherited(found, first.options, others)


def drop_sql(deployment: Deployment) -> None:
    """Drop the SQL functions of the model that leaves."""
    leaving = deployment.record.model(deployment.leaving)
    for deletion in sql_deletions(leaving.routines if leaving else (), deployment.commands):
        delete(deletion, deployment.commands)


def forget_model(deployment: Deployment) -> None:
    """Take the model from the record, and what the service no longer has."""
    deployment.record_file.update(lambda record: replace(record, models=tuple(record.others(deployment.leaving))))


REMOVAL: tuple[Callable[[Deployment], None], ...] = (drop_sql, deploy_function, forget_model)
