"""The same SQL functions as Terraform resources: `python -m sql.render --format terraform`.

The connection, the connection's right to call the function's Cloud Run service, and a routine per SQL function. The
rule: names, types and context are those of the DDL, since both are written from `sql.render.declared`.
"""

import json
from collections.abc import Mapping, Sequence

from serving.functions import SqlFunction
from serving.model import Model
from sql.render import argument_names, context, description

VARIABLES = """\
variable "region" {
  description = "The region of the Cloud Function that answers."
  type        = string
}

variable "service" {
  description = "The name of the Cloud Function, and of the Cloud Run service behind it."
  type        = string
}
"""


def terraform(
    model: Model,
    functions: Sequence[SqlFunction],
    *,
    project: str,
    dataset: str,
    connection: str,
    endpoint: str,
    max_batching_rows: int | None = None,
) -> str:
    """Return the resources for a model's SQL functions; `connection` is location.name."""
    location, _, name = connection.partition(".")
    made = _attributes({"project": _text(project), "location": _text(location), "connection_id": _text(name)})
    member = {
        "project": _text(project),
        "location": "var.region",
        "name": "var.service",
        "role": _text("roles/run.invoker"),
        "member": '"serviceAccount:${google_bigquery_connection.model.cloud_resource[0].service_account_id}"',
    }
    blocks = [
        VARIABLES,
        f'resource "google_bigquery_connection" "model" {{\n{made}\n  cloud_resource {{}}\n}}\n',
        f'resource "google_cloud_run_v2_service_iam_member" "invoker" {{\n{_attributes(member)}}}\n',
    ]
    for function in functions:
        attributes = {
            "project": _text(project),
            "dataset_id": _text(dataset),
            "routine_id": _text(function.name),
            "routine_type": _text("SCALAR_FUNCTION"),
            "definition_body": '""',
            "description": _text(description(function, model)),
            "return_type": _type(function.sql_type(model)),
        }
        remote = {
            "endpoint": _text(endpoint),
            "connection": "google_bigquery_connection.model.name",
            **({"max_batching_rows": _text(str(max_batching_rows))} if max_batching_rows else {}),
        }
        pairs = _attributes({key: _text(value) for key, value in context(function, model).items()}, 6)
        options = f"{_attributes(remote, 4)}    user_defined_context = {{\n{pairs}    }}\n"
        blocks.append(
            f'resource "google_bigquery_routine" "{function.name}" {{\n{_attributes(attributes)}'
            f"{_arguments(function, model)}\n  remote_function_options {{\n{options}  }}\n}}\n"
        )
    return "\n".join(blocks)


def _arguments(function: SqlFunction, model: Model) -> str:
    if function.takes == "nothing":
        return ""
    if function.takes == "row":
        arguments = [("row", "JSON")]
    else:
        columns = model.signature.columns
        names = argument_names([column.name for column in columns])
        arguments = [(name.strip("`"), column.sql_type) for name, column in zip(names, columns, strict=True)]
    return "".join(
        f"\n  arguments {{\n{_attributes({'name': _text(name), 'data_type': _type(kind)}, 4)}  }}\n"
        for name, kind in arguments
    )


def _attributes(values: Mapping[str, str], indent: int = 2) -> str:
    """Return a line per attribute, the equals signs below each other as `terraform fmt` wants them."""
    width = max(map(len, values))
    return "".join(f"{' ' * indent}{name:{width}} = {value}\n" for name, value in values.items())


def _type(sql_type: str) -> str:
    return f"jsonencode({{ typeKind = {_text(sql_type)} }})"


def _text(value: str) -> str:
    """Return a string in Terraform's syntax, in which nothing is a template."""
    return json.dumps(value, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
