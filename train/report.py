"""report.html: what a person wants to see of a model before it is served, in one file that needs no network.

Rule: everything in it, pictures too, stands in the file itself; text of the data (names, labels) is escaped.
"""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from sklearn.pipeline import Pipeline
from sklearn.utils import estimator_html_repr

from model_loader import load
from sql.names import identifier, predict_call
from sql.render import render
from train.scores import Scores

TEMPLATE = Path(__file__).with_name("report.html")
# To be replaced by the reader, so made of what the statements must have.
DATASET = "ds"


def report(
    *,
    title: str,
    lead: str,
    scores: Mapping[str, Scores],
    notes: Sequence[str],
    pictures: Mapping[str, bytes],
    pipeline: Pipeline,
    model: Path,
    shown_as: str,
    target: str,
    facts: Mapping[str, object],
) -> str:
    """Return the page; `shown_as` is what the model in the folder is called in its SQL."""
    sql, query = statements(model, shown_as, target)
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(title),
        lead=escape(lead),
        scores=_scores(scores),
        notes="".join(f"<li>{escape(note)}</li>" for note in notes),
        pictures="".join(_picture(name, png) for name, png in pictures.items()),
        diagram=estimator_html_repr(pipeline),
        sql=escape(sql),
        query=escape(query),
        facts="".join(f"<tr><th>{escape(key)}</th><td>{escape(str(value))}</td></tr>" for key, value in facts.items()),
    )


def statements(model: Path, shown_as: str, target: str) -> tuple[str, str]:
    """Return the SQL that registers the model's functions, and a query that calls one."""
    sql = render(
        str(model),
        project="my-project",
        dataset=DATASET,
        connection="us.remote-models",
        endpoint="https://predict-abc-uc.a.run.app",
    ).replace(str(model), shown_as)
    call = predict_call([column.name for column in load(str(model)).signature.columns], DATASET)
    return sql, f"SELECT t.{identifier(target)} AS actual, {call} AS predicted\nFROM {DATASET}.rows AS t"


def _scores(scores: Mapping[str, Scores]) -> str:
    """Return the measures as a table, a column for each model."""
    head = "".join(f'<th class="{escape(name)}">{escape(name)}</th>' for name in scores)
    rows = []
    for measure in scores["model"]:
        cells = "".join(f'<td class="{escape(name)}">{found[measure]:.5g}</td>' for name, found in scores.items())
        rows.append(f"<tr><td>{escape(measure)}</td>{cells}</tr>")
    return f'<table class="scores"><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _picture(title: str, png: bytes) -> str:
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return f'<figure><figcaption>{escape(title)}</figcaption><img alt="{escape(title)}" src="{source}"></figure>'
