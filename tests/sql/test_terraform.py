"""The Terraform configuration is well-formed and declares what the DDL declares."""

import re
import shutil
import subprocess
from collections.abc import Callable

import pytest

from model_loader import load
from sql.render import render
from sql.terraform import _text
from tests.sql.test_render import PLACE

Saved = Callable[[str], str]


@pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not installed")
@pytest.mark.parametrize("name", ["tree_regressor", "classifier", "odd_names", "wide"])
def test_terraform_fmt_changes_nothing(name: str, saved: Saved) -> None:
    """Terraform parses the configuration and would not format it otherwise."""
    text = render(load(saved(name)), **PLACE, max_batching_rows=500, form="terraform")
    # `terraform validate` needs the provider, which can't be downloaded without a network.
    ended = subprocess.run(
        ["terraform", "fmt", "-check", "-diff", "-"],
        input=text,
        capture_output=True,
        text=True,
        timeout=600,  # seconds
        check=False,
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, "")


@pytest.mark.parametrize("name", ["classifier", "odd_names", "wide"])
def test_same_declarations_as_ddl(name: str, saved: Saved) -> None:
    """Functions, arguments and schemas are those of the DDL."""
    ddl, text = render(load(saved(name)), **PLACE), render(load(saved(name)), **PLACE, form="terraform")
    functions = re.findall(r"FUNCTION `my-project`\.models\.(\w+)\(", ddl)
    assert re.findall(r'"google_bigquery_routine" "(\w+)"', text) == functions
    arguments = re.findall(r"^  `?(\w+)`? (?:FLOAT64|JSON|INT64|STRING|BOOL)", ddl, re.MULTILINE)
    assert [it for it in re.findall(r'name      = "(\w+)"', text) if it != "row"] == arguments
    for schema in re.findall(r"'schema', '(\w+)'", ddl):
        assert f'schema   = "{schema}"' in text


def test_invoker_is_granted_on_one_service(saved: Saved) -> None:
    """The only grant is the connection's right to call the one Cloud Run service."""
    text = render(load(saved("tree_regressor")), **PLACE, form="terraform")
    assert re.findall(r'resource "(\w*iam\w*)"', text) == ["google_cloud_run_v2_service_iam_member"]


def test_template_sequences_are_escaped() -> None:
    """Text that looks like a Terraform template stays text."""
    assert _text('a "${b}" %{c}') == '"a \\"$${b}\\" %%{c}"'
