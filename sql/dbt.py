"""Writes a model's SQL functions for a dbt project: `python -m sql.render --format dbt`.

The files are macros that call the functions, the table of rows as a source, and an incremental model that scores new
rows. The functions themselves must exist: deploy.sh or another format creates them.
"""

from collections.abc import Sequence

import yaml

from serving.model import Model
from sql.calls import Call
from sql.names import identifier

MODEL = """\
{{{{ config(materialized='incremental', unique_key=var('{name}_key', 'id')) }}}}
{{%- set key = var('{name}_key', 'id') %}}

-- The rows that have no prediction yet are found before the call, so BigQuery sends only them to the function.
SELECT t.{{{{ key }}}}, {{{{ call_{predicts}('t') }}}} AS predicted, CURRENT_TIMESTAMP() AS scored_at
FROM (
  SELECT t.*
  FROM {{{{ source('{name}', 'rows') }}}} AS t
  {{%- if is_incremental() %}}
  LEFT JOIN {{{{ this }}}} AS scored ON scored.{{{{ key }}}} = t.{{{{ key }}}}
  WHERE scored.{{{{ key }}}} IS NULL
  {{%- endif %}}
) AS t
"""


def dbt(model: Model, called: Sequence[Call], project: str, dataset: str, name: str) -> dict[str, str]:
    """Return the text of each file of a dbt project by its path; `name` begins the names of everything in them."""
    return {
        f"macros/{name}.sql": "\n".join(_macro(call, f"`{project}`.{dataset}") for call in called),
        f"models/{name}.yml": _properties(model, project, dataset, name),
        f"models/{name}_scored.sql": MODEL.format(name=name, predicts=called[0].name),
    }


def _macro(call: Call, place: str) -> str:
    """Return a macro that calls a function for a row of the table with the alias `row`."""
    arguments = _plain(call.arguments("\0")).replace("\0", "{{ row }}")
    parameter = "" if call.function.takes == "nothing" else "row"
    text = f"{place}.{identifier(call.name)}({arguments})"
    return f"{{% macro call_{call.name}({parameter}) -%}}\n{text}\n{{%- endmacro %}}\n"


def _properties(model: Model, project: str, dataset: str, name: str) -> str:
    """Return the descriptions of the source and the model, as dbt reads them."""
    columns = [{"name": _plain(column.name), "data_type": column.sql_type} for column in model.signature.columns]
    source = {
        "name": name,
        "database": project,
        "schema": dataset,
        "tables": [
            {
                "name": "rows",
                "identifier": f"{{{{ var('{name}_table', '{name}_rows') }}}}",
                "description": f"The rows to score. The variable {name}_table names the table.",
                "columns": columns,
            }
        ],
    }
    scored = {
        "name": f"{name}_scored",
        "description": f"A prediction for each row of the source, by its key, which the variable {name}_key names.",
    }
    text: str = yaml.safe_dump(
        {"version": 2, "sources": [source], "models": [scored]}, sort_keys=False, allow_unicode=True, width=120
    )
    return text


def _plain(text: str) -> str:
    """Return text that Jinja, which dbt applies to every file, leaves as it is."""
    return text.replace("{", "{{ '{' }}")
