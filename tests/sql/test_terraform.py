"""The Terraform module is well-formed, makes what deploy.sh makes, and declares what the DDL declares."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.observation import BUCKET_READER, CONNECTION_USER, INVOKER, ROUTINE_CALLER
from deploy.options import OPTIONS
from deploy.plan import default_account
from deploy.steps import STEPS
from model_loader import load
from sql.files import write
from sql.formats import render_module
from sql.function_source import function_source
from sql.render import render
from sql.settings import DEFAULT, SqlSettings
from sql.terraform import PLACE as PLACE_IN_MODULE
from sql.terraform import ModelFacts, _text
from tests.conftest import ROOT
from tests.environments import create
from tests.sql.test_render import PLACE

Saved = Callable[[str], str]
MODELS = ["tree_regressor", "classifier", "odd_names", "wide"]
FACTS = ModelFacts("0123abcd", "3.11", {"MODEL_PLAN": "off"})
# What is decided when the module is written, and what Terraform does in its own way: state, timeouts, plan.
NO_VARIABLES = {"class", "name", "on-error", "on-null", "params", "publish", "python", "record", "requirements"}
NO_VARIABLES |= {"signature-from", "wait"}
# The resources that take the place of each step of deploy.sh. The state is Terraform's record; a model is published, and
# SQL compared, by deploy.sh alone.
RESOURCES = {
    "record_plan": [],
    "publish_model": [],
    "create_account": ["google_service_account"],
    "grant_bucket": ["google_storage_bucket_iam_member"],
    "deploy_function": ["archive_file", "google_storage_bucket_object", "google_cloudfunctions2_function"],
    "create_connection": ["google_bigquery_connection", "time_sleep"],
    "grant_invoker": ["google_cloud_run_v2_service_iam_member"],
    "create_dataset": ["google_bigquery_dataset"],
    "register_sql": ["google_bigquery_routine"],
    "grant_analysts": ["google_bigquery_connection_iam_member", "google_bigquery_routine_iam_member"],
    "verify": [],
}
terraform = pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not installed")


def module(model: str, settings: SqlSettings = DEFAULT) -> dict[str, str]:
    """Return the files of the module for a model."""
    place = {"project": PLACE["project"], "dataset": PLACE["dataset"], "connection": PLACE["connection"]}
    return render_module(load(model), FACTS, **place, max_batching_rows=500, settings=settings)


@terraform
@pytest.mark.parametrize("name", MODELS)
def test_terraform_fmt_changes_nothing(name: str, saved: Saved, tmp_path: Path) -> None:
    """Terraform parses each file and would not format it otherwise."""
    write(module(saved(name)), tmp_path)
    # `terraform validate` needs the providers, which can't be downloaded without a network.
    ended = subprocess.run(
        ["terraform", "fmt", "-check", "-diff", tmp_path],
        capture_output=True,
        text=True,
        timeout=600,  # seconds
        check=False,
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, "")


@pytest.mark.parametrize("settings", [DEFAULT, SqlSettings("houses", on_error="json")], ids=["plain", "explaining"])
@pytest.mark.parametrize("name", ["classifier", "odd_names", "wide"])
def test_same_declarations_as_ddl(name: str, settings: SqlSettings, saved: Saved) -> None:
    """Functions, arguments and schemas are those of the DDL."""
    ddl = render(load(saved(name)), **PLACE, settings=settings)
    text = module(saved(name), settings)["model.tf"]
    functions = re.findall(r"FUNCTION `my-project`\.models\.(\w+)\(", ddl)
    assert re.findall(r'"google_bigquery_routine" "(\w+)"', text) == functions
    assert re.findall(r'"google_bigquery_routine_iam_member" "(\w+)"', text) == functions
    arguments = re.findall(r"^  `?(\w+)`? (?:FLOAT64|JSON|INT64|STRING|BOOL)", ddl, re.MULTILINE)
    assert [it for it in re.findall(r'name      = "(\w+)"', text) if it not in ("row", "reply")] == arguments
    for schema in re.findall(r"'schema', '(\w+)'", ddl):
        assert f'schema   = "{schema}"' in text


def test_resources_are_those_of_the_steps(saved: Saved) -> None:
    """Each step of deploy.sh that makes something has its resources, with the same roles, and there are no others."""
    text = "\n".join(module(saved("tree_regressor")).values())
    assert [step.__name__ for step in STEPS] == [*RESOURCES]
    expected = {name for names in RESOURCES.values() for name in names}
    assert set(re.findall(r'^(?:resource|data) "(\w+)"', text, re.MULTILINE)) == expected
    assert set(re.findall(r'"(roles/[\w.]+)"', text)) == {BUCKET_READER, INVOKER, CONNECTION_USER, ROUTINE_CALLER}
    assert default_account("f" * 63) == f"sql-fn-{'f' * 63}"[:30]  # as main.tf cuts it


def test_variables_are_the_options(saved: Saved) -> None:
    """Each option of deploy.sh is a variable with the same default; null, {} and [] stand for an empty one."""
    text = module(saved("tree_regressor"))["variables.tf"]
    found = {}
    for name, body in re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL):
        default = re.search(r"default +=\s(.*)", body)
        found[name] = re.sub(r'^(null|\{\}|\[\])$|"', "", default[1]) if default else None
    options = {it.key: None if it.required else it.default for it in OPTIONS if it.name not in NO_VARIABLES}
    assert found == options


def test_values_of_the_command_line(saved: Saved) -> None:
    """What sql.render is told goes to terraform.tfvars; a model outside a bucket is left to the user."""
    values = dict(re.findall(r"^(\w+) += (.+)$", module(saved("tree_regressor"))["terraform.tfvars"], re.MULTILINE))
    assert values == {
        "project": '"my-project"', "dataset": '"models"', "connection": '"remote-models"', "location": '"US"',
        "max_batching_rows": "500",
    }  # fmt: skip


def test_explaining_functions(saved: Saved) -> None:
    """Under --on-error json, functions of SQL have the bodies of the DDL and are created after those that they call."""
    settings = SqlSettings(on_error="json")
    text = module(saved("classifier"), settings)["model.tf"]
    ddl = render(load(saved("classifier")), **PLACE, settings=settings)
    place = f"`{PLACE['project']}`.{PLACE['dataset']}"
    bodies = [json.loads(it).replace(PLACE_IN_MODULE, place) for it in re.findall(r'definition_body = ("..+")', text)]
    assert bodies == re.findall(r"^AS \(\n  (.*?)\n\);", ddl, re.MULTILINE | re.DOTALL)
    assert "depends_on = [google_bigquery_routine.predict_json, google_bigquery_routine.predict_parts]" in text


@pytest.mark.skipif(not shutil.which("gcloud"), reason="gcloud is not installed")
def test_source_is_what_gcloud_uploads() -> None:
    """source/ has the files that deploy.sh uploads, with the packages of the model."""
    command = ["gcloud", "meta", "list-files-for-upload", ROOT]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    files = function_source("numpy==2.4.0\n", ["numpy==2.4.0"])
    assert files.keys() == {*listed, "model-requirements.txt"}
    assert files["requirements.txt"] == files["model-requirements.txt"] == "numpy==2.4.0\n"


EXPRESSIONS = {
    "local.secrets": {
        "TOKEN": {"project": None, "name": "mlflow-token", "version": "1", "folder": "", "file": ""},
        "/etc/keys/key": {"project": "p", "name": "k", "version": "latest", "folder": "/etc/keys", "file": "key"},
        "/etc/a:/b": {"project": "p", "name": "k", "version": "2", "folder": "/etc/a", "file": "b"},
    },
    "local.reader_name": "sql-fn-ffffffffffffffffffffff",
    "local.bucket": "my-bucket",
    "local.location": "us-central1",
    "local.makes_reader": True,
}


@terraform
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_locals(expression: str, saved: Saved, tmp_path: Path) -> None:
    """Terraform makes of the variables what deploy.sh makes of its options."""
    files = module(saved("tree_regressor"))
    (texts,) = re.findall(r"^locals \{\n.*?^\}", files["main.tf"], re.MULTILINE | re.DOTALL)
    without = "\n".join(line for line in texts.splitlines() if "google_service_account" not in line)
    (tmp_path / "main.tf").write_text(without)
    (tmp_path / "variables.tf").write_text(files["variables.tf"])
    (tmp_path / "model.tf").write_text(files["model.tf"].partition("\nresource")[0])
    values = {
        "project": "my-project", "region": "us-central1", "dataset": "ds", "model": "gs://my-bucket/houses",
        "function": f"{'f' * 22}-g",
        "set_secrets": {
            "TOKEN": "mlflow-token:1", "/etc/keys/key": "projects/p/secrets/k:latest", "/etc/a:/b": "projects/p/secrets/k/versions/2",
        },
    }  # fmt: skip
    (tmp_path / "terraform.tfvars.json").write_text(json.dumps(values))
    ended = subprocess.run(
        ["terraform", "console"],
        cwd=tmp_path, input=f"jsonencode({expression})\n", capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert json.loads(json.loads(ended.stdout)) == EXPRESSIONS[expression]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Python that has the providers' schemas."""
    return create(tmp_path_factory.mktemp("terraform"), "-r", ROOT / "tests" / "sql" / "terraform.txt") / "python"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (None, ""),
        (("project      = var.project\n  account_id", "projects = var.project\n  account"), "unknown account"),
        (('role   = "roles/storage.objectViewer"\n', ""), "resource google_storage_bucket_iam_member: missing role"),
        (("storage_source {", "storage_sources {"), "build_config.source: unknown storage_sources"),
        (("create_duration", "duration"), "resource time_sleep: unknown duration"),
        (('  type        = "zip"\n', ""), "data archive_file: missing type"),
    ],
)
def test_schema(change: tuple[str, str] | None, faults: str, saved: Saved, python: Path, tmp_path: Path) -> None:
    """Every resource, argument and required argument is as the providers have it; what isn't is found."""
    files = module(saved("odd_names"), SqlSettings(on_error="json"))
    if change:
        assert change[0] in files["main.tf"]
        files["main.tf"] = files["main.tf"].replace(*change)
    write(files, tmp_path)
    ended = subprocess.run(
        [python, ROOT / "tests" / "sql" / "terraform_schema.py", *sorted(tmp_path.glob("*.tf"))],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert faults in ended.stdout
    resources = sum(len(re.findall(r"^(?:resource|data) ", text, re.MULTILINE)) for text in files.values())
    assert ended.stdout.endswith(f"{resources} checked\n")
    if not faults:
        assert ended.stdout.count("\n") == 1


def test_template_sequences_are_escaped() -> None:
    """Text that looks like a Terraform template stays text."""
    assert _text('a "${b}" %{c}') == '"a \\"$${b}\\" %%{c}"'
