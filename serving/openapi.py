"""BigQuery's contract for one model as an OpenAPI document: the requests that are answered, and their responses.

It is written from BigQuery's documentation and the model's signature. The tests in tests/fuzz generate requests that
match it and requests that don't, and the function has to tell them apart.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from serving import functions
from serving.errors import BODY_LIMIT
from serving.functions import SqlFunction
from serving.model import Model
from serving.options import COMMON_KEYS
from serving.signature import Column

Schema = dict[str, Any]

_SPECIAL: Schema = {"enum": ["NaN", "Infinity", "-Infinity"]}
_DECIMAL: Schema = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
_DAY = r"((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"


def _whole(low: int, high: int) -> Schema:
    """Return the schema of a whole number in a range: as a number, or as a string of so many digits that it fits."""
    digits = rf"^{'-?' if low else ''}[0-9]{{1,{len(str(high)) - 1}}}$"
    return {"anyOf": [{"type": "integer", "minimum": low, "maximum": high}, {"type": "string", "pattern": digits}]}


def _float(largest: float) -> Schema:
    return {"anyOf": [{"type": "number", "minimum": -largest, "maximum": largest}, _SPECIAL]}


# MLflow type, or dtype of a tensor -> the JSON of its values other than NULL.
SCALARS: dict[str, Schema] = {
    "boolean": {"type": "boolean"},
    "integer": _whole(-(2**31), 2**31 - 1),
    "long": _whole(-(2**63), 2**63 - 1),
    "float": _float(3.4e38),
    "double": {"anyOf": [{"type": "number"}, _DECIMAL, _SPECIAL]},
    "string": {"type": "string"},
    "binary": {"type": "string", "pattern": r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"},
    "datetime": {"type": "string", "pattern": rf"^(1[7-9]|2[01])[0-9]{{2}}-{_DAY}([T ]{_TIME}Z?)?$"},
    "any": {},
}
SCALARS |= {
    **{f"int{bits}": _whole(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": _whole(0, min(2**bits, 2**63) - 1) for bits in (8, 16, 32, 64)},
    "float16": _float(65504.0),
    "float32": SCALARS["float"],
    "float64": SCALARS["double"],
    "bool": SCALARS["boolean"],
    "str": SCALARS["string"],
}
# GoogleSQL type -> the JSON of a reply other than NULL.
REPLIES: dict[str, Schema] = {
    "BOOL": {"type": "boolean"},
    "INT64": SCALARS["long"],
    "FLOAT64": {"anyOf": [{"type": "number"}, _SPECIAL]},
    "STRING": {"type": "string"},
    "BYTES": {"type": "string", "contentEncoding": "base64"},
    "TIMESTAMP": {"type": "string", "format": "date-time"},
    "JSON": {},
}
MODEL_PAGE = "The model: a page for browsers, else JSON."
ERRORS = {
    "400": "The request or its data is wrong; BigQuery fails the query.",
    "403": "Outside Cloud Run: the request comes from another host.",
    "408": "The body stopped arriving; BigQuery retries.",
    "415": "The body is compressed by something else than gzip.",
    "424": "The model can't be loaded or used, and a retry won't help.",
    "429": "The instance is busy; BigQuery retries.",
    "500": "A bug in the function; its log has the cause.",
    "503": "The model can't be fetched or has no time left; BigQuery retries.",
}


def document(model: Model, prefix: str = "") -> Schema:
    """Return the document: one operation for each SQL function that the model supports, and those on GET.

    `prefix` is the path of the model in a service with a list of them.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "An MLflow model as BigQuery remote functions",
            "version": model.info.version or model.info.digest,
            "description": "A SQL function is the last segment of the path, or the key `function` of "
            "`userDefinedContext`, which takes precedence.",
        },
        "paths": {
            prefix or "/": {"get": _get(MODEL_PAGE, "text/html", "application/json")},
            "/live": {"get": _get("Whether the process answers.", "application/json")},
            "/ready": {"get": _get("Whether the model is loaded; starts to load it.", "application/json")},
            f"{prefix}/openapi.json": {"get": _get("This document.", "application/json")},
            **{
                f"{prefix}/{each.name}": {"post": _post(model, each, prefix)}
                for each in functions.available_functions(model)
            },
        },
        "components": {"responses": {status: _error(description) for status, description in ERRORS.items()}},
    }


