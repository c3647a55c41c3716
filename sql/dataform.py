"""Writes a model's SQL functions for a Dataform repository: `python -m sql.render --format dataform`.

The files are a module that calls the functions, the table of rows as a declaration, and an incremental table of their
predictions. The functions themselves must exist: deploy.sh or another format creates them.
"""

import json
from collections.abc import Sequence

from sql.calls import Call
from sql.names import identifier

VARIABLES = """\
// The variables {name}_table and {name}_key of workflow_settings.yaml name the table of rows and its key.
const variables = dataform.projectConfig.vars || {{}};
const table = variables.{name}_table || "{name}_rows";
const key = variables.{name}_key || "id";
"""
SOURCE = """\
declare({{ database: {project}, schema: {dataset}, name: {name}.table }});
"""
SCORED = """\
config {{
  type: "incremental",
  uniqueKey: [{name}.key],
  description: "A prediction for each row of the table, by its key.",
}}

-- The rows that have no prediction yet are found before the call, so BigQuery sends only them to the function.
SELECT t.${{{name}.key}}, ${{{name}.call_{predicts}("t")}} AS predicted, CURRENT_TIMESTAMP() AS scored_at
FROM (
  SELECT t.*
  FROM ${{ref({{ database: {project}, schema: {dataset}, name: {name}.table }})}} AS t
  ${{when(incremental(), `LEFT JOIN ${{self()}} AS scored ON scored.${{{name}.key}} = t.${{{name}.key}}
  WHERE scored.${{{name}.key}} IS NULL`)}}
) AS t
"""


def dataform(called: Sequence[Call], project: str, dataset: str, name: str) -> dict[str, str]:
    """Return the text of each file of a Dataform repository by its path; `name` begins the names in them."""
    functions = "\n".join(_function(call, f"`{project}`.{dataset}") for call in called)
    names = ", ".join(["table", "key", *(f"call_{call.name}" for call in called)])
    place = {"project": json.dumps(project), "dataset": json.dumps(dataset), "name": name}
    return {
        f"includes/{name}.js": f"{VARIABLES.format(name=name)}\n{functions}\nmodule.exports = {{ {names} }};\n",
        f"definitions/{name}_rows.js": SOURCE.format(**place),
        f"definitions/{name}_scored.sqlx": SCORED.format(**place, predicts=called[0].name),
    }


def _function(call: Call, place: str) -> str:
    """Return a function of JavaScript that calls a SQL function for a row of the table with the alias `row`."""
    parts = f"{place}.{identifier(call.name)}({call.arguments(chr(0))})".split("\0")
    parameter = "" if call.function.takes == "nothing" else "row"
    text = " + row + ".join(json.dumps(part, ensure_ascii=False) for part in parts)
    return f"function call_{call.name}({parameter}) {{\n  return {text};\n}}\n"
