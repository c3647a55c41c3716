"""BigQuery's contract for one model as an OpenAPI document: valid requests and their responses.

It is derived from BigQuery's documentation and the model's signature, not from the function's code: schemathesis
generates requests that match it and requests that don't, and the function has to tell them apart.
"""

from typing import Any

from serving.signature import Column, Signature

Schema = dict[str, Any]

WORDS = {"enum": ["NaN", "Infinity", "-Infinity"]}
DECIMAL = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
INTEGER = {"type": "string", "pattern": r"^-?[0-9]{1,18}$"}
TIME = r"^(1[7-9]|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.([0-9]{3}){1,2})?Z$"

# MLflow type -> JSON schema of its values other than NULL.
SCALARS: dict[str, Schema] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "long": {"anyOf": [{"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}, INTEGER]},
    "double": {"anyOf": [{"type": "number"}, DECIMAL, WORDS]},
    "string": {"type": "string"},
    "datetime": {"type": "string", "pattern": TIME},
}


def document(signature: Signature) -> Schema:
    """Return the document, with the operations POST /predict and POST /predict_row."""
    arguments = [_nullable(_of_column(column)) for column in signature.columns]
    call = {"type": "array", "prefixItems": arguments, "items": False, "minItems": len(arguments)}
    row = {
        "type": "object",
        "properties": {column.name: schema for column, schema in zip(signature.columns, arguments, strict=True)},
        "required": [column.name for column in signature.columns if column.required],
    }
    one = {"type": "array", "prefixItems": [_nullable(row)], "items": False, "minItems": 1}
    return {
        "openapi": "3.1.0",
        "info": {"title": "The function", "version": "1"},
        "paths": {"/predict": {"post": _operation(call)}, "/predict_row": {"post": _operation(one)}},
    }


def _operation(call: Schema) -> Schema:
    context = {
        "type": ["object", "null"],
        "properties": {
            "on_null": {"enum": ["null", "pass", "error"]},
            "on_error": {"enum": ["fail", "null"]},
        },
        "additionalProperties": False,
    }
    request = {
        "type": "object",
        "properties": {
            **{key: {"type": "string"} for key in ("requestId", "caller", "sessionUser")},
            "userDefinedContext": context,
            "calls": {"type": "array", "items": call},
        },
        "required": ["calls"],  # BigQuery always sends the others too; the function does not need them
    }
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
        "responses": {
            "200": _reply("replies", {"type": "array"}),
            "400": _reply("errorMessage", {"type": "string", "minLength": 1, "maxLength": 1000}),
        },
    }


def _reply(key: str, value: Schema) -> Schema:
    schema = {"type": "object", "properties": {key: value}, "required": [key], "additionalProperties": False}
    return {"description": key, "content": {"application/json": {"schema": schema}}}


def _of_column(column: Column) -> Schema:
    return _of_type(column.detail or {"type": column.mlflow_type})


def _of_type(mlflow_type: Any) -> Schema:
    """Return the JSON schema of an MLflow type in the form that MLmodel files have."""
    if mlflow_type["type"] == "array":
        return {"type": "array", "items": _of_type(mlflow_type["items"])}
    if mlflow_type["type"] == "object":
        properties = {name: _of_type(inner) for name, inner in mlflow_type["properties"].items()}
        required = [name for name, inner in mlflow_type["properties"].items() if inner.get("required", True)]
        return {"type": "object", "properties": properties, "required": required}
    return SCALARS[mlflow_type["type"]]


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}
