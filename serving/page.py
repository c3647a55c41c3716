"""The page at GET /: the model, a form that sends a real request, SQL to copy, and the counters of this instance.

A page is one document with its style and script. It loads nothing else, and its content security policy forbids that.
Anything from a model or a request gets into the page through Jinja's escaping only, as text or as the value of an
attribute, never as part of the script.
"""

import json
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from serving.errors import ServingError
from serving.functions import SqlFunction
from serving.model import Model, ModelInfo
from serving.selection import Selection
from serving.signature import Column
from serving.stats import InstanceStats

# The callable functions of a model, each with its name in BigQuery and a query that calls it; sql/names.py writes both.
Examples = Callable[[Model], list[tuple[SqlFunction, str, str]]]
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def wanted(accept: str) -> bool:
    """Return whether a client prefers HTML to JSON; one that accepts anything gets JSON."""
    return parse_accept_header(accept, MIMEAccept).best_match(["application/json", "text/html"]) == "text/html"


def describe(model: Model, stats: InstanceStats, examples: Examples) -> dict[str, object]:
    """Return what the page shows, for a program."""
    offered = [
        {"name": function.name, "sql_name": name, "returns": function.sql_type(model), "sql": sql}
        for function, name, sql in examples(model)
    ]
    return {**model.info.as_dict(), "functions": offered, "instance": stats.as_dict()}


def describe_list(models: Selection, stats: InstanceStats) -> dict[str, object]:
    """Return what the page of a service with a list of models shows, for a program."""
    listed = [
        {"name": served.name, "default": served is models.default, "loaded": served.source.loaded}
        for served in models.listed
    ]
    return {"models": listed, "instance": stats.as_dict()}


def to_json(value: object) -> bytes:
    """Return a value as JSON, also where the files of a model have brought lone surrogates or deep nesting into it."""
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError:
        return json.dumps(value, default=str).encode()


def render(model: Model | ServingError, stats: InstanceStats, examples: Examples) -> tuple[bytes, dict[str, str]]:
    """Return the page for a model, or for the error that explains why there is none, and its HTTP headers."""
    nonce = secrets.token_urlsafe(16)
    values: dict[str, Any] = {"nonce": nonce, "stats": stats, "title": "No model", "model": None, "error": None}
    values |= {"error": model} if isinstance(model, ServingError) else _model_values(model, examples)
    return _answer("page.html", nonce, values)


def render_list(models: Selection, stats: InstanceStats) -> tuple[bytes, dict[str, str]]:
    """Return the page of a service with a list of models, and its HTTP headers."""
    nonce = secrets.token_urlsafe(16)
    return _answer("models.html", nonce, {"nonce": nonce, "models": models, "stats": stats})


def _answer(template: str, nonce: str, values: Mapping[str, Any]) -> tuple[bytes, dict[str, str]]:
    text = _templates.get_template(template).render(values)
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": POLICY.format(nonce=nonce),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
        "vary": "accept",
    }
    # A name may contain a lone surrogate, which UTF-8 can't encode.
    return text.encode("utf-8", "replace"), headers


def _model_values(model: Model, examples: Examples) -> dict[str, Any]:
    metadata = model.info.metadata
    scores = metadata.get("scores") if isinstance(metadata, Mapping) else None
    columns = model.signature.columns
    example = next(iter(model.example), ())
    values = example if len(example) == len(columns) else [None] * len(columns)
    return {
        "title": _name(model.info),
        "model": model,
        "scores": {name: _format_score(value) for name, value in scores.items()} if isinstance(scores, Mapping) else {},
        "fields": [
            (column, _field_text(column, value), value is None) for column, value in zip(columns, values, strict=True)
        ],
        "has_texts": any(column.sql_type == "STRING" for column in columns),
        "offers": [(function, name, function.sql_type(model), sql) for function, name, sql in examples(model)],
        "details": json.dumps(model.info.as_dict(), default=str, indent=2, ensure_ascii=False),
    }


def _field_text(column: Column, value: Any) -> str:
    """Return a value of the example as a person would type it into the form, where an empty field is NULL."""
    if value is None:
        return ""
    as_is = isinstance(value, str) and column.sql_type != "JSON"
    return str(value) if as_is else json.dumps(value, ensure_ascii=False)


def _name(info: ModelInfo) -> str:
    """Return the registered name without its number, else what training noted, else the last part of the path."""
    if info.registered:
        return re.sub(r"/\d+$", "", info.version).rpartition("/")[2]
    trained = info.metadata if isinstance(info.metadata, Mapping) else {}
    data, target = trained.get("data"), trained.get("target")
    if isinstance(data, str) and isinstance(target, str):
        return f"{target} of {data}"
    return info.uri.rstrip("/").rpartition("/")[2]


def _format_score(value: Any) -> str:
    """Return a score with four significant digits and thousands separators."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
