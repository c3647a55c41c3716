"""Writes report.html: what to look at before serving a model, in one file that needs no network.

Jinja escapes everything that comes from the data, such as names and labels. The pipeline's diagram is scikit-learn's
HTML, with its style and script; figures are embedded as data URIs.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from sklearn.pipeline import Pipeline
from sklearn.utils import estimator_html_repr

from model_loader import load
from sql.names import identifier, predict_call
from sql.render import render
from train.scores import Scores

DATASET = "ds"

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def report(
    *,
    title: str,
    lead: str,
    scores: Mapping[str, Scores],
    notes: Sequence[str],
    figures: Mapping[str, bytes],
    pipeline: Pipeline,
    model: Path,
    model_uri: str,
    target: str,
    details: Mapping[str, object],
) -> str:
    """Return the page. `figures` are PNG bytes by title; `model_uri` is the name in the SQL of the model's folder."""
    statements, query = sql(model, model_uri, target)
    return _templates.get_template("report.html").render(
        title=title,
        lead=lead,
        scores=scores,
        notes=notes,
        figures={name: f"data:image/png;base64,{base64.b64encode(png).decode()}" for name, png in figures.items()},
        diagram=Markup(estimator_html_repr(pipeline)),
        statements=statements,
        query=query,
        details=details,
    )


def sql(model: Path, model_uri: str, target: str) -> tuple[str, str]:
    """Return the statements that register the model's functions, and a query that calls one; places are examples."""
    loaded = load(str(model), plan="thorough")
    statements = render(
        loaded,
        project="my-project",
        dataset=DATASET,
        connection="us.remote-models",
        endpoint="https://predict-abc-uc.a.run.app",
    ).replace(str(model), model_uri)
    call = predict_call([column.name for column in loaded.signature.columns], DATASET)
    return statements, f"SELECT t.{identifier(target)} AS actual, {call} AS predicted\nFROM {DATASET}.rows AS t"
