"""The models of one service: what the function reads of them, which options they share, and what is refused."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from deploy.inherited import given_options, with_inherited
from deploy.observation import Function, MemberReport, Policy
from deploy.options import OPTIONS, find_problems, to_plan
from deploy.plan import Plan
from deploy.planned import planned_models, planned_record
from deploy.record import Entry, Record
from deploy.record_file import Found
from deploy.service import ServiceModel, listed_name, listing, only_model, variables
from deploy.service_problems import list_problems, service_problems
from serving import functions, model_list
from tests.deploy.observed import MODEL, READY, observation

GIVEN = {
    "project": "my-project",
    "region": "us-central1",
    "dataset": "ds",
    "model": "gs://models/tree",
    "function": "f",
}
VALUES = {**{option.key: option.default for option in OPTIONS}, **GIVEN}
FIRST = ServiceModel(
    "", "gs://models/tree", "a" * 64, default=True, routines=("my-project.ds.predict", "my-project.ds.predict_row")
)
HOUSES = ServiceModel("houses", "gs://models/houses", "b" * 64, routines=("my-project.ds.houses",))
CITIES = ServiceModel("cities", "models:/cities@champion", follow=60, registry="https://mlflow.example.com")
MEMBERS = {name: MemberReport("b" * 64, "on", (), 0) for name in ("predict-model", "houses", "cities")}
REPORT = replace(MODEL, members=MEMBERS, digest="c" * 64, functions=("cities",))
ACCOUNT = "sql-fn-f@my-project.iam.gserviceaccount.com"
FUNCTION = Function("ACTIVE", "0" * 40, "https://f", ACCOUNT, {"MODELS": "models.yaml"}, Policy({}))


def plan(**given: str) -> Plan:
    """Return the plan for these options, which have no problems."""
    values = {**VALUES, **given}
    assert find_problems(values) == []
    return to_plan(values)


def test_record_of_models() -> None:
    """A record is read as it was written, and keeps each model's SQL functions."""
    model = replace(HOUSES, options={"memory": "4Gi"}, sql={"my-project.ds": "f" * 40}, requirements="numpy\n")
    record = Record((Entry("function", "f"),), (FIRST, model, CITIES))
    assert Record.parse(str(record), "my-project.ds", "models") == record
    assert record.routines == [*FIRST.routines, *HOUSES.routines]
    assert record.serving([replace(HOUSES, digest="d" * 64, routines=())]).model("houses").routines == HOUSES.routines  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("sql_name", "name"),
    [("", "predict-model"), ("predict", "predict-model"), ("houses", "houses"), ("live", "live-model")],
)
def test_listed_name(sql_name: str, name: str) -> None:
    """A model is called as --name says, unless that is a path of the service."""
    assert listed_name(sql_name) == name


def test_one_model_has_no_list() -> None:
    """A model alone is named by the variables, with or without a digest, until there is a second one."""
    assert variables([FIRST])["MODEL_URI"] == FIRST.uri
    assert variables([FIRST])["MODELS"] == ""
    assert only_model([HOUSES]) is None  # its SQL functions name it
    both = variables([FIRST, CITIES])
    assert {name: value for name, value in both.items() if value} == {
        "MODELS": "models.yaml", "MLFLOW_TRACKING_URI": "https://mlflow.example.com"
    }  # fmt: skip


def test_listing() -> None:
    """The function reads the list as it was meant, the settings of each model included."""
    own = replace(HOUSES, plan="off", options={"update_env_vars": "MODEL_THREADS=2,ROWS_DEPEND=allow,LOG_LEVEL=DEBUG"})
    entries, faults = model_list.parse(yaml.safe_load(listing([FIRST, own, CITIES])), functions.names())
    assert faults == []
    first, houses, cities = entries
    assert (first.default, first.digest, houses.default) == (True, "a" * 64, False)
    assert (houses.threads, houses.rows_depend, houses.plan) == (2, "allow", "off")
    assert (cities.digest, cities.refresh_seconds, cities.uri) == (None, 60, CITIES.uri)


