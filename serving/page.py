"""What a person sees at GET /: the model, a form that sends a real request, SQL to paste, and how this instance does.

The page is page.html, one file with style and script in it; it asks nobody else for anything, and its policy forbids
that too. The rule: what comes from a model or a request reaches the page through Jinja's escaping alone, as text or as
the value of an attribute, never as part of the script.
"""

import json
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from serving.errors import ServingError
from serving.functions import SqlFunction
from serving.instance import Instance
from serving.model import Model
from serving.signature import Column

# The callable functions of a model, each with a query that calls it. SQL is the caller's business: sql/names.py.
Examples = Callable[[Model], list[tuple[SqlFunction, str]]]
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
    """Tell whether a client asks for HTML rather than JSON; one that takes anything gets JSON."""
    return parse_accept_header(accept, MIMEAccept).best_match(["application/json", "text/html"]) == "text/html"


def facts(model: Model, instance: Instance, examples: Examples) -> dict[str, object]:
    """Return what the page shows, for a program."""
    offers = [
        {"name": function.name, "returns": function.sql_type(model), "sql": sql} for function, sql in examples(model)
    ]
    return {**model.info.as_dict(), "functions": offers, "instance": instance.facts()}


def render(model: Model | ServingError, instance: Instance, examples: Examples) -> tuple[bytes, dict[str, str]]:
    """Return the page for a model, or for the reason why there is none, and the headers that protect it."""
    nonce = secrets.token_urlsafe(16)
    known: dict[str, Any] = {"nonce": nonce, "instance": instance, "title": "No model", "model": None, "error": None}
    known |= {"error": model} if isinstance(model, ServingError) else _shown(model, examples)
    text = _templates.get_template("page.html").render(known)
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": POLICY.format(nonce=nonce),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
        "vary": "accept",
    }
    # A name may hold half a surrogate pair, which no encoding can write.
    return text.encode("utf-8", "replace"), headers


def _shown(model: Model, examples: Examples) -> dict[str, Any]:
    metadata = model.info.metadata
    scores = metadata.get("scores") if isinstance(metadata, Mapping) else None
    columns = model.signature.columns
    example = next(iter(model.example), ())
    values = example if len(example) == len(columns) else [None] * len(columns)
    return {
        "title": _name(model.info.uri),
        "model": model,
        "scores": {name: _short(value) for name, value in scores.items()} if isinstance(scores, Mapping) else {},
        "fields": [(column, _typed(column, value)) for column, value in zip(columns, values, strict=True)],
        "offers": [(function, function.sql_type(model), sql) for function, sql in examples(model)],
        "details": json.dumps(model.info.as_dict(), default=str, indent=2, ensure_ascii=False),
    }


def _typed(column: Column, value: Any) -> str:
    """Return a value of the example as a person would type it into the form, where an empty field stands for NULL."""
    if value is None:
        return ""
    as_is = isinstance(value, str) and column.sql_type != "JSON"
    return str(value) if as_is else json.dumps(value, ensure_ascii=False)


def _name(uri: str) -> str:
    """Return what a model is called: in the registry, else the last part of its place."""
    path = uri.removeprefix("models:/")
    return re.split("[@/]", path)[0] if path != uri else path.rstrip("/").rpartition("/")[2]


def _short(value: Any) -> str:
    """Return a score as it is read: four digits, thousands apart."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
