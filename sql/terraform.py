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
from sql.reasons import Wrapper

MODULE = Path(__file__).parent / "module"
DATASET = {
    "project": "google_bigquery_dataset.dataset.project",
    "dataset_id": "google_bigquery_dataset.dataset.dataset_id",
}
# Where a SQL function finds those that it calls.
PLACE = f"`${{{DATASET['project']}}}`.${{{DATASET['dataset_id']}}}"


@dataclass(frozen=True)
class ModelFacts:
    """What the function's resource says about its model."""

    digest: str
    python: str  # such as 3.11
    settings: Mapping[str, str]  # environment variables that follow from the model's examination


def terraform(
    functions: Sequence[Declaration | Wrapper],
    facts: ModelFacts,
    variables: Mapping[str, str | int],
    function: str,
) -> dict[str, str]:
    """Return the text of each file of the module, by path; the function's source must be added in source/.

    `functions` are those of `created` with PLACE as their dataset, each after those that it calls;
    `variables` go to terraform.tfvars; `function` is the name of the Cloud Function unless a variable says another.
    """
    fixed = {path.name: path.read_text(encoding="utf-8") for path in sorted(MODULE.glob("*.tf"))}
    values = {name: _value(value) for name, value in variables.items()}
    return {**fixed, "model.tf": _model(functions, facts, function), "terraform.tfvars": _attributes(values, 0)}


def _model(functions: Sequence[Declaration | Wrapper], facts: ModelFacts, function: str) -> str:
    settings = {name: _text(value) for name, value in facts.settings.items()}
    values = {
        "default_function": _text(function),
        "digest": _text(facts.digest),
        "runtime": _text(runtime(facts.python)),
    }
    found = f"{{\n{_attributes(settings, 4)}  }}" if settings else "{}"
    names = [it.name for it in functions]
    texts = [_around(it, names) if isinstance(it, Wrapper) else _remote(it) for it in functions]
    routines = "\n".join(f"{text}\n{_analysts(name)}" for name, text in zip(names, texts, strict=True))
    return f"locals {{\n{_attributes(values)}\n  settings = {found}\n}}\n\n{routines}"


def _remote(declaration: Declaration) -> str:
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


def _around(wrapper: Wrapper, names: Sequence[str]) -> str:
    """Return a function of SQL, whose type BigQuery infers from its body; `names` are those of all functions."""
    body = PLACE.join(_text(part)[1:-1] for part in wrapper.body.split(PLACE))
    attributes = {
        **DATASET,
        "routine_id": _text(wrapper.name),
        "routine_type": _text("SCALAR_FUNCTION"),
        "language": _text("SQL"),
        "definition_body": f'"{body}"',
    }
    arguments = "".join(map(_argument, wrapper.arguments))
    called = [f"google_bigquery_routine.{name}" for name in names if f"{PLACE}.{name}(" in wrapper.body]
    depends = f"\n  depends_on = [{', '.join(called)}]\n" if called else ""
    return f'resource "google_bigquery_routine" "{wrapper.name}" {{\n{_attributes(attributes)}{arguments}{depends}}}\n'


def _argument(argument: Argument) -> str:
    attributes = {"name": _text(argument.name), "data_type": _type(argument.sql_type)}
    return f"\n  arguments {{\n{_attributes(attributes, 4)}  }}\n"


def _analysts(name: str) -> str:
    attributes = {
        "for_each": "var.grant",
        **DATASET,
        "routine_id": f"google_bigquery_routine.{name}.routine_id",
        "role": _text("roles/bigquery.dataViewer"),
        "member": "each.value",
    }
    return f'resource "google_bigquery_routine_iam_member" "{name}" {{\n{_attributes(attributes)}}}\n'


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