def document_of_list(names: Sequence[str]) -> Schema:
    """Return the document of a service with a list of models: where each of them is described."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "MLflow models as BigQuery remote functions",
            "version": "",
            "description": "A model is the path before the SQL function, or the key `model` of `userDefinedContext`.",
        },
        "paths": {
            "/": {"get": _get("The models: a page for browsers, else JSON.", "text/html", "application/json")},
            "/live": {"get": _get("Whether the process answers, and the models.", "application/json")},
            "/ready": {"get": _get("Whether the default model is loaded, and which others.", "application/json")},
            "/openapi.json": {"get": _get("This document.", "application/json")},
            **{f"/{name}": {"get": _get(MODEL_PAGE, "text/html", "application/json")} for name in names},
            **{f"/{name}/openapi.json": {"get": _get(f"The paths of {name}.", "application/json")} for name in names},
        },
        "components": {"responses": {status: _error(description) for status, description in ERRORS.items()}},
    }


def _get(description: str, *content_types: str) -> Schema:
    return {
        "summary": description,
        "responses": {
            "200": {"description": description, "content": {each: {} for each in content_types}},
            **_errors("403", "424", "500", "503"),
        },
    }


def _post(model: Model, function: SqlFunction, prefix: str) -> Schema:
    request = {
        "type": "object",
        "properties": {
            **{key: {"type": "string"} for key in ("requestId", "caller", "sessionUser")},
            "userDefinedContext": _context(model, function, prefix),
            "calls": {"type": "array", "items": _call(model, function)},
        },
        "required": ["calls"],  # BigQuery always sends the others too; the function does not need them
    }
    reply = {
        "type": "object",
        "properties": {"replies": {"type": "array", "items": _reply(REPLIES[function.sql_type(model)])}},
        "required": ["replies"],
        "additionalProperties": False,
    }
    return {
        "summary": function.description,
        "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
        "responses": {
            "200": {"description": "One reply per call.", "content": {"application/json": {"schema": reply}}},
            **_errors(*ERRORS),
        },
    }


def _context(model: Model, function: SqlFunction, prefix: str) -> Schema:
    """Return the schema of user_defined_context: the keys that this function reads."""
    keys: dict[str, Schema] = {key: {"enum": list(values)} for key, values in COMMON_KEYS.items() if values}
    keys |= {"function": {"const": function.name}, "schema": {"const": model.signature.schema}}
    if prefix:
        keys["model"] = {"const": prefix.removeprefix("/")}
    for key in function.keys:
        keys[key] = {"type": "string"}
    if "params" in function.keys:
        if model.signature.parameters:
            keys["params"] |= {"contentMediaType": "application/json"}
        else:
            del keys["params"]
    if "class" in function.keys:
        keys["class"] = {"enum": [str(label) for label in model.classes]}
    return {"type": ["object", "null"], "properties": keys, "additionalProperties": False}


def _call(model: Model, function: SqlFunction) -> Schema:
    """Return the schema of one row's arguments."""
    columns = model.signature.columns
    arguments = [_nullable(_of_column(column)) for column in columns]
    if function.takes == "nothing":
        arguments = []
    elif function.takes == "row":
        row: Schema = {
            "type": "object",
            "properties": {column.name: schema for column, schema in zip(columns, arguments, strict=True)},
            "required": [column.name for column in columns if column.required],
        }
        arguments = [_nullable(row)]
    fixed: Schema = {"minItems": len(arguments), "maxItems": len(arguments)}
    return {"type": "array", **fixed, **({"prefixItems": arguments, "items": False} if arguments else {})}


def _of_column(column: Column) -> Schema:
    detail = column.detail or {}
    if column.mlflow_type != "tensor":
        return _of_type(detail if "type" in detail else {"type": column.mlflow_type})
    schema = SCALARS[detail["dtype"]]
    for size in reversed(detail["shape"]):
        schema = {"type": "array", "items": schema, "minItems": size, "maxItems": size}
    return schema


def _of_type(mlflow_type: Mapping[str, Any]) -> Schema:
    """Return the schema of an MLflow type in the form that MLmodel files have."""
    name = mlflow_type["type"]
    if name == "array":
        return {"type": "array", "items": _of_type(mlflow_type["items"])}
    if name == "map":
        return {"type": "object", "additionalProperties": _of_type(mlflow_type["values"])}
    if name == "object":
        inner = mlflow_type["properties"]
        optional = {key for key, each in inner.items() if not each.get("required", True)}
        return {
            "type": "object",
            "properties": {
                key: _nullable(_of_type(each)) if key in optional else _of_type(each) for key, each in inner.items()
            },
            "required": [key for key in inner if key not in optional],
        }
    return SCALARS[name]


def _reply(schema: Schema) -> Schema:
    """Return the schema of a reply: the value, or under on_error = json an object of the value and an error."""
    value = _nullable(schema)
    explained = {
        "type": "object",
        "properties": {"value": value, "error": {"type": ["string", "null"]}},
        "required": ["value", "error"],
        "additionalProperties": False,
    }
    return {"anyOf": [*value["anyOf"], explained]} if value else {}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]} if schema else {}


def _errors(*statuses: str) -> Schema:
    return {status: {"$ref": f"#/components/responses/{status}"} for status in statuses}


def _error(description: str) -> Schema:
    message = {"type": "string", "minLength": 1, "maxLength": BODY_LIMIT}
    schema = {
        "type": "object",
        "properties": {"errorMessage": message},
        "required": ["errorMessage"],
        "additionalProperties": False,
    }
    return {"description": description, "content": {"application/json": {"schema": schema}}}
