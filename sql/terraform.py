"""Writes the SQL functions as Terraform resources: `python -m sql.render --format terraform`.

The resources are the connection, its right to call the function's Cloud Run service, and a routine per SQL function.
"""

import json
from collections.abc import Mapping, Sequence

from sql.declarations import Argument, Declaration

VARIABLES = """\
variable "region" {
  description = "The region of the Cloud Function."
  type        = string
}

variable "service" {
  description = "The name of the Cloud Function and of its Cloud Run service."
  type        = string
}
"""


def terraform(
    declared: Sequence[Declaration],
    *,
    project: str,
    dataset: str,
    connection: str,
    endpoint: str,
    max_batching_rows: int | None = None,
) -> str:
    """Return the resources that declare the functions; `connection` is location.name."""
    location, _, name = connection.partition(".")
    connected = _attributes({"project": _text(project), "location": _text(location), "connection_id": _text(name)})
    member = {
        "project": _text(project),
        "location": "var.region",
        "name": "var.service",
        "role": _text("roles/run.invoker"),
        "member": '"serviceAccount:${google_bigquery_connection.model.cloud_resource[0].service_account_id}"',
    }
    remote = {
        "endpoint": _text(endpoint),
        "connection": "google_bigquery_connection.model.name",
        **({"max_batching_rows": _text(str(max_batching_rows))} if max_batching_rows else {}),
    }
    place = {"project": _text(project), "dataset_id": _text(dataset)}
    return "\n".join(
        [
            VARIABLES,
            f'resource "google_bigquery_connection" "model" {{\n{connected}\n  cloud_resource {{}}\n}}\n',
            f'resource "google_cloud_run_v2_service_iam_member" "invoker" {{\n{_attributes(member)}}}\n',
            *[_routine(declaration, place, remote) for declaration in declared],
        ]
    )


def _routine(declaration: Declaration, place: Mapping[str, str], remote: Mapping[str, str]) -> str:
    attributes = {
        **place,
        "routine_id": _text(declaration.name),
        "routine_type": _text("SCALAR_FUNCTION"),
        "definition_body": '""',
        "description": _text(declaration.description),
        "return_type": _type(declaration.returns),
    }
    arguments = "".join(map(_argument, declaration.arguments))
    context = _attributes({key: _text(value) for key, value in declaration.context.items()}, 6)
    options = f"{_attributes(remote, 4)}    user_defined_context = {{\n{context}    }}\n"
    return (
        f'resource "google_bigquery_routine" "{declaration.name}" {{\n{_attributes(attributes)}{arguments}\n'
        f"  remote_function_options {{\n{options}  }}\n}}\n"
    )


def _argument(argument: Argument) -> str:
    attributes = {"name": _text(argument.name), "data_type": _type(argument.sql_type)}
    return f"\n  arguments {{\n{_attributes(attributes, 4)}  }}\n"


def _attributes(values: Mapping[str, str], indent: int = 2) -> str:
    """Return a line per attribute, with the equals signs aligned as `terraform fmt` requires."""
    width = max(map(len, values))
    return "".join(f"{' ' * indent}{name:{width}} = {value}\n" for name, value in values.items())


def _type(sql_type: str) -> str:
    return f"jsonencode({{ typeKind = {_text(sql_type)} }})"


def _text(value: str) -> str:
    """Return a string literal of Terraform, with template sequences escaped."""
    return json.dumps(value, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
