"""What a SQL function was created with: the keys of its user_defined_context, read strictly.

A request carries no function name, no types and no policy, so whatever the function must know about the SQL side comes
from here. An unknown key or value raises BadRequest: ignoring a misspelled `on_nul` would silently change results.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from serving.errors import BadRequest, join_names, short_repr
from serving.signature import Parameter, Signature
from serving.types import TYPES

COMMON_KEYS = {
    "function": (),
    "schema": (),
    "on_null": ("null", "pass", "error"),
    "on_error": ("fail", "null", "json"),
}


@dataclass(frozen=True)
class Options:
    """The settings of one SQL function.

    `own` holds the keys that only this function reads, such as `class` or `params`.
    """

    on_null: str = "null"
    on_error: str = "fail"
    own: Mapping[str, str] = field(default_factory=dict)


DEFAULTS = Options()


def read_options(context: Mapping[str, str], own_keys: tuple[str, ...]) -> Options:
    """Return the options in a request's userDefinedContext; raise BadRequest for an unknown key or value."""
    for key, value in context.items():
        if key not in COMMON_KEYS and key not in own_keys:
            known = join_names(sorted([*COMMON_KEYS, *own_keys]))
            raise BadRequest(f"user_defined_context has the key {short_repr(key)}; this function reads {known}.")
        allowed = COMMON_KEYS.get(key)
        if allowed and value not in allowed:
            raise BadRequest(
                f"user_defined_context has {key} = {short_repr(value)}; expected one of {join_names(list(allowed))}."
            )
    return Options(
        on_null=context.get("on_null", "null"),
        on_error=context.get("on_error", "fail"),
        own={key: context[key] for key in own_keys if key in context},
    )


def check_schema(context: Mapping[str, str], signature: Signature) -> None:
    """Raise BadRequest when the SQL function was created for other columns than the model has now."""
    created_for = context.get("schema", signature.schema)
    if created_for != signature.schema:
        raise BadRequest(
            f"This SQL function was made for a model with schema {short_repr(created_for)}; the model now has schema "
            f'"{signature.schema}": {signature.arguments}. Create the SQL function again with sql.render.'
        )


def read_params(text: str | None, parameters: tuple[Parameter, ...]) -> dict[str, Any] | None:
    """Return the inference parameters in a JSON text, checked against the model's signature; None when there are none.

    Raise BadRequest for an unknown name or a value of another type.
    """
    if text is None:
        return None
    try:
        params = orjson.loads(text)
    except orjson.JSONDecodeError:
        params = None
    if type(params) is not dict:
        raise BadRequest(f"params is {short_repr(text)}; expected a JSON object.")
    declared = {parameter.name: parameter for parameter in parameters}
    for name, value in params.items():
        if name not in declared:
            names = join_names(list(declared)) or "none"
            raise BadRequest(f"params has {short_repr(name)}; the model's signature declares {names}.")
        if not _fits(declared[name], value):
            mlflow_type = declared[name].mlflow_type
            expected = f"a list of {mlflow_type}" if declared[name].is_list else mlflow_type
            raise BadRequest(f"params has {name} = {short_repr(value)}; the model's signature declares {expected}.")
    return params


def _fits(parameter: Parameter, value: Any) -> bool:
    declared = TYPES.get(parameter.mlflow_type)
    allowed = declared.param_types if declared else (str,)
    if parameter.is_list:
        return type(value) is list and all(type(item) in allowed for item in value)
    return type(value) in allowed
