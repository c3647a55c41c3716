"""The Terraform that render writes is well-formed and says what the DDL says."""

import re
import shutil
import subprocess
from collections.abc import Callable

import pytest

from sql.render import render

PLACE = {
    "project": "my-project",
    "dataset": "models",
    "connection": "us.remote-models",
    "endpoint": "https://predict-abc-uc.a.run.app",
}


@pytest.mark.parametrize("name", ["tree_regressor", "classifier", "odd_names", "wide"])
def test_terraform_reads_it_and_would_not_write_it_otherwise(name: str, saved: Callable[[str], str]) -> None:
    if not shutil.which("terraform"):
        pytest.skip("terraform is not installed")
    text = render(saved(name), **PLACE, max_batching_rows=500, form="terraform")
    # The provider cannot be had without a network, so that `terraform validate` is out of reach.
    ended = subprocess.run(
        ["terraform", "fmt", "-check", "-diff", "-"],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, "")


@pytest.mark.parametrize("name", ["classifier", "odd_names", "wide"])
def test_functions_and_arguments_are_those_of_the_ddl(name: str, saved: Callable[[str], str]) -> None:
    ddl, text = render(saved(name), **PLACE), render(saved(name), **PLACE, form="terraform")
    declared = re.findall(r"FUNCTION `my-project`\.models\.(\w+)\(", ddl)
    assert re.findall(r'"google_bigquery_routine" "(\w+)"', text) == declared
    arguments = re.findall(r"^  `?(\w+)`? (?:FLOAT64|JSON|INT64|STRING|BOOL)", ddl, re.MULTILINE)
    assert [it for it in re.findall(r'name      = "(\w+)"', text) if it != "row"] == arguments
    for schema in re.findall(r"'schema', '(\w+)'", ddl):
        assert f'schema   = "{schema}"' in text


def test_the_invoker_s_right_is_on_the_one_service(saved: Callable[[str], str]) -> None:
    text = render(saved("tree_regressor"), **PLACE, form="terraform")
    assert re.findall(r'resource "(\w*iam\w*)"', text) == ["google_cloud_run_v2_service_iam_member"]


def test_what_looks_like_a_template_is_none(saved: Callable[[str], str]) -> None:
    from sql.terraform import _text

    assert _text('a "${b}" %{c}') == '"a \\"$${b}\\" %%{c}"'
