"""--name, and what the SQL functions do: deploy.sh creates them as the options say, and tells what it leaves."""

from typing import Any

import pytest

from deploy.options import OPTIONS, find_problems, to_plan
from tests.deploy.conftest import Deployment

VALUES = {option.key: option.default for option in OPTIONS}
GIVEN = {**VALUES, "project": "my-project", "region": "us-central1", "dataset": "ds", "model": "gs://bucket/houses"}


@pytest.mark.parametrize(
    ("given", "function"),
    [
        ({}, "predict"),
        ({"name": "houses"}, "houses"),
        ({"name": "Houses_v2"}, "houses-v2"),
        ({"name": "houses", "function": "prices"}, "prices"),
    ],
)
def test_function_follows_name(given: dict[str, str], function: str) -> None:
    """The function is called --function, else --name as Cloud Run allows it, else predict; so is the connection."""
    assert find_problems({**GIVEN, **given}) == []
    plan = to_plan({**GIVEN, **given})
    assert (plan.function, plan.connection, plan.account.partition("@")[0]) == (
        function,
        function,
        f"sql-fn-{function}",
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "my houses"}, "--name is 'my houses'; expected at most 200 letters"),
        ({"name": "_houses"}, "--name _houses makes no name of a Cloud Function; expected --function with"),
        ({"name": "h" * 64}, "makes no name of a Cloud Function"),
        ({"on_null": "skip"}, "--on-null is 'skip'; expected null or pass or error"),
        ({"on_error": "0"}, "--on-error is '0'; expected fail or null"),
    ],
)
def test_problems(given: dict[str, str], said: str) -> None:
    """A name or a setting that isn't allowed is one sentence."""
    [found] = find_problems({**GIVEN, **given})
    assert said in found


@pytest.mark.slow
def test_named_functions(deployment: Deployment, before: dict[str, Any]) -> None:
    """The SQL functions have the name and the settings, a second run changes nothing, and --destroy deletes them."""
    deployment.restore(before)
    named = {"name": "houses", "function": "predict", "on-null": "pass", "on-error": "null"}
    # WSL sets NAME, which is not the option.
    run = deployment.run(environment={"NAME": "LAPTOP-1"}, **named)
    assert (run.status, run.err) == (0, "")
    assert set(deployment.cloud.routines) == {"ds.houses", "ds.houses_row", "ds.houses_info"}
    context = deployment.cloud.routines["ds.houses"]["remoteFunctionOptions"]["userDefinedContext"]
    assert {"function": "predict", "on_null": "pass", "on_error": "null"}.items() <= context.items()
    again = deployment.run(**named)
    assert (again.status, again.changes) == (0, [])
    assert "The SQL functions in ds are up to date" in again.out
    changed = deployment.run(**{**named, "on-null": "error"})
    assert changed.status == 0
    assert not [it for it in changed.changes if "functions" in it]
    assert deployment.run("--destroy", **named).status == 0
    assert deployment.cloud.routines == {}


@pytest.mark.slow
def test_functions_that_explain(deployment: Deployment, before: dict[str, Any]) -> None:
    """Under --on-error json, functions of SQL are created around the remote ones, compared, kept and deleted."""
    deployment.restore(before)
    run = deployment.run(**{"on-error": "json"})
    assert (run.status, run.err) == (0, "")
    assert "match the model's own" in run.out
    remote = {f"ds.{name}{ending}" for name in ("predict", "predict_row") for ending in ("_json", "_parts", "")}
    assert set(deployment.cloud.routines) == {*remote, "ds.model_info"}
    again = deployment.run(**{"on-error": "json"})
    assert (again.status, again.changes) == (0, [])
    assert deployment.run("--destroy", **{"on-error": "json"}).status == 0
    assert deployment.cloud.routines == {}


@pytest.mark.slow
def test_settings_that_the_model_lacks(deployment: Deployment, before: dict[str, Any]) -> None:
    """A class or parameters that the model doesn't have are named before anything is made, all at once."""
    deployment.restore(before)
    run = deployment.run(**{"class": "yes", "params": '{"x": 1}'})
    assert (run.status, run.changes) == (2, [])
    assert "--class is" in run.err
    assert "--params: params has" in run.err
