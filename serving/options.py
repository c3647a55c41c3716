"""What a SQL function was created with: the keys of its user_defined_context, read strictly.

The request carries no function name, no types and no policy; whatever the function must know about the SQL side
travels here. A key nobody reads or a value nobody understands is refused: a misspelt `on_nul` that is silently
ignored would change results without a word.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from serving.errors import BadRequest, join_names, short_repr
from serving.signature import Column, Parameter, Signature

COMMON_KEYS = {
    "function": (),
    "schema": (),
    "on_null": ("null", "pass", "error"),
    "on_error": ("fail", "null"),
}


@dataclass(frozen=True)
class Options:
    """The settings of one SQL function.

    `own` holds the keys that the function itself asks for, such as `class` or `params`.
    """

    on_null: str = "null"
    on_error: str = "fail"
    own: Mapping[str, str] = field(default_factory=dict)


def read_options(context: Mapping[str, str], own_keys: tuple[str, ...]) -> Options:
    """Return the options in a request's userDefinedContext; raise BadRequest for a key or value that is not one."""
    for key, value in context.items():
        if key not in COMMON_KEYS and key not in own_keys:
            raise BadRequest(
                f"user_defined_context has the key {short_repr(key)}; this function knows "
                f"{join_names(sorted([*COMMON_KEYS, *own_keys]))}."
            )
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
    """Raise BadRequest when the SQL function was made for other columns than the model has now."""
    made_for = context.get("schema", signature.schema)
    if made_for != signature.schema:
        raise BadRequest(
            f"This SQL function was made for a model with schema {short_repr(made_for)}, the model now has schema "
            f'"{signature.schema}": {described(signature.columns)}. Create the SQL function again by sql.render.'
        )


def read_params(text: str | None, parameters: tuple[Parameter, ...]) -> dict[str, Any] | None:
    """Return the inference parameters in a JSON text, checked against the model's signature; None without any."""
    if text is None:
        return None
    try:
        params = orjson.loads(text)
    except orjson.JSONDecodeError:
        params = None
    if type(params) is not dict:
        raise BadRequest(f"user_defined_context has params = {short_repr(text)}; expected a JSON object.")
    declared = {parameter.name: parameter for parameter in parameters}
    for name, value in params.items():
        if name not in declared:
            raise BadRequest(
                f"params has {short_repr(name)}; the model's signature declares {join_names(list(declared)) or 'none'}."
            )
        parameter = declared[name]
        items = value if parameter.is_list and type(value) is list else [value]
        if parameter.is_list != (type(value) is list) or not all(_is_of(parameter.mlflow_type, item) for item in items):
            expected = f"a list of {parameter.mlflow_type}" if parameter.is_list else parameter.mlflow_type
            raise BadRequest(f"params has {name} = {short_repr(value)}; the model's signature declares {expected}.")
    return params


def described(columns: tuple[Column, ...]) -> str:
    """Return the columns as they may stand in a message."""
    return join_names([str(column) for column in columns])


def _is_of(kind: str, value: Any) -> bool:
    kinds: dict[str, tuple[type, ...]] = {
        "boolean": (bool,),
        "integer": (int,),
        "long": (int,),
        "float": (int, float),
        "double": (int, float),
    }
    return type(value) in kinds.get(kind, (str,))
