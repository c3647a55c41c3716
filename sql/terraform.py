"""Writes a Terraform module that makes what deploy.sh makes: `python -m sql.render --format terraform`.

The files of module/ are the same for every model; their variables are deploy.sh's options. model.tf has what follows
from the model, with a routine for each SQL function, and terraform.tfvars what the command line said.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launch.lock import runtime
from sql.declarations import Argument, Declaration

MODULE = Path(__file__).parent / "module"
DATASET = {
    "project": "google_bigquery_dataset.dataset.project",
    "dataset_id": "google_bigquery_dataset.dataset.dataset_id",
}


@dataclass(frozen=True)
class ModelFacts:
    """What the function's resource says about its model."""

    digest: str
    python: str  # such as 3.11
    settings: Mapping[str, str]  # environment variables that follow from the model's examination


def terraform(
    declared: Sequence[Declaration], facts: ModelFacts, variables: Mapping[str, str | int], function: str
) -> dict[str, str]:
    """Return the text of each file of the module, by path; the function's source must be added in source/.

    `variables` go to terraform.tfvars; `function` is the name of the Cloud Function unless a variable says another.
    """
    fixed = {path.name: path.read_text(encoding="utf-8") for path in sorted(MODULE.glob("*.tf"))}
    values = {name: _value(value) for name, value in variables.items()}
    return {**fixed, "model.tf": _model(declared, facts, function), "terraform.tfvars": _attributes(values, 0)}


def _model(declared: Sequence[Declaration], facts: ModelFacts, function: str) -> str:
    settings = {name: _text(value) for name, value in facts.settings.items()}
    values = {
        "default_function": _text(function),
        "digest": _text(facts.digest),
        "runtime": _text(runtime(facts.python)),
    }
    found = f"{{\n{_attributes(settings, 4)}  }}" if settings else "{}"
    routines = "\n".join(f"{_routine(it)}\n{_analysts(it)}" for it in declared)
    return f"locals {{\n{_attributes(values)}\n  settings = {found}\n}}\n\n{routines}"


def _routine(declaration: Declaration) -> str:
    attributes = {
        **DATASET,
        "routine_id": _text(declaration.name),
        "routine_type": _text("SCALAR_FUNCTION"),
        "definition_body": '""',
        "description": _text(declaration.description),
        "return_type": _type(declaration.returns),
    }
    remote = {
        "endpoint": "google_cloudfunctions2_function.function.service_config[0].uri",
        "connection": "google_bigquery_connection.connection.name",
        "max_batching_rows": "var.max_batching_rows == null ? null : tostring(var.max_batching_rows)",
    }
    arguments = "".join(map(_argument, declaration.arguments))
    context = _attributes({key: _text(value) for key, value in declaration.context.items()}, 6)
    options = f"{_attributes(remote, 4)}    user_defined_context = {{\n{context}    }}\n"
    return (
        f'resource "google_bigquery_routine" "{declaration.name}" {{\n{_attributes(attributes)}{arguments}\n'
        f"  remote_function_options {{\n{options}  }}\n\n"
        "  depends_on = [google_cloud_run_v2_service_iam_member.invoker]\n}\n"
    )


def _argument(argument: Argument) -> str:
    attributes = {"name": _text(argument.name), "data_type": _type(argument.sql_type)}
    return f"\n  arguments {{\n{_attributes(attributes, 4)}  }}\n"


def _analysts(declaration: Declaration) -> str:
    attributes = {
        "for_each": "var.grant",
        **DATASET,
        "routine_id": f"google_bigquery_routine.{declaration.name}.routine_id",
        "role": _text("roles/bigquery.dataViewer"),
        "member": "each.value",
    }
    return f'resource "google_bigquery_routine_iam_member" "{declaration.name}" {{\n{_attributes(attributes)}}}\n'


def _attributes(values: Mapping[str, str], indent: int = 2) -> str:
    """Return a line per attribute, with the equals signs aligned as `terraform fmt` requires."""
    width = max(map(len, values), default=0)
    return "".join(f"{' ' * indent}{name:{width}} = {value}\n" for name, value in values.items())


def _type(sql_type: str) -> str:
    return f"jsonencode({{ typeKind = {_text(sql_type)} }})"


def _value(value: str | int) -> str:
    return str(value) if isinstance(value, int) else _text(value)


def _text(value: str) -> str:
    """Return a string literal of Terraform, with template sequences escaped."""
    return json.dumps(value, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