def test_inherited_options() -> None:
    """A run keeps the other models' options of the service, except for those that it gives itself."""
    first = replace(FIRST, options={"memory": "4Gi", "update_env_vars": "LOG_LEVEL=DEBUG,MODEL_THREADS=1"})
    second = replace(HOUSES, options={"memory": "8Gi", "cpu": "2", "connection": "c"})
    values = {**VALUES, "cpu": "4", "update_env_vars": "ALLOWED_HOSTS=a"}
    found = with_inherited(values, {"cpu", "update_env_vars"}, [first, second])
    assert (found["memory"], found["cpu"], found["connection"], found["timeout"]) == ("8Gi", "4", "c", "300")
    assert found["update_env_vars"] == "LOG_LEVEL=DEBUG,ALLOWED_HOSTS=a"
    assert given_options(values, {"cpu", "model", "update_env_vars"}) == {
        "cpu": "4", "update_env_vars": "ALLOWED_HOSTS=a"
    }  # fmt: skip


def test_models_of_a_run() -> None:
    """A run adds its model or replaces the one of its name, leaves the others, and the first stays the default."""
    added = planned_models(plan(name="cities"), REPORT, [FIRST, HOUSES])
    assert [it.name for it in added] == ["predict-model", "houses", "cities"]
    assert added[:2] == (FIRST, HOUSES)
    assert [it.default for it in added] == [True, False, False]
    replaced = planned_models(plan(name="", model="gs://models/new"), REPORT, [FIRST, HOUSES])
    assert replaced == (replace(FIRST, uri="gs://models/new", digest="c" * 64), HOUSES)
    assert planned_models(plan(name="houses"), REPORT, [])[0].default
    assert not planned_models(plan(name="houses", follow="60"), REPORT, [])[0].digest


def test_record_of_earlier_versions() -> None:
    """The SQL functions that an earlier version recorded become those of their model; another one is refused."""
    early = Record((Entry("routine", "my-project.ds.predict"), Entry("routine", "my-project.ds.model_info")))
    seen = observation(found=Found(early, READY.found.uri, 1), model=REPORT)
    record = planned_record(plan(), seen, early)
    assert record.names("routine") == []
    assert record.models[0].routines == ("my-project.ds.predict", "my-project.ds.model_info")
    assert list(service_problems(plan(), seen)) == []
    [problem] = service_problems(plan(name="houses"), seen)
    assert "does not say which model answers ds.predict: run deploy.sh for that model once more" in problem


@pytest.mark.parametrize(
    ("given", "changes", "said"),
    [
        ({"name": "houses"}, {"digest": "b" * 64}, ""),
        ({"name": "cities", "service_account": "reader"}, {}, "but f runs as sql-fn-f@my-project"),
        ({"name": "cities"}, {"functions": ("houses",)}, "ds.houses is a SQL function of the model houses: choose another"),
        ({"name": "cities"}, {"members": {**MEMBERS, "houses": MemberReport("e" * 64, "on", (), 0)}}, "The model houses at gs://models/houses has changed"),
    ],
)  # fmt: skip
def test_problems(given: dict[str, str], changes: dict[str, Any], said: str) -> None:
    """What would break another model of the service is refused, in a sentence that names it."""
    first = replace(FIRST, digest="b" * 64)
    seen = observation(
        found=Found(Record((), (first, HOUSES)), READY.found.uri, 1),
        model=replace(REPORT, **changes),
        function=FUNCTION,
    )
    found = list(service_problems(plan(**given), seen))
    assert len(found) == bool(said)
    assert all(said in it for it in found)


def test_lost_record() -> None:
    """A function that serves something else isn't replaced because its record wasn't found."""
    seen = observation(found=Found(), function=FUNCTION, model=REPORT)
    [problem] = service_problems(plan(), seen)
    assert problem.startswith("The function f serves several models, but its record was not found: name the folder")


def test_names_in_a_list() -> None:
    """A name that no list can have is refused once there is one."""
    assert list(list_problems(plan(name="h" * 64), [])) == []
    [problem] = list_problems(plan(name="h" * 64), [FIRST])
    assert "doesn't fit into a path" in problem
    assert [it.name for it in Record((), (FIRST, HOUSES)).others(plan(name="houses").model_name)] == ["predict-model"]
