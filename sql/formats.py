"""The formats of sql.render that consist of several files: dbt, Dataform and Terraform."""

from dataclasses import replace

from serving.model import Model
from sql.calls import calls
from sql.dataform import dataform
from sql.dbt import dbt
from sql.places import check
from sql.reasons import created
from sql.settings import DEFAULT, SqlSettings
from sql.terraform import PLACE, ModelFacts, terraform

AROUND = ("dbt", "dataform")  # formats that call functions, instead of creating them
MULTI_REGIONS = ("us", "eu")


def render_around(
    model: Model, *, project: str, dataset: str, form: str, settings: SqlSettings = DEFAULT
) -> dict[str, str]:
    """Return files of dbt or Dataform by path, which call functions that exist; raise RenderError as render."""
    check(model, {"project": project, "dataset": dataset}, settings)
    called, name = calls(model, settings), settings.name or "predict"
    if form == "dbt":
        return dbt(model, called, project, dataset, name)
    return dataform(called, project, dataset, name)


def render_module(
    model: Model,
    facts: ModelFacts,
    *,
    project: str,
    dataset: str,
    connection: str | None = None,
    max_batching_rows: int | None = None,
    settings: SqlSettings = DEFAULT,
) -> dict[str, str]:
    """Return the files of a Terraform module by path, without the function's source; raise RenderError as render."""
    places = {"project": project, "dataset": dataset}
    check(model, places | ({"connection": connection} if connection else {}), settings)
    variables: dict[str, str | int] = dict(places)
    if model.info.uri.startswith("gs://"):
        variables["model"] = model.info.uri
    if connection:
        location, _, variables["connection"] = connection.partition(".")
        variables["location"] = location.upper() if location in MULTI_REGIONS else location
    if max_batching_rows:
        variables["max_batching_rows"] = max_batching_rows
    if settings.name:
        facts = replace(facts, settings={**facts.settings, "SQL_NAME": settings.name})
    return terraform(created(model, settings, PLACE), facts, variables, settings.service)
